"""Opens the three stores that the settings name, the embedded ones included, and closes them in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakSet

import redis.asyncio
from nats.aio.client import Client

from bot import constants
from bot.errors import ServiceUnavailable
from bot.settings import Settings, Workers
from bot.shutdown import Deadline
from bot.stores.embedded import EmbeddedError, EmbeddedStores, PostgresLimits, Programs, Reach
from bot.stores.migrations import migrate
from bot.stores.nats_access import Callout
from bot.stores.nats_addresses import NO_LOGIN, NatsLogin
from bot.stores.nats_client import abort_nats, close_nats, open_nats
from bot.stores.nats_sync import settled_after
from bot.stores.postgres import Pool, RawConnection, open_pool
from bot.stores.postgres_hosts import following_primary
from bot.stores.postgres_poolers import require_sessions
from bot.stores.redis_client import following_master, open_redis
from bot.stores.urls import take_authority, with_authority, without_login
from bot.supervisor import Part, State

ALL = frozenset({"postgres", "redis", "nats"})


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stores are. They hold passwords: never log one."""

    postgres: str = field(repr=False)
    redis: str = field(repr=False)
    nats: str = field(repr=False)
    callout: Callout | None = None
    nats_login: NatsLogin = NO_LOGIN
    """For the bot's own connections to `nats`."""
    embedded: EmbeddedStores | None = field(default=None, repr=False)
    """What this process runs of them itself, to be watched; None if there is nothing, or it is another process's."""
    of_embedded: Mapping[str, str] = field(default_factory=dict)
    """By embedded store, where workers reach it."""

    @property
    def public(self) -> dict[str, str]:
        """By store, without the bot's own credentials, and in PostgreSQL's and Redis's whom it trusts."""
        postgres, redis_url = (take_authority(address)[0] for address in (self.postgres, self.redis))
        addresses = {"postgres": postgres, "redis": redis_url, "nats": self.nats}
        return {store: without_login(address) for store, address in addresses.items()}

    @property
    def for_workers(self) -> dict[str, str]:
        """The same, as far as other machines reach it where the bot doesn't."""
        return {**self.public, **self.of_embedded}


@dataclass(frozen=True, slots=True)
class CalloutClients:
    """Connected as the two users that answer NATS's auth callout."""

    auth: Client
    system: Client
    account_seed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stores:
    """All three, open. `callout` is None where NATS asks no bot who may connect."""

    addresses: Addresses
    pool: Pool
    redis: redis.asyncio.Redis
    nats: Client
    callout: CalloutClients | None

    @property
    def is_alone(self) -> bool:
        """Whether no other bot can be on the same database: this process runs it, and has its folder."""
        embedded = self.addresses.embedded
        return embedded is not None and embedded.runs("postgres")

    @property
    def nats_of_workers(self) -> Client:
        """A client in the account that the sandboxes' workers are in."""
        return self.callout.auth if self.callout else self.nats

    async def settled_after(self) -> float:
        """How many seconds after its acknowledgement an event is on NATS's disk, to be waited for by what tells of it;
        0 where nobody can wait for that."""
        return await settled_after(self.callout.system if self.callout else None)


@asynccontextmanager
async def open_addresses(
    settings: Settings, *, only: frozenset[str] = ALL, share: bool = False
) -> AsyncIterator[Addresses]:
    """The configured addresses; what is to be embedded (of `only`) runs as long as the context lasts.

    With `share`, the embedded stores of a bot that runs are used, instead of being refused.
    """
    configured = _configured(settings)
    login = NatsLogin(settings.nats.credentials, settings.nats.nkey_seed.get_secret_value())
    to_run = settings.embedded_stores & only
    if not to_run:
        yield Addresses(configured["postgres"], configured["redis"], configured["nats"], _callout(settings), login)
        return
    async with _embedded(settings, to_run, share=share) as embedded:
        urls = configured | {name: embedded.url(name) for name in to_run}
        callout = embedded.nats_callout if "nats" in to_run else _callout(settings)
        own = embedded if embedded.is_owner else None
        of_embedded = {name: embedded.worker_url(name) for name in to_run}
        yield Addresses(urls["postgres"], urls["redis"], urls["nats"], callout, login, own, of_embedded)


def _configured(settings: Settings) -> dict[str, str]:
    redis_url = settings.redis.url.get_secret_value()
    return {
        "postgres": with_authority(settings.postgres.dsn.get_secret_value(), settings.tls.ca),
        "redis": with_authority(redis_url, settings.tls.ca) if redis_url.startswith("rediss") else redis_url,
        "nats": with_authority(settings.nats.url.get_secret_value(), settings.tls.ca),
    }


