"""Addresses that every reader of a `.env` reads alike: nothing in them needs quotes, no `&` joins parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

PLAIN = re.compile(r"[A-Za-z0-9_./:@%,=+?\[\]-]*")
"""What a value may consist of. bash ends one at `&`, make at `#`, and docker takes quotes for a part of it."""

POSTGRES_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "client_encoding": "PGCLIENTENCODING",
    "application_name": "PGAPPNAME",
    "options": "PGOPTIONS",
}
"""By parameter of an address, the variable that says the same to PostgreSQL's own library and to those like it."""

POSTGRES_PORT = 5432
_LOGIN = {
    "user",
    "username",
    "password",
    "passfile",
    "sslpassword",
    "service",
    "servicefile",
    "sentinel_username",
    "sentinel_password",
}
_FILES = {"sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
_WITHOUT_PARAMETERS = {"nats", "tls", "ws", "wss"}
_KEPT_FIRST = "sslmode"
_BETWEEN = re.compile(r",\s*(?=[a-z]+://)")
_FLAG = re.compile(r"(^|\s)-c\s+")


_SENTINEL_PORT = 26379
_SENTINEL_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}


class WrongAddress(ValueError):
    """It cannot be written so. `str(error)` says what is in the way, without the address."""


def split_addresses(urls: str) -> list[str]:
    """Those of a cluster of NATS, which are written with commas between; of every other store, the one."""
    return _BETWEEN.split(urls)


class Host(NamedTuple):
    """One of those in an address."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def split_hosts(url: str, usual_port: int) -> list[Host]:
    """Those of an address that has several with commas between, such as PostgreSQL's; `WrongAddress` for none."""
    listed = urlsplit(url).netloc.rpartition("@")[2].split(",")
    try:
        parts = [urlsplit(f"//{one}") for one in listed]
        return [Host(unquote(part.hostname or ""), part.port or usual_port) for part in parts]
    except ValueError:
        raise WrongAddress("its ports are no numbers") from None


class Sentinels(NamedTuple):
    """Who is asked which server of Redis or Valkey takes writes, and what they call it. `login_url` is its address but
    for the host."""

    hosts: tuple[Host, ...]
    master: str
    login_url: str

    @classmethod
    def read(cls, url: str) -> Sentinels | None:
        """Of `redis+sentinel://user:password@host:26379,host:26379/NAME/0`, or `rediss+sentinel` for TLS to all of
        them; None for an address of another kind, `WrongAddress` if it names no master."""
        parts = urlsplit(url)
        if (scheme := _SENTINEL_SCHEMES.get(parts.scheme)) is None:
            return None
        master, _, database = parts.path.strip("/").partition("/")
        if not master:
            raise WrongAddress("it says no name of a master, as in redis+sentinel://host:26379/NAME/0")
        login = parts.netloc.rpartition("@")[0]
        login_url = parts._replace(scheme=scheme, netloc=f"{login}@" if login else "", path=f"/{database}")
        return cls(tuple(split_hosts(url, _SENTINEL_PORT)), unquote(master), login_url.geturl())

    @classmethod
    def of(cls, url: str, hosts: str, master: str) -> Sentinels:
        """Of variables: the plain address of the server of then, and what is not in that."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        login_url = parts._replace(netloc=f"{login}@" if login else "").geturl()
        return cls(tuple(split_hosts(f"//{hosts}", _SENTINEL_PORT)), master, login_url)

    def url_of(self, primary: Host) -> str:
        """The plain address of that server."""
        parts = urlsplit(self.login_url)
        return parts._replace(netloc=f"{parts.netloc}{primary}").geturl()


def without_files(urls: str) -> str:
    """The address, or several, without the parameters that name files, which lie on the machine of whoever wrote it."""
    return ",".join(map(_without_files, split_addresses(urls)))


def _without_files(url: str) -> str:
    head, _, query = url.partition("?")
    kept = "&".join(one for one in query.split("&") if one.partition("=")[0] not in _FILES or one.endswith("=system"))
    return f"{head}?{kept}" if kept else head


def fit(urls: str) -> tuple[str, dict[str, str]]:
    """The address, or several, with at most one parameter, and by name the variables for the others. Parameters that
    log in are left out. `WrongAddress` if there is no variable for what is too much."""
    found = [_fit(url) for url in split_addresses(urls)]
    return ",".join(url for url, _ in found), {name: value for _, others in found for name, value in others.items()}


def _fit(url: str) -> tuple[str, dict[str, str]]:
    parameters = {name: value for name, value in read_parameters(url).items() if name not in _LOGIN}
    if urlsplit(url).scheme in _WITHOUT_PARAMETERS:  # those that there are say what the bot itself trusts
        parameters = {}
    is_postgres = urlsplit(url).scheme.startswith("postgres")
    names = POSTGRES_VARIABLES if is_postgres else {}
    if is_postgres and len(split_hosts(url, POSTGRES_PORT)) > 1:
        parameters = {"target_session_attrs": "read-write"} | parameters
    told = {name: _without_spaces(value) if name == "options" else value for name, value in parameters.items()}
    movable = {name for name, value in told.items() if name in names and PLAIN.fullmatch(value)}
    kept = [name for name in parameters if name not in movable] or _first(parameters)
    if len(kept) > 1:
        raise WrongAddress(f"it has the parameters {', '.join(sorted(kept))}, of which only one fits into a .env")
    variables = {names[name]: value for name, value in told.items() if name not in kept}
    return with_parameters(url, {name: parameters[name] for name in kept}), variables


def read_parameters(url: str) -> dict[str, str]:
    """What stands behind the `?`, decoded."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The address with these in the place of those that it has, encoded so that it is `PLAIN`. `WrongAddress` if that
    cannot be: of its hosts, nothing can be encoded."""
    parts = urlsplit(url)
    if not PLAIN.fullmatch(parts.netloc) or parts.fragment:
        raise WrongAddress("it has characters that an address has only as %XX, such as # or a space")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='/:,')}" for name, value in parameters.items())
    path = quote(parts.path, safe="/%:@,=+").replace("~", "%7E")
    return parts._replace(path=path, query=query.replace("~", "%7E"), fragment="").geturl()


def _first(parameters: Mapping[str, str]) -> list[str]:
    """The one that more libraries know from an address than from its variable."""
    return [_KEPT_FIRST] if _KEPT_FIRST in parameters else list(parameters)[:1]


def _without_spaces(options: str) -> str:
    """Of PostgreSQL's server: `-c name=value` is the same as `-cname=value`."""
    return _FLAG.sub(r"\1-c", options).strip()
