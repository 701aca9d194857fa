"""Valkey or Redis: the client, of one server or of the master that Sentinels name; and which servers are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self, cast

import redis.asyncio
from loguru import logger
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, parse_url
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
from redis.exceptions import NoPermissionError, RedisError

from bot import constants
from bot.errors import ServiceUnavailable
from bot.settings import SettingsError
from bot.stores.failures import asking_redis, redis_failure
from sandbox_worker.addresses import Host, Sentinels
from sandbox_worker.tls import name_refused

_REFUSED = {
    "cluster": "redis.url: REDIS_URL leads to a cluster, which has one database and keeps keys that belong together on "
    "several nodes; name a server of its own, or Sentinels.",
    "sentinel": "redis.url: REDIS_URL leads to a Sentinel; write it like "
    "redis+sentinel://default:password@host:26379,host:26379/NAME/0, with the name that it calls the master by.",
}
"""By `redis_mode`, or Valkey's `server_mode`."""
_UNREADABLE = "REDIS_URL is no address like redis://…@host:6379/0, or redis+sentinel://…@host:26379,host:26379/NAME/0"
_OF_THE_SERVER = ("host", "port", "connection_class")
_MEND = "name its authority in [tls] ca"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """`redis+sentinel://user:password@host:26379,host:26379/NAME/0`, or `rediss+sentinel` with TLS to all of them.

    User and password are the master's. Those of the Sentinels, if they have some, are the parameters
    `sentinel_username` and `sentinel_password`.
    """

    hosts: tuple[Host, ...]
    name: str
    """Of the master, which keeps it when another server becomes it."""
    has_tls: bool
    options: Mapping[str, Any] = field(repr=False)
    """redis-py's, of connections to the master."""

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """None for another address. `ValueError` if it names no Sentinel, or no master."""
        sentinels = Sentinels.read(url)
        if sentinels is None:
            return None
        if not all(host.name for host in sentinels.hosts):
            raise ValueError("it names no Sentinel")
        of_master = sentinels.url_of(Host("master", 0))
        options = {key: value for key, value in parse_url(of_master).items() if key not in _OF_THE_SERVER}
        return cls(sentinels.hosts, sentinels.master, of_master.startswith("rediss:"), options)


class _NamedSSLConnection(SSLConnection):
    """Says whose certificate it refuses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        name_refused(self.ssl_context.get(), mend=_MEND)


class _ManagedConnection(SentinelManagedConnection):
    """To a master. redis-py asks the Sentinels for a new connection, and with a lost one goes back to its server."""

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        if not self.is_connected:
            self.host, self.port = await self.connection_pool.get_master_address()
        await super().connect_check_health(check_health, retry_socket_connect)


class _ManagedSSLConnection(_ManagedConnection, SentinelManagedSSLConnection, _NamedSSLConnection):
    """The same by TLS."""


class _MasterPool(SentinelConnectionPool):
    """Its connections are to whom the Sentinels call the master now, and who says so itself."""

    def __init__(self, name: str, manager: Sentinel, options: Mapping[str, Any], *, has_tls: bool) -> None:
        managed = _ManagedSSLConnection if has_tls else _ManagedConnection
        super().__init__(name, manager, **options, connection_class=managed, redis_connect_func=_require_master)  # type: ignore[no-untyped-call]
        self._of_replicas = {**options, "connection_class": _NamedSSLConnection if has_tls else Connection}
        self._replicas: dict[tuple[str, int], redis.asyncio.Redis] = {}

    async def list_replicas(self) -> list[redis.asyncio.Redis]:
        """Those that the Sentinels reach, as the master's user."""
        found = await self.sentinel_manager.discover_slaves(self.service_name)
        # Asked last: it may have been a replica just now.
        master = await self.get_master_address()  # type: ignore[no-untyped-call]
        return [self._open_replica(host, port) for host, port in found if (host, port) != master]

    def _open_replica(self, host: str, port: int) -> redis.asyncio.Redis:
        if (host, port) not in self._replicas:
            pool = ConnectionPool(host=host, port=port, **self._of_replicas)
            self._replicas[host, port] = redis.asyncio.Redis.from_pool(pool)
        return self._replicas[host, port]

    async def aclose(self) -> None:
        await super().aclose()
        clients = (*self.sentinel_manager.sentinels, *self._replicas.values())
        await asyncio.gather(*(client.aclose() for client in clients))


def make_client(url: str, *, single_connection: bool = False, **options: Any) -> redis.asyncio.Redis:
    """With redis-py's options for its connections. `ValueError` if the address is none."""
    sentinels = SentinelAddress.parse(url)
    pool = _make_pool(parse_url(url), options) if sentinels is None else _make_master_pool(sentinels, options)
    client = redis.asyncio.Redis(connection_pool=pool, single_connection_client=single_connection)
    client.auto_close_connection_pool = True
    return client


def _make_pool(parsed: Mapping[str, Any], options: Mapping[str, Any]) -> ConnectionPool:
    pool_options = {**options, **parsed}
    if pool_options.get("connection_class") is SSLConnection:
        pool_options["connection_class"] = _NamedSSLConnection
    return ConnectionPool(**pool_options)


def _make_master_pool(address: SentinelAddress, options: Mapping[str, Any]) -> _MasterPool:
    of_sentinels = {key: value for key, value in address.options.items() if key.startswith("sentinel_")}
    of_master = {key: value for key, value in address.options.items() if key not in of_sentinels}
    manager = Sentinel([])  # type: ignore[no-untyped-call]
    manager.sentinels = [_ask_sentinel(address, host, port, of_sentinels) for host, port in address.hosts]
    return _MasterPool(address.name, manager, {**options, **of_master}, has_tls=address.has_tls)


