"""What the checks look at: the settings, and the stores and Discord, each opened once and all at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any

import discord
import redis.asyncio
from nats.aio.client import Client

from bot import constants
from bot.cli.check.shared import Shared, Unanswerable
from bot.cli.check.time_gap import SAME, DateHeaders, TimeGap
from bot.control_plane import open_redis_store, probe_nats
from bot.health_sources import http_client, log_in
from bot.i18n import gettext
from bot.routing.gateway import set_api_base
from bot.sandboxes.access.isolation import Enforcement, Isolation, probe_postgres, probe_redis
from bot.settings import Settings
from bot.shutdown import Deadline
from bot.stores.migrations import list_missing_migrations
from bot.stores.nats_client import abort_nats, close_nats, open_nats
from bot.stores.opening import Addresses, CalloutClients, open_addresses
from bot.stores.postgres import Pool, open_pool
from bot.stores.redis_client import open_redis


@dataclass(frozen=True, slots=True)
class Application:
    """Discord's, logged in to its HTTP API; `headers` have told the time there."""

    client: discord.Client
    info: discord.AppInfo
    headers: DateHeaders


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`trials`: whether anything may be written at all, to be taken back at once. One trial of each store's at a time:
    they would be in each other's way."""

    settings: Settings
    trials: bool
    addresses: Shared[Addresses]
    postgres: Shared[Pool]
    redis: Shared[redis.asyncio.Redis]
    nats: Shared[Client]
    callout: Shared[CalloutClients | None]
    discord: Shared[Application]
    postgres_isolation: Shared[Enforcement]
    redis_isolation: Shared[Enforcement]
    nats_isolation: Shared[Enforcement]
    postgres_trial: asyncio.Lock
    redis_trial: asyncio.Lock

    def shared(self) -> list[Shared[Any]]:
        """All that is opened."""
        values = (getattr(self, each.name) for each in fields(self))
        return [value for value in values if isinstance(value, Shared)]

    async def migrated(self) -> Pool:
        """`Unanswerable` if the database lacks what this version needs."""
        pool = await self.postgres.get()
        if (await list_missing_migrations(pool))[0]:
            raise Unanswerable("postgres.migrations")
        return pool

    async def isolation(self) -> Isolation:
        """As far as it could be found out."""
        found = {}
        for store in ("postgres", "redis", "nats"):
            with suppress(Unanswerable):
                found[store] = await getattr(self, f"{store}_isolation").get()
        return Isolation(**found)

    async def reference(self) -> tuple[str, TimeGap]:
        """Whose clock others are compared with, and how far that is from this machine's: Discord's, or else its own."""
        try:
            return "Discord", (await self.discord.get()).headers.gap
        except Unanswerable:
            return gettext("this machine"), SAME


@asynccontextmanager
async def open_surroundings(settings: Settings, *, trials: bool) -> AsyncIterator[Surroundings]:
    """What is opened is closed at the end, in good order if that takes no time."""
    addresses = Shared("stores", open_addresses(settings, share=True), close_within_s=constants.STOP_WITHIN_S)
    pool = Shared("postgres.server", _pool(addresses))
    client = Shared("redis.server", _redis(addresses))
    callout = Shared("nats.callout", _callout(addresses))
    trial_of_postgres, trial_of_redis = asyncio.Lock(), asyncio.Lock()
    found = Surroundings(
        settings,
        trials,
        addresses,
        pool,
        client,
        Shared("nats.server", _nats(addresses)),
        callout,
        Shared("discord.application", _discord(settings)),
        Shared("postgres.isolation", _postgres_isolation(pool, trial_of_postgres, trials)),
        Shared("redis.isolation", _redis_isolation(settings, client, trial_of_redis, trials)),
        Shared("nats.isolation", _nats_isolation(settings, addresses, callout)),
        trial_of_postgres,
        trial_of_redis,
    )
    try:
        yield found
    finally:
        await asyncio.gather(*(each.close() for each in found.shared() if each is not addresses))
        await addresses.close()


@asynccontextmanager
async def _pool(addresses: Shared[Addresses]) -> AsyncIterator[Pool]:
    pool = await open_pool((await addresses.get()).postgres, max_size=constants.CHECK_POOL_SIZE)
    try:
        yield pool
    finally:
        await _ending().close("PostgreSQL", pool.close, pool.terminate)


@asynccontextmanager
async def _redis(addresses: Shared[Addresses]) -> AsyncIterator[redis.asyncio.Redis]:
    async with await open_redis((await addresses.get()).redis) as client:
        yield client


@asynccontextmanager
async def _nats(addresses: Shared[Addresses]) -> AsyncIterator[Client]:
    found = await addresses.get()
    async with _connected(found.nats, login=found.nats_login) as client:
        yield client


@asynccontextmanager
async def _callout(addresses: Shared[Addresses]) -> AsyncIterator[CalloutClients | None]:
    callout = (await addresses.get()).callout
    if callout is None:
        yield None
        return
    async with (
        _connected(callout.auth_url, name="sandbox-bot auth", jetstream=False) as auth,
        _connected(callout.system_url, name="sandbox-bot system", jetstream=False) as system,
    ):
        yield CalloutClients(auth, system, callout.account_seed)


@asynccontextmanager
async def _connected(url: str, **options: Any) -> AsyncIterator[Client]:
    client = await open_nats(url, **options)
    try:
        yield client
    finally:
        await _ending().close("NATS", lambda: close_nats(client), lambda: abort_nats(client))


@asynccontextmanager
async def _discord(settings: Settings) -> AsyncIterator[Application]:
    headers = DateHeaders()
    set_api_base(settings.discord.api_base)
    async with http_client(headers.trace) as client:
        await log_in(client, settings)
        yield Application(client, await client.application_info(), headers)


@asynccontextmanager
async def _postgres_isolation(pool: Shared[Pool], turn: asyncio.Lock, trials: bool) -> AsyncIterator[Enforcement]:
    opened = await pool.get()
    async with turn:
        found = Enforcement(await probe_postgres(opened, trial=trials))
    yield found


@asynccontextmanager
async def _redis_isolation(
    settings: Settings, client: Shared[redis.asyncio.Redis], turn: asyncio.Lock, trials: bool
) -> AsyncIterator[Enforcement]:
    store = open_redis_store(settings, await client.get(), configures=False)
    async with turn:
        found = await probe_redis(store, trial=trials)
    yield found


@asynccontextmanager
async def _nats_isolation(
    settings: Settings, addresses: Shared[Addresses], callout: Shared[CalloutClients | None]
) -> AsyncIterator[Enforcement]:
    public = (await addresses.get()).public["nats"]
    yield await probe_nats(settings, await callout.get(), public)


def _ending() -> Deadline:
    return Deadline(constants.CLOSE_WITHIN_S)
