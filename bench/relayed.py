"""Part i: events on to bots by the relay, in a process of its own, beside the routing that brings them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from bench.meter import cpu_of
from bench.parts import Row, Size, percentile, trickle
from bench.processes import Process, start
from bench.receiving import GUILDS, blast, purge, tapped
from bot.stores.embedded import EmbeddedStores

_WARM_UP, _HELLO_AND_RESUMED = 2000, 2
_MANY, _IDLE, _IDENTIFIES = 10, 50, 20
_COMPRESSIONS = {"plain": ("", 0.75), "zstd": ("zstd-stream", 1.2), "zlib": ("zlib-stream", None)}
_ADDED_MS = 1.0
_IDLE_S = 6.0


@dataclass(frozen=True, slots=True)
class _Scene:
    stores: EmbeddedStores
    sender: Process
    bot: Process
    relay: Process
    bots: Process

    async def cost(self, events: int, clients: int, method: str) -> tuple[float, float]:
        """Microseconds of CPU for an event: the routing's, and the relay's to clients that take it out of the stream
        when it is there, so that neither waits for the other."""
        await purge(self.stores)
        await self.bots.ask("connect", count=clients, compress=method)
        await self.bots.ask("leave", resumably=True)
        run = await blast(self.sender, self.bot, events, self.stores.pids["nats"])
        before = (await self.relay.ask("cost"))["cpu"]
        await self.bots.ask("expect", events=(events + _HELLO_AND_RESUMED) * clients)
        await self.bots.ask("resume", compress=method)
        await self.bots.ask("measure")
        cost = ((await self.relay.ask("cost"))["cpu"] - before) * 1e6 / events
        await self.bots.ask("leave")
        return run.cpu_us, cost


@asynccontextmanager
async def _scene(stores: EmbeddedStores) -> AsyncIterator[tuple[_Scene, str]]:
    """With the id of the sandbox that all guilds are bound to; nobody is connected to the relay yet."""
    async with start("sender", guilds=GUILDS) as sender, tapped(sender, stores, bind=False) as bot:
        about = await sender.ask("describe")
        bound = await bot.ask("bind_all", owner=about["owner"], guilds=about["guilds"])
        addresses = {"postgres": stores.database_url, "redis": stores.redis_url, "nats": stores.nats_url}
        async with start("relay", token=about["token"], api_base=about["api_base"], **addresses) as relay:
            address = (await relay.ask("describe"))["address"]
            async with start("listener", address=address, token=bound["token"]) as bots:
                yield _Scene(stores, sender, bot, relay, bots), bound["sandbox"]


async def relayed(stores: EmbeddedStores, size: Size) -> list[Row]:
    """Part i. Each figure is set against the routing of the same events in the same seconds."""
    async with _scene(stores) as (scene, sandbox):
        rows = await _identifying(scene)
        for name, (method, goal) in _COMPRESSIONS.items():
            routing, alone = await _costs(scene, size, 1, method)
            share = alone / routing
            rows.append(Row("i", f"relay to one client, {name}", alone, "µs/event"))
            verdict = (f"≤ {goal}", share <= goal) if goal else ("", None)
            rows.append(Row("i/b", f"relay to one client, {name}, to routing", share, "times", *verdict))
            _, together = await _costs(scene, size, _MANY, method)
            rows.append(Row("i", f"relay to {_MANY} clients, {name}", together / _MANY, "µs/frame"))
        return rows + await _added(scene, sandbox, size) + await _idle(scene)


async def _costs(scene: _Scene, size: Size, clients: int, method: str) -> tuple[float, float]:
    await scene.cost(_WARM_UP, 1, method)
    found = [await scene.cost(size.events // clients, clients, method) for _ in range(max(size.runs // 2, 1))]
    return median(routing for routing, _ in found), median(relay for _, relay in found)


async def _identifying(scene: _Scene) -> list[Row]:
    ms = (await scene.bots.ask("connect", count=_IDENTIFIES))["ms"]
    await scene.bots.ask("leave")
    return [
        Row("i", f"IDENTIFY to the last of {GUILDS} servers, read from Discord", ms[0], "ms"),
        Row("i", "the same for those that come right after it, p50", median(ms[1:]), "ms"),
    ]


async def _added(scene: _Scene, sandbox: str, size: Size) -> list[Row]:
    """Against a worker that reads the same stream at the same time."""
    rows: list[Row] = []
    await scene.bots.ask("connect", count=1)
    async with start("worker", nats=scene.stores.nats_url) as worker:
        await worker.ask("watch", sandboxes=[sandbox])
        for rate in (200, 1000):
            listening = asyncio.create_task(scene.bots.ask("latencies", events=int(rate * size.latencies_s)))
            direct = await trickle(scene.sender, worker, rate, size.latencies_s)
            ms = (await listening)["ms"]
            for percent in (50, 99):
                added = percentile(ms, percent) - percentile(direct, percent)
                goal = (f"≤ {_ADDED_MS:g}", added <= _ADDED_MS) if (rate, percent) == (200, 50) else ("", None)
                rows.append(Row("i", f"added by the relay at {rate}/s, p{percent}", added, "ms", *goal))
    await scene.bots.ask("leave")
    return rows


async def _idle(scene: _Scene) -> list[Row]:
    async def share() -> float:
        before = cpu_of(scene.relay.pid)
        await asyncio.sleep(_IDLE_S)
        return 100 * (cpu_of(scene.relay.pid) - before) / _IDLE_S

    nobody, empty = await share(), (await scene.relay.ask("cost"))["rss"]
    await scene.bots.ask("connect", count=_IDLE)
    everybody, full = await share(), (await scene.relay.ask("cost"))["rss"]
    await scene.bots.ask("leave")
    return [
        Row("i", "relay without clients", nobody, "% of a core"),
        Row("i", f"each of {_IDLE} idle clients", (everybody - nobody) / _IDLE, "% of a core"),
        Row("i", "memory of each", (full - empty) / _IDLE / 1e6, "MB"),
    ]
