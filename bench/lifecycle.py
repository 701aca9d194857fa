"""What making, ending and sweeping sandboxes takes, in all three stores, durable as the embedded ones are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from bench.parts import Row, Size
from bot.control_plane import make_reaper, open_control_plane
from bot.sandboxes.access.tokens import scram_verifier
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import Actor
from bot.settings import Nats, Postgres, Redis, Sandboxes, Settings
from bot.stores.embedded import EmbeddedStores
from bot.stores.opening import Stores, open_stores

_ADA = Actor(10**17, "ada")
_FEW, _ROUNDS, _STEPS = 10, 40, 200
_FOREIGN_KEYS, _EXPIRED = 200_000, 20
_TABLES, _KEYS = 10_000, 100_000


async def lifecycle(stores: EmbeddedStores, size: Size) -> list[Row]:
    """Part h. Servers with few sandboxes and those with many are compared by turns, for the machine's pace changes."""
    settings = settings_of(stores)
    async with _few_sandboxes() as few, open_manager(settings) as (opened, many):
        rows = list(_yardsticks())
        ((create, destroy),) = await _lives(few)
        rows += [
            Row("h", "create a sandbox with credentials, p50", create, "ms", "≤ 40", create <= 40),
            Row("h", "destroy it, p50", destroy, "ms", "≤ 60", destroy <= 60),
        ]
        await _fill(many, size.sandboxes)
        with_few, with_many = await _lives(few, many)
        for name, before, after in zip(("create", "destroy"), with_few, with_many, strict=True):
            what = f"{name} with {size.sandboxes:,} sandboxes, to that with {_FEW}"
            rows.append(Row("h", what, after / before, "times", "≤ 2", after <= 2 * before))
        rows.append(await _sweep(settings, opened, many))
        rows.append(await _large(opened, many))  # last, for it deletes more files than all else
    return rows


@asynccontextmanager
async def _few_sandboxes() -> AsyncIterator[SandboxManager]:
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as folder:
        async with EmbeddedStores(Path(folder)) as stores, open_manager(settings_of(stores)) as (_, manager):
            await _fill(manager, _FEW)
            yield manager


async def _lives(*managers: SandboxManager) -> list[tuple[float, float]]:
    """Of each, what making and ending one takes: milliseconds at the median.

    All are made before the first is ended, which deletes files.
    """

    async def create(manager: SandboxManager) -> UUID:
        sandbox = await manager.create(_ADA)
        await manager.issue_credentials(_ADA, sandbox.id)
        return sandbox.id

    made = [[await _timed(create(manager)) for manager in managers] for _ in range(_ROUNDS)]
    ended = [
        [
            await _timed(manager.destroy(_ADA, sandbox_id))
            for manager, (sandbox_id, _) in zip(managers, turn, strict=True)
        ]
        for turn in made
    ]
    return [
        (_median(turn[place] for turn in made), _median(turn[place] for turn in ended))
        for place in range(len(managers))
    ]


def _median(runs: Iterable[tuple[object, float]]) -> float:
    """Milliseconds."""
    return median(took for _, took in runs) * 1000


async def _timed[ResultT](work: Awaitable[ResultT]) -> tuple[ResultT, float]:
    """And how many seconds it took."""
    started = time.perf_counter()
    return await work, time.perf_counter() - started


def _yardsticks() -> Iterator[Row]:
    """What the machine gives: a sandbox has about 30 files, and PostgreSQL too hashes its token, 4,096 times over."""
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as folder:
        file = _p50(lambda number: Path(folder, str(number)).touch(exist_ok=False))
    yield Row("h", "for comparison: make an empty file on that disk, p50", file, "ms")
    yield Row("h", "for comparison: hash a token, p50", _p50(lambda _: scram_verifier("token", b"salt")), "ms")


def _p50(step: Callable[[int], object]) -> float:
    """Milliseconds."""
    taken = []
    for number in range(_STEPS):
        started = time.perf_counter()
        step(number)
        taken.append(time.perf_counter() - started)
    return median(taken) * 1000


async def _sweep(settings: Settings, stores: Stores, manager: SandboxManager) -> Row:
    pipeline = stores.redis.pipeline(transaction=False)
    for number in range(_FOREIGN_KEYS):
        pipeline.set(f"foreign:{number}", b"")
    await pipeline.execute()
    for sandbox in [await manager.create(_ADA, ttl=timedelta(hours=1)) for _ in range(_EXPIRED)]:
        await manager.issue_credentials(_ADA, sandbox.id)
        await stores.redis.set(f"{sandbox.redis_prefix}key", b"")
    await stores.pool.execute(
        "UPDATE sandboxes SET created_at = now() - interval '2d', expires_at = now() - interval '1d'"
        " WHERE expires_at < now() + interval '2h'"
    )
    started = time.perf_counter()
    sweeps = [await make_reaper(settings, manager).sweep() for _ in range(2)]
    took = time.perf_counter() - started
    assert sum(sweep.destroyed for sweep in sweeps) == _EXPIRED, sweeps
    await stores.redis.flushdb()
    what = f"sweep {_EXPIRED} expired ones among {_FOREIGN_KEYS:,} foreign keys"
    return Row("h", what, took, "s", "< 2", took < 2)


async def _large(stores: Stores, manager: SandboxManager) -> Row:
    sandbox = await manager.create(_ADA)
    details = await manager.issue_credentials(_ADA, sandbox.id)
    worker = await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])
    for first in range(0, _TABLES, 500):
        await worker.execute(
            f"DO $$ BEGIN FOR i IN {first}..{first + 499} LOOP"
            " EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', i); END LOOP; END $$"
        )
    await worker.execute("BEGIN; LOCK TABLE t0")
    pipeline = stores.redis.pipeline(transaction=False)
    for number in range(_KEYS):
        pipeline.set(f"{sandbox.redis_prefix}{number}", b"")
    await pipeline.execute()
    started = time.perf_counter()
    await manager.destroy(_ADA, sandbox.id)
    took = time.perf_counter() - started
    await worker.close()
    return Row("h", f"destroy one with {_TABLES:,} tables, one of them locked, and {_KEYS:,} keys", took, "s")


async def _fill(manager: SandboxManager, count: int) -> None:
    for number in range(count):
        await manager.create(Actor(_ADA.id + 1 + number // 100, "many"))


def settings_of(stores: EmbeddedStores) -> Settings:
    """Of a control plane on these servers."""
    callout = stores.nats_callout
    return Settings(
        postgres=Postgres(dsn=SecretStr(stores.database_url)),
        redis=Redis(url=SecretStr(stores.redis_url)),
        nats=Nats(
            url=SecretStr(stores.nats_url),
            auth_url=SecretStr(callout.auth_url),
            system_url=SecretStr(callout.system_url),
            account_seed=SecretStr(callout.account_seed),
        ),
        sandboxes=Sandboxes(max_per_owner=1000),
    )


@asynccontextmanager
async def open_manager(settings: Settings) -> AsyncIterator[tuple[Stores, SandboxManager]]:
    """A control plane without a bot."""
    async with open_stores(settings) as stores, open_control_plane(settings, stores) as manager:
        yield stores, manager
