"""Part k: one process with two shards beside two with one each, by turns: of the bot, and of discord.py alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median

from bench.parts import Row, Size
from bench.processes import Json, Process, start
from bench.receiving import GUILDS, purge
from bot.stores.embedded import EmbeddedStores

_SHARDS, _COUNTS = 2, (1, 2)
_WARM_UP = 2000
_RATE = 1000
_EVERY_S = 1 / _RATE
_MOST = 1.1
_FAST, _SLOW, _IDLE = "as fast as possible", f"at {_RATE:,}/s", "at rest"
_BOT, _BARE = "the bot", "discord.py alone"

type _Figures = dict[tuple[str, str, int], float]


async def pair(stores: EmbeddedStores, size: Size) -> list[Row]:
    """As fast as they can; and at a steady rate, beyond what they do without events.

    A process that sleeps between two events pays for each awakening, and the more the longer it has slept: so at a
    steady rate two cost more whatever they do, and what discord.py alone costs then is what they are held against.
    """
    runs: list[_Figures] = []
    async with start("sender", guilds=GUILDS, shards=_SHARDS) as sender:
        about = await sender.ask("describe")
        for turn in range(size.runs):
            runs.append({})
            for count in _COUNTS:
                async with _processes("tapped", sender, _bot_config(about, stores), count) as bots:
                    if turn == 0 and count == 1:
                        await bots[0].ask("bind", owner=about["owner"], guilds=about["guilds"])
                    await purge(stores)
                    runs[-1] |= await _measured(_BOT, sender, bots, size)
                async with _processes("bare", sender, _bare_config(about), count) as clients:
                    runs[-1] |= await _measured(_BARE, sender, clients, size)
    return _rows({what: median(run[what] for run in runs) for what in runs[0]})


def _rows(found: _Figures) -> list[Row]:
    bare = _ratio(found, _BARE, _SLOW)
    return [
        *_compare(found, _BOT, _FAST, _MOST),
        *_compare(found, _BARE, _SLOW),
        *_compare(found, _BOT, _SLOW, _MOST * bare),
        *[Row("k", f"CPU of {_said(_BOT, count)} {_IDLE}", found[_BOT, _IDLE, count], "ms/s") for count in _COUNTS],
    ]


def _compare(found: _Figures, what: str, how: str, most: float | None = None) -> list[Row]:
    ratio = _ratio(found, what, how)
    goal = ("", None) if most is None else (f"≤ {most:.2f}", ratio <= most)
    return [
        *[Row("k", f"CPU of {_said(what, count)}, {how}", found[what, how, count], "µs/event") for count in _COUNTS],
        Row("k", f"{what}: two processes to one, {how}", ratio, "times", *goal),
    ]


def _ratio(found: _Figures, what: str, how: str) -> float:
    return found[what, how, 2] / found[what, how, 1]


def _said(what: str, count: int) -> str:
    return f"{what} in {count} process{'' if count == 1 else 'es'}"


def _bot_config(about: Json, stores: EmbeddedStores) -> Json:
    addresses = {"postgres": stores.database_url, "redis": stores.redis_url, "nats": stores.nats_url}
    return addresses | _bare_config(about) | {"sweep_every_s": 1}


def _bare_config(about: Json) -> Json:
    return {"token": about["token"], "api_base": about["api_base"], "shard_count": _SHARDS}


@asynccontextmanager
async def _processes(role: str, sender: Process, config: Json, count: int) -> AsyncIterator[list[Process]]:
    """Connected, each with as many of the shards."""
    async with AsyncExitStack() as stack:
        shares = [list(range(number, _SHARDS, count)) for number in range(count)]
        started = [await stack.enter_async_context(start(role, **config, shard_ids=share)) for share in shares]
        await sender.ask("wait_ready")
        yield started


async def _measured(what: str, sender: Process, receivers: list[Process], size: Size) -> _Figures:
    count, seconds = len(receivers), size.latencies_s
    await _blast(sender, receivers, _WARM_UP)
    fast = await _blast(sender, receivers, size.events)
    idle = await _rest(receivers, seconds)
    busy = await _steady(sender, receivers, seconds)
    return {
        (what, _FAST, count): fast,
        (what, _IDLE, count): idle,
        (what, _SLOW, count): (busy - idle) / _RATE * 1e3,
    }


async def _blast(sender: Process, receivers: list[Process], events: int) -> float:
    """Microseconds of the receivers' CPU for each event."""
    for receiver in receivers:
        await receiver.ask("expect", events=events // len(receivers))
    measuring = [asyncio.create_task(receiver.ask("measure")) for receiver in receivers]
    await sender.ask("blast", events=events)
    return float(sum([(await task)["cpu"] for task in measuring])) / events * 1e6


async def _steady(sender: Process, receivers: list[Process], seconds: float) -> float:
    """As `_rest`."""
    await sender.ask("pour", rate=_RATE, every_s=_EVERY_S)
    used = await _rest(receivers, seconds)
    await sender.ask("poured")
    return used


async def _rest(receivers: list[Process], seconds: float) -> float:
    """Milliseconds of the receivers' CPU in each second."""
    before = await _cpu(receivers)
    await asyncio.sleep(seconds)
    return (await _cpu(receivers) - before) / seconds * 1e3


async def _cpu(receivers: list[Process]) -> float:
    """Seconds until now."""
    return float(sum([(await receiver.ask("used"))["cpu"] for receiver in receivers]))
