"""How a sandbox's share of each store is, really asked of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import asyncpg

from bot import constants
from bot.errors import ServiceUnavailable
from bot.i18n import gettext, ngettext
from bot.sandboxes.model import Sandbox
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """`summary` is for people; `figures` are the numbers in it, empty when the store did not answer."""

    ok: bool
    summary: str
    figures: dict[str, int]


@dataclass(frozen=True, slots=True)
class Health:
    """A sandbox, and what each store said of its share just now."""

    sandbox: Sandbox
    postgres: StoreHealth
    redis: StoreHealth
    nats: StoreHealth

    @property
    def stores(self) -> dict[str, StoreHealth]:
        """By the store's name, in the order in which they are shown."""
        return {"postgres": self.postgres, "redis": self.redis, "nats": self.nats}

    @property
    def ok(self) -> bool:
        """Whether all three stores are."""
        return all(store.ok for store in self.stores.values())


class HealthProbe:
    """Asks the three stores together, each at most `HEALTH_TIMEOUT_S`."""

    def __init__(self, schemas: SchemaProvisioner, redis: RedisStore, streams: StreamStore) -> None:
        self._schemas, self._redis, self._streams = schemas, redis, streams

    async def probe(self, sandbox: Sandbox) -> Health:
        """A store that doesn't answer makes its part not ok; nothing is raised for it."""
        postgres, redis, nats = await asyncio.gather(
            _answer(self._postgres(sandbox)), _answer(self._keys(sandbox)), _answer(self._stream(sandbox))
        )
        return Health(sandbox, postgres, redis, nats)

    async def _postgres(self, sandbox: Sandbox) -> StoreHealth:
        if not await self._schemas.schema_exists(sandbox.id):
            return StoreHealth(False, gettext("schema {schema} is missing", schema=sandbox.schema_name), {})
        try:
            tables = await self._schemas.get_schema_stats(sandbox.id)
        except asyncpg.LockNotAvailableError:
            return StoreHealth(False, gettext("a worker holds a lock on a table"), {})
        figures = {
            "tables": len(tables),
            "rows": sum(table.rows for table in tables),
            "bytes": sum(table.bytes for table in tables),
        }
        parts = (
            ngettext(figures["tables"], "{number} table", "{number} tables"),
            ngettext(figures["rows"], "{number:,} row", "{number:,} rows"),
            _size(figures["bytes"]),
        )
        return StoreHealth(True, ", ".join(parts), figures)

    async def _keys(self, sandbox: Sandbox) -> StoreHealth:
        keys = await self._redis.count_keys(sandbox.id)
        return StoreHealth(True, ngettext(keys, "{number:,} key", "{number:,} keys"), {"keys": keys})

    async def _stream(self, sandbox: Sandbox) -> StoreHealth:
        stats = await self._streams.stats(sandbox.id)
        if stats is None:
            missing = gettext("stream {stream} or its consumer is missing", stream=sandbox.stream)
            return StoreHealth(False, missing, {})
        figures = {
            "messages": stats.messages,
            "bytes": stats.bytes,
            "unacknowledged": stats.waiting,
            "waiting_workers": stats.workers,
        }
        parts = (
            ngettext(stats.messages, "{number:,} event", "{number:,} events"),
            _size(stats.bytes),
            gettext("{number:,} not yet acknowledged by a worker", number=stats.waiting),
            ngettext(stats.workers, "{number} worker waits for more", "{number} workers wait for more"),
        )
        return StoreHealth(True, ", ".join(parts), figures)


async def _answer(question: Awaitable[StoreHealth]) -> StoreHealth:
    try:
        async with asyncio.timeout(constants.HEALTH_TIMEOUT_S):
            return await question
    except TimeoutError:
        return StoreHealth(False, gettext("no answer within {seconds} s", seconds=constants.HEALTH_TIMEOUT_S), {})
    except ServiceUnavailable as error:
        return StoreHealth(False, gettext("not reachable: {detail}", detail=error.detail), {})


def _size(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
