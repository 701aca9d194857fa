"""Every part of the table: what is run, and which rows come of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from statistics import quantiles

from bench.processes import Json, Process, start
from bench.receiving import GUILDS, blast, compare, purge, tapped
from bench.tapped import settings_of
from bot.control_plane import open_control_plane
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import Actor
from bot.stores.embedded import EmbeddedStores
from bot.stores.opening import open_stores

ROUTES = 100_000
_OWNER = Actor(10**17, "bench", is_admin=True)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run; `events` for one run of a throughput."""

    events: int
    runs: int
    latencies_s: float
    changes: int
    flood: int
    sandboxes: int


FULL = Size(events=50_000, runs=5, latencies_s=10, changes=200, flood=1_000_000, sandboxes=1000)
QUICK = Size(events=20_000, runs=1, latencies_s=2, changes=20, flood=100_000, sandboxes=100)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement; `goal` is what it should be, and `is_met` whether it is."""

    part: str
    what: str
    value: float
    unit: str
    goal: str = ""
    is_met: bool | None = None

    def as_json(self) -> Json:
        return asdict(self)


type Part = Callable[[EmbeddedStores, Size], Awaitable[list[Row]]]


async def throughput(stores: EmbeddedStores, size: Size, which: frozenset[str]) -> list[Row]:
    """Parts a and b, in turn."""
    found = await compare(stores, size.events, size.runs, which)
    titles = {"a": "bare discord.py receives", "b": "the bot routes, acknowledged"}
    rows: list[Row] = []
    for part, run in found.items():
        rows.append(Row(part, titles[part], run["events_per_s"], "events/s"))
        rows.append(Row(part, "CPU of that process", run["cpu_us"], "µs/event"))
    if {"a", "b"} <= set(found):
        ratio = found["b"]["events_per_s"] / found["a"]["events_per_s"]
        share = 100 * found["b"]["cpu_us"] / found["a"]["cpu_us"]
        rows.append(Row("b/a", "throughput", ratio, "times", "≥ 2.0", ratio >= 2))
        rows.append(Row("b/a", "CPU", share, "%", "≤ 45", share <= 45))
    if "b" in found:
        rows.append(Row("b", "CPU of nats-server", found["b"]["nats_cpu_us"], "µs/event"))
    if found:
        rows.append(Row("", "CPU of the sender", min(run["sender_cpu_us"] for run in found.values()), "µs/event"))
    return rows


async def publishers(stores: EmbeddedStores, size: Size) -> list[Row]:
    async with start("publishing", nats=stores.nats_url) as process:
        rates = await process.ask("compare", events=size.events, runs=size.runs)
    ratio = rates["publisher"] / rates["publish_async"]
    return [
        Row("c", "the publisher alone", rates["publisher"], "events/s"),
        Row("c", "nats-py's publish_async", rates["publish_async"], "events/s"),
        Row("c", "nats-py's publish, one by one", rates["publish"], "events/s"),
        Row("c", "the publisher to publish_async", ratio, "times", "≥ 2.5", ratio >= 2.5),
    ]


async def latency(stores: EmbeddedStores, size: Size) -> list[Row]:
    rows: list[Row] = []
    async with start("sender", guilds=GUILDS) as sender, tapped(sender, stores, bind=False) as bot:
        about = await sender.ask("describe")
        bound = await bot.ask("bind", owner=about["owner"], guilds=about["guilds"])
        async with start("worker", nats=stores.nats_url) as worker:
            await worker.ask("watch", sandboxes=bound["sandboxes"])
            await trickle(sender, worker, 200, 1)
            for rate in (200, 1000):
                ms = await trickle(sender, worker, rate, size.latencies_s)
                p99 = percentile(ms, 99)
                goal = ("≤ 2", p99 <= 2) if rate == 200 else ("", None)
                rows.append(Row("d", f"gateway to worker at {rate}/s, p50", percentile(ms, 50), "ms"))
                rows.append(Row("d", f"gateway to worker at {rate}/s, p99", p99, "ms", *goal))
    return rows


async def trickle(sender: Process, worker: Process, rate: int, seconds: float) -> list[float]:
    events = int(rate * seconds)
    _, received = await asyncio.gather(
        sender.ask("trickle", events=events, rate=rate), worker.ask("latencies", events=events)
    )
    found: list[float] = received["ms"]
    return found


async def changes(stores: EmbeddedStores, size: Size) -> list[Row]:
    """From the call of the manager, so the transaction itself is in it."""
    bind_ms: list[float] = []
    destroy_ms: list[float] = []
    async with _manager(stores) as manager, start("routes", postgres=stores.database_url) as other:
        for number in range(size.changes):
            guild = 2 * 10**17 + number
            sandbox = await manager.create(_OWNER)
            bind_ms.append(await _effect(other, guild, True, manager.register_guild(_OWNER, sandbox.id, guild)))
            destroy_ms.append(await _effect(other, guild, False, manager.destroy(_OWNER, sandbox.id)))
    rows: list[Row] = []
    for name, ms in (("bind", bind_ms), ("destroy", destroy_ms)):
        p99 = percentile(ms, 99)
        rows.append(Row("e", f"a {name} is effective in another process, p50", percentile(ms, 50), "ms"))
        rows.append(Row("e", f"a {name} is effective in another process, p99", p99, "ms", "≤ 50", p99 <= 50))
    return rows


async def _effect(other: Process, guild: int, routed: bool, change: Awaitable[object]) -> float:
    following = asyncio.create_task(other.ask("follow", guild=guild, routed=routed))
    await asyncio.sleep(0.005)
    called_at = time.monotonic()
    await change
    seen: float = (await following)["at"]
    return (seen - called_at) * 1000


@asynccontextmanager
async def _manager(stores: EmbeddedStores) -> AsyncIterator[SandboxManager]:
    addresses = {"postgres": stores.database_url, "redis": stores.redis_url, "nats": stores.nats_url}
    settings = settings_of({"token": "none", "api_base": "http://127.0.0.1", **addresses})
    async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
        yield manager


async def table(stores: EmbeddedStores, size: Size) -> list[Row]:
    async with start("routes", postgres=stores.database_url) as process:
        found = await process.ask("fill", routes=ROUTES)
    megabytes, lookup_us = found["bytes"] / 1e6, found["lookup_s"] * 1e6
    return [
        Row("f", f"memory of {ROUTES:,} routes", megabytes, "MB", "< 40", megabytes < 40),
        Row("f", "a lookup among them", lookup_us, "µs", "< 1", lookup_us < 1),
    ]


async def memory(stores: EmbeddedStores, size: Size) -> list[Row]:
    first = size.flood // 10
    async with start("sender", guilds=GUILDS) as sender, tapped(sender, stores, stream_max_messages=20_000) as bot:
        early = await blast(sender, bot, first, stores.pids["nats"])
        late = await blast(sender, bot, size.flood - first, stores.pids["nats"])
        await purge(stores)
        owner = (await sender.ask("describe"))["owner"]
        few, many = [
            await bot.ask("live", owner=owner, sandboxes=number) for number in (size.changes, 4 * size.changes)
        ]
    growth, of_lives = (late.rss - early.rss) / 1e6, (many["rss"] - few["rss"]) / 1e6
    lives = f"growth from {size.changes:,} sandboxes made and ended to {5 * size.changes:,}"
    return [
        Row("g", f"memory of the bot after {first:,} events", early.rss / 1e6, "MB"),
        Row("g", f"memory of the bot after {size.flood:,} events", late.rss / 1e6, "MB"),
        Row("g", "growth between the two", growth, "MB", "flat: ≤ 5", growth <= 5),
        Row("g", lives, of_lives, "MB", "flat: ≤ 5", of_lives <= 5),
    ]


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