def _ask_sentinel(address: SentinelAddress, host: str, port: int, login: Mapping[str, Any]) -> redis.asyncio.Redis:
    of_tls = {key: value for key, value in address.options.items() if key.startswith("ssl_")}
    of_login = {key.removeprefix("sentinel_"): value for key, value in login.items()}
    options = {"connection_class": _NamedSSLConnection, **of_tls} if address.has_tls else {}
    within_s = constants.SENTINEL_ANSWER_WITHIN_S
    pool = ConnectionPool(
        host=host,
        port=port,
        socket_timeout=within_s,
        socket_connect_timeout=within_s,
        retry=Retry(NoBackoff(), 0),
        **options,
        **of_login,
    )
    return redis.asyncio.Redis.from_pool(pool)


async def _require_master(connection: AbstractConnection) -> None:
    """A Sentinel that is cut off from the others may go on naming a server that has become a replica."""
    await connection.on_connect()
    await connection.send_command("ROLE")
    role = await connection.read_response()
    if role[0] not in (b"master", "master"):
        raise Lost("the Sentinels name a server that is a replica")


async def open_redis(url: str) -> redis.asyncio.Redis:
    """A client that has reached its server, or `ServiceUnavailable` with the reason, never the password.
    `SettingsError` for one that cannot serve the bot."""
    try:
        client = make_client(
            url,
            socket_timeout=constants.REDIS_ANSWER_WITHIN_S,
            socket_connect_timeout=constants.REDIS_ANSWER_WITHIN_S,
            health_check_interval=constants.REDIS_HEALTH_CHECK_EVERY_S,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=2),
        )
    except ValueError as error:
        raise ServiceUnavailable("Redis", _UNREADABLE) from error
    try:
        await _require_usable(client)
    except BaseException:
        await client.aclose()
        raise
    return client


async def _require_usable(client: redis.asyncio.Redis) -> None:
    try:
        await client.ping()
        told = await client.info("server")
    except NoPermissionError:  # it answers, and says nothing of itself
        return
    except MasterNotFoundError as error:
        raise await _explain(_pool_of(client)) from error
    except (RedisError, OSError) as error:
        raise redis_failure(error) from error
    if (mode := told.get("redis_mode", told.get("server_mode"))) in _REFUSED:
        raise SettingsError(_REFUSED[mode])


async def _explain(pool: _MasterPool) -> ServiceUnavailable:
    """Why no Sentinel names a master: what the first of them says."""
    try:
        await pool.sentinel_manager.sentinels[0].sentinel_master(pool.service_name)
    except (RedisError, OSError) as error:
        return ServiceUnavailable("Redis", f"no Sentinel names its master: {redis_failure(error).detail}")
    return redis_failure(MasterNotFoundError())


def _pool_of(client: redis.asyncio.Redis) -> _MasterPool:
    return cast("_MasterPool", client.connection_pool)


def master_of(client: redis.asyncio.Redis) -> tuple[str, int]:
    """Host and port, as the Sentinels have named it last; of a client that has them."""
    return cast("tuple[str, int]", _pool_of(client).master_address)


def watches_replicas(client: redis.asyncio.Redis) -> bool:
    """Whether there are Sentinels, which know of any."""
    return isinstance(client.connection_pool, _MasterPool)


async def list_replicas(client: redis.asyncio.Redis) -> list[redis.asyncio.Redis]:
    """Clients of those that the Sentinels reach, to be used and not closed; `ServiceUnavailable`."""
    with asking_redis():
        return await _pool_of(client).list_replicas() if watches_replicas(client) else []


async def ask_sentinels(client: redis.asyncio.Redis) -> list[tuple[Host, Host | ServiceUnavailable]]:
    """Of each that the address names, whom it calls the master, or why it doesn't."""
    pool = _pool_of(client)
    sentinels = pool.sentinel_manager.sentinels
    return [
        (_host_of(sentinel), answer)
        for sentinel, answer in zip(
            sentinels, await asyncio.gather(*(_ask_master(each, pool.service_name) for each in sentinels)), strict=True
        )
    ]


async def _ask_master(sentinel: redis.asyncio.Redis, name: str) -> Host | ServiceUnavailable:
    try:
        told = cast("dict[str, Any]", await sentinel.sentinel_master(name))
    except (RedisError, OSError) as error:
        return redis_failure(error)
    return Host(told["ip"], told["port"])


def _host_of(client: redis.asyncio.Redis) -> Host:
    options = client.connection_pool.connection_kwargs
    return Host(options["host"], options["port"])


@asynccontextmanager
async def following_master(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    """Meanwhile its connections are those to the master, as soon as another server has become it: the one before may be
    silent, or still take what nobody will ever see."""
    pool = client.connection_pool
    if not isinstance(pool, _MasterPool):
        yield
        return
    following = asyncio.create_task(_follow(pool))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following})


async def _follow(pool: _MasterPool) -> None:
    before = None
    while True:
        with suppress(RedisError, OSError):
            now = await pool.get_master_address()  # type: ignore[no-untyped-call]
            if before not in (None, now):
                logger.warning("another server is Valkey's or Redis's master", host=now[0], port=now[1])
                await pool.disconnect()
            before = now
        await asyncio.sleep(constants.SENTINELS_ASKED_EVERY_S)
