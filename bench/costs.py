"""Part l: what a sandbox, a guild and a shard cost in each store and in the bot, and what all do without events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import asyncpg
import nats
import redis.asyncio

from bench.meter import cpu_with_children, files_of, memory_of
from bench.parts import Row, Size
from bench.processes import Process, start
from bench.receiving import tapped
from bot.stores.embedded import EmbeddedStores

_FEW_GUILDS, _SHARDS = 8, 9
_SETTLES_S = 5.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What there is of each thing, of all sandboxes together. Memory and files in bytes."""

    database: float
    roles: float
    relations: float
    redis_memory: float
    redis_keys: float
    redis_users: float
    streams: float
    consumers: float
    nats_memory: float
    nats_disk: float
    nats_files: float
    bot_memory: float


_NAMES = {
    "database": ("PostgreSQL: database", "kB", 1e3),
    "roles": ("PostgreSQL: roles", "", 1),
    "relations": ("PostgreSQL: tables, indexes and the like", "", 1),
    "redis_memory": ("Valkey: memory", "kB", 1e3),
    "redis_keys": ("Valkey: keys of the bot's", "", 1),
    "redis_users": ("Valkey: users", "", 1),
    "streams": ("NATS: streams", "", 1),
    "consumers": ("NATS: consumers", "", 1),
    "nats_memory": ("NATS: memory", "kB", 1e3),
    "nats_disk": ("NATS: disk", "kB", 1e3),
    "nats_files": ("NATS: open files", "", 1),
    "bot_memory": ("bot: memory, with its guild", "kB", 1e3),
}


async def costs(stores: EmbeddedStores, size: Size) -> list[Row]:
    """The sandboxes have credentials and a guild each; no event has come yet."""
    count, callout = size.sandboxes, stores.nats_callout
    enforced = {"auth_url": callout.auth_url, "system_url": callout.system_url, "account_seed": callout.account_seed}
    async with (
        start("sender", guilds=count) as sender,
        tapped(sender, stores, bind=False, stream_max_megabytes=1, sweep_every_s=1, callout=enforced) as bot,
    ):
        before, rest = await _take(stores, bot), await _rest(stores, bot, size.latencies_s)
        about = await sender.ask("describe")
        started_at = time.monotonic()
        for first in range(0, count, 100):
            some, developer = about["guilds"][first : first + 100], about["owner"] + 1 + first
            await bot.ask("fill", owner=about["owner"], developer=developer, guilds=some)
        took_s = time.monotonic() - started_at
        await asyncio.sleep(_SETTLES_S)
        after, busy = await _take(stores, bot), await _rest(stores, bot, 2 * size.latencies_s)
    each = {field.name: (getattr(after, field.name) - getattr(before, field.name)) / count for field in fields(Taken)}
    return [
        *(Row("l", f"a sandbox: {name}", each[key] / unit, label) for key, (name, label, unit) in _NAMES.items()),
        Row("l", f"a sandbox: making it, one after the other, to {count:,}", took_s / count * 1e3, "ms"),
        *(Row("l", f"at rest without sandboxes: {name}", cpu, "ms/s") for name, cpu in rest.items()),
        *(Row("l", f"at rest with {count:,}: {name}", cpu, "ms/s") for name, cpu in busy.items()),
        await _guild(stores, count),
        *await _shard(stores, size),
    ]


async def _take(stores: EmbeddedStores, bot: Process) -> Taken:
    postgres = await asyncpg.connect(stores.superuser_url(stores.database_url.rpartition("/")[2]))
    client, connection = redis.asyncio.from_url(stores.redis_url), await nats.connect(stores.nats_url)
    jetstream = await connection.jetstream().account_info()
    try:
        return Taken(
            await postgres.fetchval("SELECT pg_database_size(current_database())"),
            await postgres.fetchval("SELECT count(*) FROM pg_roles"),
            await postgres.fetchval("SELECT count(*) FROM pg_class"),
            (await client.info("memory"))["used_memory"],
            await client.dbsize(),
            len(await client.acl_users()),
            jetstream.streams,
            jetstream.consumers,
            memory_of(stores.pids["nats"]),
            _disk(stores._folder / "nats"),
            files_of(stores.pids["nats"]),
            (await bot.ask("used"))["rss"],
        )
    finally:
        await connection.close()
        await client.aclose()
        await postgres.close()


async def _rest(stores: EmbeddedStores, bot: Process, seconds: float) -> dict[str, float]:
    """Milliseconds of CPU in each second, of all processes."""

    async def read() -> dict[str, float]:
        servers = {name: cpu_with_children(pid) for name, pid in stores.pids.items()}
        return {"bot": (await bot.ask("used"))["cpu"], **servers}

    before = await read()
    await asyncio.sleep(seconds)
    return {name: (cpu - before[name]) / seconds * 1e3 for name, cpu in (await read()).items()}


async def _guild(stores: EmbeddedStores, count: int) -> Row:
    """One that nobody has bound: the bot knows of it."""
    found = []
    for guilds in (_FEW_GUILDS, _FEW_GUILDS + count):
        async with start("sender", guilds=guilds) as sender, tapped(sender, stores, bind=False) as bot:
            found.append((await bot.ask("used"))["rss"])
    return Row("l", "a guild that is not bound: bot: memory", (found[1] - found[0]) / count / 1e3, "kB")


async def _shard(stores: EmbeddedStores, size: Size) -> Iterable[Row]:
    memory, cpu = [], []
    for shards in (1, _SHARDS):
        async with (
            start("sender", guilds=_FEW_GUILDS, shards=shards) as sender,
            tapped(sender, stores, bind=False, shard_count=shards) as bot,
        ):
            cpu.append((await _rest(stores, bot, size.latencies_s))["bot"])
            memory.append((await bot.ask("used"))["rss"])
    more = _SHARDS - 1
    return (
        Row("l", "a shard: bot: memory", (memory[1] - memory[0]) / more / 1e3, "kB"),
        Row("l", "a shard at rest: bot", (cpu[1] - cpu[0]) / more, "ms/s"),
    )


def _disk(folder: Path) -> int:
    """What its files take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
