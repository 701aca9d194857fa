"""The addresses of stores: with somebody's login in them, or nobody's, and with a database. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from sandbox_worker.addresses import split_addresses


def without_login(urls: str) -> str:
    """The address without user and password; what else it says, such as `sslmode`, stays."""
    parts = map(urlsplit, split_addresses(urls))
    return ",".join(one._replace(netloc=one.netloc.rpartition("@")[2]).geturl() for one in parts)


def with_login(urls: str, user: str, password: str) -> str:
    """The address for that user, whosever it was."""
    parts = map(urlsplit, split_addresses(without_login(urls)))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return ",".join(one._replace(netloc=f"{login}@{one.netloc}").geturl() for one in parts)


def with_database(url: str, number: int | None) -> str:
    """Valkey's address with that database, whichever it named; for None as it is."""
    if number is None:
        return url
    parts = urlsplit(url)
    if parts.scheme == "unix":  # whose path is the socket's
        return parts._replace(query=f"db={number}").geturl()
    return parts._replace(path=f"/{number}").geturl()
