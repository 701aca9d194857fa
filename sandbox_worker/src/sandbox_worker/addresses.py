"""Addresses that every reader of a `.env` reads alike: nothing in them needs quotes, no `&` joins parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

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

_LOGIN = {"user", "username", "password", "passfile", "sslpassword", "service", "servicefile"}
_WITHOUT_PARAMETERS = {"nats", "tls", "ws", "wss"}
_KEPT_FIRST = "sslmode"
_BETWEEN = re.compile(r",(?=[a-z]+://)")
_FLAG = re.compile(r"(^|\s)-c\s+")


class WrongAddress(ValueError):
    """It cannot be written so. `str(error)` says what is in the way, without the address."""


def split_addresses(urls: str) -> list[str]:
    """Those of a cluster of NATS, which are written with commas between; of every other store, the one."""
    return _BETWEEN.split(urls)


def fit(urls: str) -> tuple[str, dict[str, str]]:
    """The address, or several, with at most one parameter, and by name the variables for the others. Parameters that
    log in are left out. `WrongAddress` if there is no variable for what is too much."""
    found = [_fit(url) for url in split_addresses(urls)]
    return ",".join(url for url, _ in found), {name: value for _, others in found for name, value in others.items()}


def _fit(url: str) -> tuple[str, dict[str, str]]:
    parameters = {name: value for name, value in read_parameters(url).items() if name not in _LOGIN}
    if urlsplit(url).scheme in _WITHOUT_PARAMETERS:  # those that there are say what the bot itself trusts
        parameters = {}
    names = POSTGRES_VARIABLES if urlsplit(url).scheme.startswith("postgres") else {}
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
