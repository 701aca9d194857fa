"""Which server of NATS is tried next, and with which login. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import ParseResult, SplitResult, unquote, urlsplit

from sandbox_worker.addresses import split_addresses


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One of a cluster. `login` is what nats-py calls its parts; without one, the URL has none either."""

    url: str
    login: Mapping[str, Any] = field(repr=False)
    tls_hostname: str | None = None
    """What its certificate is for, if not for the URL's host."""

    @property
    def where(self) -> str:
        """Its host and port."""
        return urlsplit(self.url).netloc


class NatsServers:
    """Those of the address, in an order of chance, then those that one of them has told of. Who fails is tried last."""

    def __init__(self, urls: str, *, user: str = "", password: str = "") -> None:
        """An address without a login has that of the one before, the first one `user` and `password`."""
        self._given = list(_read(urls, {"user": user, "password": password} if user else {}))
        self._order = random.sample(self._given, len(self._given))

    @property
    def first(self) -> NatsServer:
        """To be tried next."""
        return self._order[0]

    @property
    def has_others(self) -> bool:
        """Whether there is another way, where one server says nothing."""
        return len(self._order) > 1

    def put_last(self, server: NatsServer) -> None:
        """It could not be reached, or was lost."""
        if server in self._order:
            self._order.remove(server)
            self._order.append(server)

    def learn(self, teller: NatsServer, told: Iterable[ParseResult]) -> None:
        """All that a server says of its cluster; what was told before and is not any more has left it."""
        found = {parts.netloc: _of_cluster(teller, parts) for parts in told}
        for given in self._given:
            found.pop(given.where, None)
        kept = [server for server in self._order if server in self._given or server.where in found]
        known = {server.where for server in kept}
        self._order = kept + [server for where, server in found.items() if where not in known]


def _read(urls: str, login: Mapping[str, str]) -> Iterator[NatsServer]:
    for url in split_addresses(urls):
        parts = urlsplit(url.strip() if "://" in url else f"nats://{url.strip()}")
        login = _login_of(parts) or login
        for host in parts.netloc.rpartition("@")[2].split(","):
            yield NatsServer(parts._replace(netloc=host.strip()).geturl(), login)


def _login_of(parts: SplitResult) -> dict[str, str]:
    """A name without a password is a token."""
    user = unquote(parts.username or "")
    if parts.password is None:
        return {"token": user} if user else {}
    return {"user": user, "password": unquote(parts.password)}


def _of_cluster(teller: NatsServer, parts: ParseResult) -> NatsServer:
    host = urlsplit(teller.url).hostname or ""
    name = teller.tls_hostname or (None if _is_ip(host) else host)
    url = f"{urlsplit(teller.url).scheme}://{parts.netloc}"
    return NatsServer(url, teller.login, name if _is_ip(parts.hostname or "") else None)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
