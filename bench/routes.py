"""Parts e and f: how soon another process follows a change of routes, and what a large table costs."""

from __future__ import annotations

import asyncio
import time
import timeit
from datetime import timedelta
from uuid import uuid4

from bench import processes
from bench.meter import resident
from bench.processes import Json
from bot import log, names
from bot.clock import elapsed
from bot.routing.table import Route, RouteTable
from bot.routing.watcher import RouteWatcher
from bot.stores.migrations import migrate
from bot.stores.postgres import open_pool
from bot.supervisor import Supervisor

_FIRST = 10**17
_LOOKUPS = 1_000_000
_LOOK_EVERY_S = 0.0005


async def follow(guild: int, routed: bool) -> Json:
    """When the table has become so (monotonic)."""
    async with asyncio.timeout(10):
        while (_table.lookup(guild, elapsed()) is not None) is not routed:
            await asyncio.sleep(_LOOK_EVERY_S)
    return {"at": time.monotonic()}


async def fill(routes: int) -> Json:
    """Every guild with a sandbox of its own: bytes for all, seconds for one lookup."""
    before = resident()
    table = RouteTable()
    table.replace(
        table.next_version(),
        {_FIRST + n: Route(names.event_subject_prefix(uuid4()), elapsed() + 3600) for n in range(routes)},
    )
    size = resident() - before
    now, guild = elapsed(), _FIRST + routes // 2
    took = min(timeit.repeat(lambda: table.lookup(guild, now), number=_LOOKUPS, repeat=3))
    return {"bytes": size, "lookup_s": took / _LOOKUPS}


_table = RouteTable()


async def main() -> None:
    log.configure("ERROR")
    dsn = processes.config()["postgres"]
    pool = await open_pool(dsn, max_size=2)
    await migrate(pool)
    watcher = RouteWatcher(pool, dsn, _table, reload_every=timedelta(hours=1))
    await watcher.start()
    async with Supervisor() as supervisor:
        supervisor.start("routes", watcher.run)
        await processes.serve({"follow": follow, "fill": fill})
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main())
