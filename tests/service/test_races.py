"""Two changes of one sandbox at the same moment, each held where it matters until the other one is done."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot.errors import InvalidTransition
from bot.routing import watcher as watcher_module
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.lifecycle.reaper import Sweep
from bot.sandboxes.model import SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import connected, transaction
from tests.conftest import until_blocked
from tests.service.conftest import ADA, new_guild
from tests.service.test_watcher import is_routed

HOUR = timedelta(hours=1)
SET_STATUS = "UPDATE sandboxes SET status = $2::text::sandbox_status WHERE id = $1"


def sweep_of(manager):
    return manager.make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=HOUR).sweep()


@pytest.mark.parametrize("change", ["extend", "destroy", "bind"])
async def test_a_change_that_waited_sees_the_destruction_that_made_it_wait(manager, pool, audit, change):
    sandbox = await manager.create(ADA)
    before = await audit(sandbox.id)
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute(SET_STATUS, sandbox.id, "destroying")
        changes = {
            "extend": lambda: manager.extend_ttl(ADA, sandbox.id, HOUR),
            "destroy": lambda: manager.destroy(ADA, sandbox.id),
            "bind": lambda: manager.register_guild(ADA, sandbox.id, new_guild()),
        }
        late = asyncio.create_task(changes[change]())
        await until_blocked(pool)
    with pytest.raises(InvalidTransition):
        await late
    after = await manager.get_by_id(sandbox.id)
    assert (after.expires_at, after.guild_ids) == (sandbox.expires_at, ())
    assert await audit(sandbox.id) == before


async def test_an_extension_that_waited_for_the_end_of_the_grace_time_revives_nothing(manager, pool, age, audit):
    sandbox = await manager.create(ADA, ttl=HOUR)
    await age(sandbox, 10 * HOUR)
    await manager.mark_expired(sandbox.id)
    before = await audit(sandbox.id)
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute(SET_STATUS, sandbox.id, "destroying")
        late = asyncio.create_task(manager.extend_ttl(ADA, sandbox.id, HOUR))
        await until_blocked(pool)
    with pytest.raises(InvalidTransition):
        await late
    assert await audit(sandbox.id) == before


@pytest.mark.parametrize("status", [SandboxStatus.RUNNING, SandboxStatus.EXPIRED])
async def test_a_sweep_that_waited_for_an_extension_leaves_the_sandbox_alone(manager, pool, age, audit, status):
    sandbox = await manager.create(ADA, ttl=HOUR)
    await age(sandbox, 10 * HOUR)
    if status is SandboxStatus.EXPIRED:
        await manager.mark_expired(sandbox.id)
    before = await audit(sandbox.id)
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute(SET_STATUS, sandbox.id, "running")
        await rival.execute("UPDATE sandboxes SET expires_at = now() + interval '1h' WHERE id = $1", sandbox.id)
        running = status is SandboxStatus.RUNNING
        sweep = manager.mark_expired(sandbox.id) if running else sweep_of(manager)
        late = asyncio.create_task(sweep)
        await until_blocked(pool)
    assert await late == (False if running else Sweep(0, 0, 0, 0))
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.RUNNING
    assert await audit(sandbox.id) == before
    assert await pool.fetchval("SELECT count(*) FROM sandbox_notices WHERE kind = 'expired'") == (not running)


async def test_a_status_change_that_expects_another_status_changes_nothing(manager, pool, audit):
    sandbox = await manager.create(ADA)
    before = await audit(sandbox.id)
    async with transaction(pool) as connection:
        stale = SandboxStatus.CREATING
        assert not await SandboxRecords().change_status(connection, sandbox.id, stale, SandboxStatus.DESTROYING)
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.RUNNING
    assert await audit(sandbox.id) == before


async def test_what_several_processes_take_down_at_once_is_destroyed_once(make_manager, manager, pool, age, audit):
    sandbox = await manager.create(ADA)
    await pool.execute(SET_STATUS, sandbox.id, "destroying")
    await age(sandbox, HOUR)
    finished = await asyncio.gather(*(sweep_of(make_manager()) for _ in range(4)))
    assert sorted(sweep.recovered for sweep in finished) == [0, 0, 0, 1]
    assert (await audit(sandbox.id)).count("sandbox_destroyed") == 1


async def test_a_read_that_an_unbind_overtook_does_not_revive_the_route(manager, pool, dsn, monkeypatch):
    guild = new_guild()
    sandbox = await manager.create(ADA, guild_ids=[guild])
    table = RouteTable()
    watcher = RouteWatcher(pool, dsn, table, reload_every=HOUR)
    reads, may_return = asyncio.Semaphore(0), asyncio.Event()

    @asynccontextmanager
    async def slow(pool):
        async with connected(pool) as connection:
            yield connection
        reads.release()
        await may_return.wait()

    with monkeypatch.context() as slowly:
        slowly.setattr(watcher_module, "connected", slow)
        late = [asyncio.create_task(watcher.refresh([guild])), asyncio.create_task(watcher.start())]
        for _ in late:
            await reads.acquire()
    await manager.unregister_guild(ADA, guild)
    await watcher.refresh([guild])
    may_return.set()
    await asyncio.gather(*late)
    assert not is_routed(table, guild)
    assert (await manager.get_by_id(sandbox.id)).guild_ids == ()
