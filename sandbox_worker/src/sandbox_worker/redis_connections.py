"""Connections to a sandbox's Redis or Valkey: what they send has its prefix, and where Sentinels say so, they move."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as LateAnswer

from sandbox_worker import constants
from sandbox_worker.addresses import Sentinels
from sandbox_worker.redis_keys import key_positions
from sandbox_worker.tls import name_refused
from sandbox_worker.trust import MEND


class _Prefixing:
    """Before one of redis-py's classes of connections."""

    def __init__(self, *, prefix: str, **options: Any) -> None:
        self._prefix = prefix.encode()
        super().__init__(**options)
        # What a connection tells of itself at its start, by CLIENT, which is not a sandbox's to use: the first is asked
        # by newer versions of redis-py, the others by older ones. `UnsupportedCommand` at the first command of all
        # would show another name for it.
        for name in ("driver_info", "lib_name", "lib_version"):
            setattr(self, name, None)

    def pack_command(self, *arguments: Any) -> list[bytes]:
        command, *rest = arguments
        words = command.split() if isinstance(command, bytes) else str(command).encode().split()
        whole = [*words, *rest]
        for position in key_positions(whole):
            whole[position] = self._prefix + self.encoder.encode(whole[position])  # type: ignore[attr-defined]
        packed: list[bytes] = super().pack_command(*whole)  # type: ignore[misc]
        return packed


class _Naming:
    """Before those with TLS: says whose certificate is refused, and what to do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        name_refused(self.ssl_context.get(), mend=MEND)  # type: ignore[attr-defined]

    def _error_message(self, exception: BaseException) -> str:
        if isinstance(exception, ssl.SSLCertVerificationError):
            return str(exception)
        return str(super()._error_message(exception))  # type: ignore[misc]


class _PlainConnection(_Prefixing, Connection):
    pass


class _TlsConnection(_Prefixing, _Naming, SSLConnection):
    pass


class _SocketConnection(_Prefixing, UnixDomainSocketConnection):
    pass


class _Asking:
    """Before those of redis-py's that ask the Sentinels, which a command that is tried again does not. Waits out a
    failover."""

    async def connect(self) -> None:
        until = time.monotonic() + constants.FAILOVER_TIMEOUT_S
        while True:
            try:
                return await super().connect()  # type: ignore[misc,no-any-return]
            except (Lost, LateAnswer):
                if time.monotonic() > until:
                    raise

    async def _connect(self) -> None:
        self.host, self.port = await self.connection_pool.get_master_address()  # type: ignore[attr-defined]
        await super()._connect()  # type: ignore[misc]


class _PrimaryConnection(_Prefixing, _Asking, SentinelManagedConnection):
    pass


class _TlsPrimaryConnection(_Prefixing, _Naming, _Asking, SentinelManagedSSLConnection):
    pass


class _TlsToSentinel(_Naming, SSLConnection):
    pass


_CONNECTIONS = {
    Connection: _PlainConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _SocketConnection,
}


class PrimaryPool(SentinelConnectionPool):
    """Of connections to whom the Sentinels name. When that is another one, all are left, with what waits on them."""

    _following: asyncio.Task[None] | None = None

    async def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """As redis-py's."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        return await super().get_connection(*arguments, **options)  # type: ignore[no-untyped-call]

    async def get_master_address(self) -> Any:
        """As redis-py's, whose error does not say what is wrong with whom: a Sentinel that cannot be asked says it."""
        try:
            return await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.ping()
            raise

    async def stop(self) -> None:
        """Asks the Sentinels no more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose(close_connection_pool=True)

    async def _follow(self) -> None:
        before = None
        while True:
            with suppress(RedisError, OSError):
                now = await self.get_master_address()
                if before not in (None, now):
                    await self.disconnect()
                before = now
            await asyncio.sleep(constants.SENTINELS_ASKED_EVERY_S)


def make_pool(url: str, prefix: str, sentinels: Sentinels | None, tls_ca: str) -> ConnectionPool:
    """RESP 2, for HELLO is not a sandbox's to use."""
    options: dict[str, Any] = {**parse_url(sentinels.login_url if sentinels else url), "protocol": 2, "prefix": prefix}
    kind = options.pop("connection_class", Connection)
    trusted = {"ssl_ca_certs": tls_ca} if tls_ca and kind is SSLConnection else {}
    options = {**trusted, **options, "max_connections": constants.REDIS_CONNECTIONS}
    options["retry"] = Retry(ExponentialBackoff(cap=1, base=0.05), retries=constants.REDIS_RETRIES)
    options["socket_connect_timeout"] = constants.REDIS_TIMEOUT_S
    if sentinels is None:
        return ConnectionPool(_CONNECTIONS[kind], **options)  # type: ignore[type-abstract]
    of_tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    manager = Sentinel([])  # type: ignore[no-untyped-call]
    manager.sentinels = [_to_sentinel(host.name, host.port, of_tls, kind) for host in sentinels.hosts]
    managed = _TlsPrimaryConnection if kind is SSLConnection else _PrimaryConnection
    return PrimaryPool(  # type: ignore[no-untyped-call]
        sentinels.master, manager, connection_class=managed, **options
    )


def _to_sentinel(host: str, port: int, of_tls: dict[str, Any], kind: type[Connection]) -> Redis:
    """With TLS if the server that they name has it."""
    pool = ConnectionPool(
        _TlsToSentinel if kind is SSLConnection else Connection,
        host=host,
        port=port,
        socket_timeout=constants.SENTINEL_TIMEOUT_S,
        socket_connect_timeout=constants.SENTINEL_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        **of_tls,
    )
    return Redis(connection_pool=pool)
