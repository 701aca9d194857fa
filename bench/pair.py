"""Part k: the routing by one bot with two shards and by two bots with one each, by turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median

from bench.parts import Row, Size
from bench.processes import Process, start
from bench.receiving import GUILDS, purge
from bot.stores.embedded import EmbeddedStores

_SHARDS, _BOTS = 2, (1, 2)
_WARM_UP = 2000
_RATE = 1000
_EVERY_S = 1 / _RATE  # one by one: of several that come at once each costs less
_MOST = 1.1
_FAST, _SLOW, _IDLE = "as fast as possible", f"at {_RATE:,}/s", "at rest"


async def pair(stores: EmbeddedStores, size: Size) -> list[Row]:
    """As fast as they can; and at a steady rate, beyond what they do without events: at rest, each second."""
    runs: list[dict[tuple[str, int], float]] = []
    async with start("sender", guilds=GUILDS, shards=_SHARDS) as sender:
        for turn in range(size.runs):
            runs.append({})
            for count in _BOTS:
                async with _bots(sender, stores, count, bind=turn == 0 and count == 1) as bots:
                    await purge(stores)
                    await _blast(sender, bots, _WARM_UP)
                    runs[-1][_FAST, count] = await _blast(sender, bots, size.events)
                    runs[-1][_IDLE, count] = await _rest(bots, size.latencies_s)
                    busy = await _steady(sender, bots, size.latencies_s)
                    runs[-1][_SLOW, count] = (busy - runs[-1][_IDLE, count]) / _RATE * 1e3
    found = {what: median(run[what] for run in runs) for what in runs[0]}
    return [row for name in (_FAST, _SLOW) for row in _compare(name, found)] + [
        Row("k", f"CPU of {count} {'bot' if count == 1 else 'bots'} {_IDLE}", found[_IDLE, count], "ms/s")
        for count in _BOTS
    ]


def _compare(name: str, found: dict[tuple[str, int], float]) -> list[Row]:
    one, two = (found[name, count] for count in _BOTS)
    return [
        Row("k", f"CPU of one bot with two shards, {name}", one, "µs/event"),
        Row("k", f"CPU of two bots with one each, {name}", two, "µs/event"),
        Row("k", f"two bots to one, {name}", two / one, "times", f"≤ {_MOST}", two <= _MOST * one),
    ]


@asynccontextmanager
async def _bots(sender: Process, stores: EmbeddedStores, count: int, *, bind: bool) -> AsyncIterator[list[Process]]:
    """Each with as many of the shards."""
    about = await sender.ask("describe")
    addresses = {"postgres": stores.database_url, "redis": stores.redis_url, "nats": stores.nats_url}
    discord = {"token": about["token"], "api_base": about["api_base"], "shard_count": _SHARDS}
    config = addresses | discord | {"sweep_every_s": 1}
    async with AsyncExitStack() as stack:
        shares = [list(range(number, _SHARDS, count)) for number in range(count)]
        bots = [await stack.enter_async_context(start("tapped", **config, shard_ids=share)) for share in shares]
        await sender.ask("wait_ready")
        if bind:
            await bots[0].ask("bind", owner=about["owner"], guilds=about["guilds"])
        yield bots


async def _blast(sender: Process, bots: list[Process], events: int) -> float:
    """Microseconds of the bots' CPU for each event."""
    for bot in bots:
        await bot.ask("expect", events=events // len(bots))
    measuring = [asyncio.create_task(bot.ask("measure")) for bot in bots]
    await sender.ask("blast", events=events)
    return float(sum([(await task)["cpu"] for task in measuring])) / events * 1e6


async def _steady(sender: Process, bots: list[Process], seconds: float) -> float:
    """As `_rest`."""
    await sender.ask("pour", rate=_RATE, every_s=_EVERY_S)
    used = await _rest(bots, seconds)
    await sender.ask("poured")
    return used


async def _rest(bots: list[Process], seconds: float) -> float:
    """Milliseconds of the bots' CPU in each second."""
    before = await _cpu(bots)
    await asyncio.sleep(seconds)
    return (await _cpu(bots) - before) / seconds * 1e3


async def _cpu(bots: list[Process]) -> float:
    """Seconds until now."""
    return float(sum([(await bot.ask("used"))["cpu"] for bot in bots]))
