"""Opens the three stores that the settings name, the embedded ones included, and closes them in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import redis.asyncio
from nats.aio.client import Client

from bot.settings import Settings
from bot.stores.embedded import EmbeddedStores
from bot.stores.nats import open_nats
from bot.stores.postgres import Pool, migrate, open_pool
from bot.stores.redis import open_redis

ALL = frozenset({"postgres", "redis", "nats"})


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stores are. They hold passwords: never log one."""

    postgres: str
    redis: str
    nats: str


@dataclass(frozen=True, slots=True)
class Stores:
    addresses: Addresses
    pool: Pool
    redis: redis.asyncio.Redis
    nats: Client


@asynccontextmanager
async def open_addresses(settings: Settings, *, only: frozenset[str] = ALL) -> AsyncIterator[Addresses]:
    """The configured addresses; what is to be embedded (of `only`) runs as long as the context lasts."""
    configured = {
        "postgres": settings.postgres.dsn.get_secret_value(),
        "redis": settings.redis.url.get_secret_value(),
        "nats": settings.nats.url.get_secret_value(),
    }
    to_run = settings.embedded_stores & only
    if not to_run:
        yield Addresses(**configured)
        return
    folder, durable = settings.embedded.folder, settings.embedded.durable
    async with EmbeddedStores(folder, stores=to_run, durable=durable) as embedded:
        yield Addresses(**configured | {name: embedded.url(name) for name in to_run})


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """All three, reached and migrated. `ServiceUnavailable` or `EmbeddedError` says which one is not."""
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(open_addresses(settings))
        pool = await open_pool(addresses.postgres, max_size=settings.postgres.pool_size)
        stack.push_async_callback(pool.close)
        await migrate(pool)
        client = await open_redis(addresses.redis)
        stack.push_async_callback(client.aclose)
        nats = await open_nats(addresses.nats)
        stack.push_async_callback(nats.close)
        yield Stores(addresses, pool, client, nats)
