"""The sandbox's addresses under the names that tools look for, such as `DATABASE_URL`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

from sandbox_worker import variables
from sandbox_worker.addresses import (
    PLAIN,
    POSTGRES_PORT,
    POSTGRES_VARIABLES,
    read_parameters,
    split_addresses,
    split_hosts,
    with_parameters,
)


class DatabaseForm(StrEnum):
    """How a library wants `DATABASE_URL` to be written."""

    POSTGRESQL = "postgresql"
    POSTGRES = "postgres"
    SQLALCHEMY_ASYNCPG = "postgresql+asyncpg"
    SQLALCHEMY_PSYCOPG = "postgresql+psycopg"
    SQLALCHEMY_PSYCOPG2 = "postgresql+psycopg2"
    ASYNCPG = "asyncpg"
    JDBC = "jdbc"
    PRISMA = "prisma"


_OF_ONE_HOST = {
    DatabaseForm.SQLALCHEMY_ASYNCPG,
    DatabaseForm.SQLALCHEMY_PSYCOPG,
    DatabaseForm.SQLALCHEMY_PSYCOPG2,
    DatabaseForm.ASYNCPG,
}
"""Which refuse an address of several: without any, their drivers find them in `PGHOST` and `PGPORT`."""


class NameSet(StrEnum):
    """The sandbox's own names alone, or those too that tools look for."""

    SANDBOX = "sandbox"
    STANDARD = "standard"


def wanted_form(names: NameSet, form: DatabaseForm | None) -> DatabaseForm | None:
    """None for the sandbox's own names alone. Who chooses a form wants the standard names."""
    return form or (DatabaseForm.POSTGRESQL if names is NameSet.STANDARD else None)


def standard_names(own: Mapping[str, str], form: DatabaseForm = DatabaseForm.POSTGRESQL) -> dict[str, str]:
    """What stands in the sandbox's own variables, once more, for the stores whose addresses are among them.

    `PGOPTIONS` makes the schema the search path, as the role has it anyway, which drivers find that don't read that.
    """
    found: dict[str, str] = {}
    if url := own.get(variables.SANDBOX_DATABASE_URL):
        found |= _postgres(url, own, form)
    if url := own.get(variables.SANDBOX_REDIS_URL):
        found[variables.REDIS_URL] = url
    if url := own.get(variables.SANDBOX_NATS_URL):
        found |= _nats(url, own)
    return {name: value for name, value in found.items() if PLAIN.fullmatch(value)}


def postgres_variables(url: str, own: Mapping[str, str]) -> dict[str, str]:
    """Those of libpq that say all that the address says, and the search path unless there are other options."""
    parts = urlsplit(url)
    hosts = split_hosts(url, POSTGRES_PORT)
    parameters = read_parameters(url)
    told = {
        variables.PGHOST: parameters.get("host") or ",".join(host.name for host in hosts),
        variables.PGPORT: ",".join(str(host.port) for host in hosts),
        variables.PGUSER: unquote(parts.username or ""),
        variables.PGPASSWORD: unquote(parts.password or ""),
        variables.PGDATABASE: unquote(parts.path.lstrip("/")),
        variables.PGOPTIONS: f"-csearch_path={own.get(variables.SANDBOX_SCHEMA, '')}",
    }
    if len(hosts) > 1:
        told[variables.PGTARGETSESSIONATTRS] = "read-write"
    if authority := own.get(variables.SANDBOX_TLS_CA):
        told[variables.PGSSLROOTCERT] = authority
    told |= {variable: own[variable] for variable in POSTGRES_VARIABLES.values() if own.get(variable)}
    return told | {POSTGRES_VARIABLES[name]: value for name, value in parameters.items() if name in POSTGRES_VARIABLES}


def _postgres(url: str, own: Mapping[str, str], form: DatabaseForm) -> dict[str, str]:
    return {variables.DATABASE_URL: _in_form(url, own, form), **postgres_variables(url, own)}


def _nats(urls: str, own: Mapping[str, str]) -> dict[str, str]:
    """With the login apart: not every client reads it in an address."""
    first = urlsplit(split_addresses(urls)[0])
    told = {
        variables.NATS_USER: unquote(first.username or ""),
        variables.NATS_PASSWORD: unquote(first.password or ""),
        variables.NATS_CA: own.get(variables.SANDBOX_TLS_CA, ""),
    }
    return {variables.NATS_URL: urls, **{name: value for name, value in told.items() if value}}


def _in_form(url: str, own: Mapping[str, str], form: DatabaseForm) -> str:
    """With the parameter that the library understands, of which there is room for one."""
    schema, parameters, parts = own.get(variables.SANDBOX_SCHEMA, ""), read_parameters(url), urlsplit(url)
    if form in _OF_ONE_HOST and len(split_hosts(url, POSTGRES_PORT)) > 1:
        parts = parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@")
    match form:
        case DatabaseForm.PRISMA:
            return with_parameters(_with_scheme(parts, "postgresql"), {"schema": schema})
        case DatabaseForm.JDBC:
            without_login = parts._replace(netloc=parts.netloc.rpartition("@")[2])
            told = _of_jdbc(url, parameters, schema)
            return "jdbc:" + with_parameters(_with_scheme(without_login, "postgresql"), told)
        case DatabaseForm.ASYNCPG | DatabaseForm.SQLALCHEMY_ASYNCPG:
            return with_parameters(_with_scheme(parts, form), _without_variables(parameters))
        case _:
            return _with_scheme(parts, form)


def _of_jdbc(url: str, parameters: Mapping[str, str], schema: str) -> dict[str, str]:
    """It reads no variables. The search path is the role's anyway."""
    others = {name: value for name, value in parameters.items() if name != "target_session_attrs"}
    has_several = len(split_hosts(url, POSTGRES_PORT)) > 1
    return others or ({"targetServerType": "primary"} if has_several else {"currentSchema": schema})


def _without_variables(parameters: Mapping[str, str]) -> dict[str, str]:
    """asyncpg reads the others from the environment; its callers take none in an address."""
    return {name: value for name, value in parameters.items() if name not in POSTGRES_VARIABLES}


def _with_scheme(parts: SplitResult, scheme: str) -> str:
    return parts._replace(scheme=scheme).geturl()
