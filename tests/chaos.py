"""Random operations from several bot processes, with random kills and outages of the stores; then all has to be right.

    python -m tests.chaos --operations 500 --seed 1

Ends with an error unless nothing is stuck, lost, left behind or told wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import asyncpg
import redis.asyncio
from loguru import logger

from bot.errors import ServiceUnavailable
from bot.stores.embedded import EmbeddedStores
from bot.stores.postgres import open_pool
from tests.faults.invariants import check, check_rows, settle
from tests.faults.operations import BUG, Job, addresses, bot_settings, open_manager
from tests.faults.processes import KILLED, BotProcess, NotReady

OWNERS = range(300_000_000_000_000_000, 300_000_000_000_000_004)
GUILDS = range(200_000_000_000_000_000, 200_000_000_000_000_012)
WEIGHTS = {"create": 5, "extend": 2, "bind": 3, "unbind": 2, "issue": 2, "reset": 2, "destroy": 2, "sweep": 3}
HOUR = timedelta(hours=1)
TIME_PASSES = (
    "UPDATE sandboxes SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1"
)
TTL = timedelta(hours=24)
_AWAY = (
    ServiceUnavailable,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class Chaos:
    def __init__(self, stores: EmbeddedStores, *, operations: int, seed: int, processes: int, seconds: float) -> None:
        self._stores, self._left, self._processes = stores, operations, processes
        self._deadline = time.monotonic() + seconds
        self._random = random.Random(seed)
        self._urls = addresses(stores, stores.database_url)
        self._seed = stores.nats_callout.account_seed
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> None:
        """AssertionError, with what is wrong, unless everything comes right."""
        settings = bot_settings(self._urls, self._seed)
        await self._keep_commits()
        async with open_manager(settings):
            pass  # migrated
        self._pool = await open_pool(self._stores.database_url)
        outages = asyncio.create_task(self._outages())
        try:
            await asyncio.gather(*(self._drive() for _ in range(self._processes)))
        finally:
            outages.cancel()
            await asyncio.wait([outages])
        await self._put_right(settings)
        await self._pool.close()
        bugs = {outcome: count for outcome, count in self.outcomes.items() if outcome.startswith(BUG)}
        assert not bugs, bugs

    async def _drive(self) -> None:
        """One bot, and the next one when it has been killed."""
        while self._goes_on():
            bot = BotProcess(self._urls, self._seed)
            try:
                await bot.start()
                await self._use(bot)
            except NotReady as error:
                self.outcomes.update(error.args[0] if isinstance(error.args[0], list) else ())
            finally:
                await bot.end()

    async def _use(self, bot: BotProcess) -> None:
        while self._goes_on():
            self._left -= 1
            job = await self._choose()
            doing = asyncio.create_task(bot.do(job))
            if self._random.random() < 0.15:
                await asyncio.wait([doing], timeout=self._random.uniform(0, 0.08))
                bot.kill()
            (outcome,) = await doing
            self.outcomes[outcome] += 1
            if outcome == KILLED:
                return

    def _goes_on(self) -> bool:
        return self._left > 0 and time.monotonic() < self._deadline

    async def _choose(self) -> Job:
        """Of sandboxes that there are, if PostgreSQL tells of them; now and then time passes for one."""
        rows: list[asyncpg.Record] = []
        with suppress(*_AWAY):
            rows = await self._pool.fetch("SELECT id FROM sandboxes ORDER BY created_at DESC LIMIT 30")
            if rows and self._random.random() < 0.3:
                passed = self._random.choice([TTL, TTL + 2 * HOUR])
                await self._pool.execute(TIME_PASSES, self._random.choice(rows)["id"], passed)
        operation = self._random.choices(list(WEIGHTS), WEIGHTS.values())[0] if rows else "create"
        chosen = self._random.choice(rows)["id"] if rows else None
        return Job(operation, chosen, self._random.choice(OWNERS), self._random.choice(GUILDS))

    async def _outages(self) -> None:
        strikes: list[Callable[[], Awaitable[None]]] = [
            lambda: self._freeze("redis"),
            lambda: self._freeze("nats"),
            lambda: self._signal("redis", signal.SIGKILL),
            lambda: self._signal("nats", signal.SIGKILL),
            lambda: self._signal("postgres", signal.SIGKILL),
            self._cut_postgres,
        ]
        while True:
            await asyncio.sleep(self._random.uniform(0.2, 2))
            await self._random.choice(strikes)()

    async def _signal(self, store: str, number: signal.Signals) -> None:
        if (pid := self._stores.pids.get(store)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def _freeze(self, store: str) -> None:
        try:
            await self._signal(store, signal.SIGSTOP)
            await asyncio.sleep(self._random.uniform(0.1, 1))
        finally:
            await self._signal(store, signal.SIGCONT)

    async def _keep_commits(self) -> None:
        """Through a kill of PostgreSQL, that is: the embedded one is fast and forgetful here."""
        connection = await asyncpg.connect(self._stores.superuser_url())
        await connection.execute("ALTER DATABASE sandboxes SET synchronous_commit = on")
        await connection.close()

    async def _cut_postgres(self) -> None:
        with suppress(*_AWAY):
            connection = await asyncpg.connect(self._stores.superuser_url(), timeout=2)
            try:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
            finally:
                await connection.close()

    async def _put_right(self, settings) -> None:
        """One bot goes on, with all stores there."""
        client = redis.asyncio.from_url(self._stores.redis_url)
        away: Exception | None = None
        try:
            async with asyncio.timeout(60):
                while True:
                    try:
                        await check_rows(self._pool)
                        async with open_manager(settings) as manager:
                            await settle(manager, self._pool)
                            await check(manager, self._pool, client)
                        return
                    except _AWAY as error:
                        away = error
                        await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"a store did not come back: {away!r} {getattr(away, 'detail', '')}") from away
        finally:
            await client.aclose()


async def run(*, operations: int, seed: int, processes: int = 3, seconds: float = 300) -> Counter[str]:
    """How the operations went."""
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedStores(Path(folder) / "stores", durable=False) as stores:
            chaos = Chaos(stores, operations=operations, seed=seed, processes=processes, seconds=seconds)
            await chaos.run()
            return chaos.outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=300, help="the time after which no operation begins")
    chosen = parser.parse_args()
    logger.remove()
    logging.disable()
    print(f"seed {chosen.seed}", flush=True)  # noqa: T201
    started = time.monotonic()
    outcomes = asyncio.run(run(**vars(chosen)))
    print(f"{sum(outcomes.values())} operations in {time.monotonic() - started:.0f} s: {dict(outcomes)}")  # noqa: T201
    print("0 orphans, 0 stuck, every change told once")  # noqa: T201


if __name__ == "__main__":
    main()
