"""The addresses of stores: with somebody's login in them, or nobody's, and with a database. Pure."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit

from sandbox_worker.addresses import read_parameters, split_addresses

AUTHORITY = "ssl_ca_certs"
"""The parameter that names a file of whom to trust, as redis-py calls it."""


def without_login(urls: str) -> str:
    """The address without user and password; what else it says, such as `sslmode`, stays."""
    parts = map(urlsplit, split_addresses(urls))
    return ",".join(one._replace(netloc=one.netloc.rpartition("@")[2]).geturl() for one in parts)


def with_login(urls: str, user: str, password: str) -> str:
    """The address for that user, whosever it was."""
    parts = map(urlsplit, split_addresses(without_login(urls)))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return ",".join(one._replace(netloc=f"{login}@{one.netloc}").geturl() for one in parts)


def with_authority(urls: str, authority: Path | None) -> str:
    """The address, or several, with whom to trust, unless it says so itself. For PostgreSQL's, NATS's, and Redis's
    with TLS."""
    if authority is None:
        return urls
    return ",".join(_with_authority(url, authority) for url in split_addresses(urls))


def _with_authority(url: str, authority: Path) -> str:
    if AUTHORITY in read_parameters(url):
        return url
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, f"{AUTHORITY}={quote(str(authority), safe='')}")))
    return parts._replace(query=query).geturl()


def take_authority(url: str) -> tuple[str, str | None]:
    """The address without it, and whom it says to trust; None if it doesn't. For PostgreSQL's, and for workers, to whom
    a file of this machine says nothing."""
    told = read_parameters(url).get(AUTHORITY)
    rest, _, query = url.partition("?")
    others = "&".join(part for part in query.split("&") if not part.startswith(f"{AUTHORITY}="))
    return (f"{rest}?{others}" if others else rest), told


def with_database(url: str, number: int | None) -> str:
    """Valkey's address with that database, whichever it named; for None as it is."""
    if number is None:
        return url
    parts = urlsplit(url)
    if parts.scheme == "unix":  # whose path is the socket's
        return parts._replace(query=f"db={number}").geturl()
    return parts._replace(path=f"/{number}").geturl()
