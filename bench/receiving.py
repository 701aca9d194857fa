"""Parts a, b, d and g: events from the gateway to JetStream and to a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import nats

from bench.meter import cpu_of
from bench.processes import Json, Process, start
from bot.stores.embedded import EmbeddedStores

GUILDS = 8
_WARM_UP = 2000


@dataclass(frozen=True, slots=True)
class Run:
    """One blast as the receiver saw it; the times of CPU are microseconds an event."""

    events_per_s: float
    cpu_us: float
    sender_cpu_us: float
    nats_cpu_us: float
    rss: int


@asynccontextmanager
async def bare(sender: Process) -> AsyncIterator[Process]:
    """discord.py alone, connected."""
    about = await sender.ask("describe")
    async with start("bare", token=about["token"], api_base=about["api_base"]) as receiver:
        await sender.ask("wait_ready")
        yield receiver


@asynccontextmanager
async def tapped(sender: Process, stores: EmbeddedStores, *, bind: bool = True, **more: Any) -> AsyncIterator[Process]:
    """The bot, connected, with a sandbox bound to each guild unless there is one already."""
    about = await sender.ask("describe")
    addresses = {"postgres": stores.database_url, "redis": stores.redis_url, "nats": stores.nats_url}
    config = {"token": about["token"], "api_base": about["api_base"], **addresses, **more}
    async with start("tapped", **config) as receiver:
        await sender.ask("wait_ready")
        if bind:
            await receiver.ask("bind", owner=about["owner"], guilds=about["guilds"])
        yield receiver


async def blast(sender: Process, receiver: Process, events: int, nats_pid: int) -> Run:
    """From the first frame sent to the last event received, or acknowledged."""
    await receiver.ask("expect", events=events)
    nats_cpu = cpu_of(nats_pid)
    measuring = asyncio.create_task(receiver.ask("measure"))
    sent = await sender.ask("blast", events=events)
    received = await measuring
    if received["surplus"]:
        raise RuntimeError(f"{received['surplus']} events too many")
    each = 1e6 / events
    return Run(
        events / (received["ended_at"] - sent["started_at"]),
        received["cpu"] * each,
        sent["cpu"] * each,
        (cpu_of(nats_pid) - nats_cpu) * each,
        received["rss"],
    )


async def compare(stores: EmbeddedStores, events: int, runs: int, which: frozenset[str]) -> dict[str, Any]:
    """Parts a and b in turn, in fresh processes, `runs` times each."""
    results: dict[str, list[Run]] = {part: [] for part in "ab" if part in which}
    async with start("sender", guilds=GUILDS) as sender:
        for number in range(runs):
            for part, found in results.items():
                receiving = bare(sender) if part == "a" else tapped(sender, stores, bind=number == 0)
                async with receiving as receiver:
                    found.append(await _warm_blast(sender, receiver, stores, events))
    return {part: _middle(found) for part, found in results.items()}


async def by_turns(stores: Mapping[str, EmbeddedStores], events: int, runs: int) -> dict[str, Any]:
    """Part b on each of these servers in turn."""
    results: dict[str, list[Run]] = {name: [] for name in stores}
    async with start("sender", guilds=GUILDS) as sender:
        for number in range(runs):
            for name, found in results.items():
                async with tapped(sender, stores[name], bind=number == 0) as bot:
                    found.append(await _warm_blast(sender, bot, stores[name], events))
    return {name: _middle(found) for name, found in results.items()}


async def _warm_blast(sender: Process, receiver: Process, stores: EmbeddedStores, events: int) -> Run:
    await purge(stores)
    await blast(sender, receiver, _WARM_UP, stores.pids["nats"])
    return await blast(sender, receiver, events, stores.pids["nats"])


async def purge(stores: EmbeddedStores) -> None:
    """Every run begins with empty streams."""
    client = await nats.connect(stores.nats_url)
    jetstream = client.jetstream()
    for stream in await jetstream.streams_info():
        await jetstream.purge_stream(str(stream.config.name))
    await client.close()


def _middle(runs: list[Run]) -> Json:
    return {name: median(getattr(run, name) for run in runs) for name in Run.__slots__}