def _embedded(settings: Settings, stores: frozenset[str], *, share: bool) -> EmbeddedStores:
    chosen = settings.embedded
    return EmbeddedStores(
        chosen.folder,
        stores=stores,
        durable=chosen.durable,
        share=share,
        programs=Programs(valkey=chosen.valkey, postgres=chosen.postgres),
        limits=postgres_limits(settings),
        reach=_reach(settings.workers),
        extensions=chosen.extensions,
    )


def _reach(chosen: Workers) -> Reach:
    reach = Reach(chosen.listen, chosen.host or chosen.listen)
    return replace(reach, certificates=chosen.certificates) if reach.is_open else reach


def postgres_limits(settings: Settings) -> PostgresLimits:
    """Connections for two bots and the sandboxes of some developers, by what each of them may have."""
    reserved = 2 * (settings.postgres.pool_size + constants.POSTGRES_BESIDE_POOL)
    per_owner = settings.isolation.max_connections * settings.sandboxes.max_per_owner
    connections = reserved + constants.EMBEDDED_SPARE_CONNECTIONS + constants.EMBEDDED_OWNERS * per_owner
    return PostgresLimits(min(connections, constants.EMBEDDED_MOST_CONNECTIONS), reserved)


@asynccontextmanager
async def open_stores(
    settings: Settings, *, share: bool = False, deadline: Deadline | None = None, migrating: bool = True
) -> AsyncIterator[Stores]:
    """All three, reached and, if `migrating`, migrated. `ServiceUnavailable` or `EmbeddedError` says which one is not.

    They are closed within the deadline, which has to be the whole process's if that has one.
    """
    deadline = deadline or Deadline(constants.STOP_WITHIN_S)
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(open_addresses(settings, share=share))
        pool = await _open_pool(stack, deadline, addresses.postgres, settings.postgres.pool_size, whole=not share)
        if not (share and migrating):  # a command line relies on the bot's having asked
            await require_sessions(pool)
        if migrating:
            await migrate(pool)
        client = await open_redis(addresses.redis)
        stack.push_async_callback(deadline.close, "Redis", client.aclose, client.connection_pool.reset)
        await stack.enter_async_context(following_master(client))
        nats = await _open_nats(stack, deadline, addresses.nats, login=addresses.nats_login)
        callout = await _open_callout(stack, deadline, addresses.callout) if addresses.callout else None
        yield Stores(addresses, pool, client, nats, callout)


async def _open_pool(stack: AsyncExitStack, deadline: Deadline, address: str, size: int, *, whole: bool) -> Pool:
    opened: WeakSet[RawConnection] = WeakSet()
    pool = await open_pool(address, max_size=size, whole=whole, opened=opened)
    stack.push_async_callback(deadline.close, "PostgreSQL", pool.close, pool.terminate)
    await stack.enter_async_context(following_primary(address, opened))
    return pool


async def watch_embedded(embedded: EmbeddedStores, note: Callable[[str], object], part: Part) -> None:
    """`ServiceUnavailable` when the servers have ended with their guardian; the next run starts them again, and gives
    `note` the reason."""
    try:
        if part.state is State.FAILING:
            await embedded.restart()
            note(part.last_error or "their guardian ended")
        part.running()
        await embedded.watch()
    except EmbeddedError as error:
        raise ServiceUnavailable("embedded servers", str(error)) from error


async def _open_callout(stack: AsyncExitStack, deadline: Deadline, callout: Callout) -> CalloutClients:
    auth = await _open_nats(stack, deadline, callout.auth_url, name="sandbox-bot auth", jetstream=False)
    system = await _open_nats(stack, deadline, callout.system_url, name="sandbox-bot system", jetstream=False)
    return CalloutClients(auth, system, callout.account_seed)


async def _open_nats(stack: AsyncExitStack, deadline: Deadline, url: str, **options: Any) -> Client:
    client = await open_nats(url, **options)
    stack.push_async_callback(deadline.close, "NATS", lambda: close_nats(client), lambda: abort_nats(client))
    return client


def _callout(settings: Settings) -> Callout | None:
    """None unless all three secrets are set."""
    nats = settings.nats
    auth, system, seed = (each.get_secret_value() for each in (nats.auth_url, nats.system_url, nats.account_seed))
    if not (auth and system and seed):
        return None
    return Callout(with_authority(auth, settings.tls.ca), with_authority(system, settings.tls.ca), seed)
