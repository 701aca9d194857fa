"""The addresses of stores: with somebody's login in them, or nobody's, and with a database. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit


def without_login(url: str) -> str:
    """The address without user and password; what else it says, such as `sslmode`, stays."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def with_login(url: str, user: str, password: str) -> str:
    """The address for that user, whosever it was."""
    parts = urlsplit(without_login(url))
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}").geturl()


def with_database(url: str, number: int | None) -> str:
    """Valkey's address with that database, whichever it named; for None as it is."""
    if number is None:
        return url
    parts = urlsplit(url)
    if parts.scheme == "unix":  # whose path is the socket's
        return parts._replace(query=f"db={number}").geturl()
    return parts._replace(path=f"/{number}").geturl()
