"""Counts of events, written in batches by any number of processes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import pytest

from bot import names
from bot.errors import ServiceUnavailable
from bot.sandboxes.activity import ActivityLog, ActivityRefresh
from bot.stores.postgres import load_queries, open_pool
from bot.supervisor import State, Supervisor
from tests.conftest import address, create_database, drop_database, until_blocked
from tests.service.conftest import ADA, new_guild
from tests.service.servers import until


def events_of(*sandboxes, number=1):
    return Counter({names.event_subject_prefix(sandbox.id): number for sandbox in sandboxes})


async def test_what_was_counted_is_added_and_moves_the_last_activity_of_those_sandboxes_alone(manager, pool):
    blue, red = await manager.create(ADA, name="blue"), await manager.create(ADA, name="red")
    counted = events_of(blue, number=3)
    log = ActivityLog(pool, counted)
    assert await log.write() == 1
    counted.update(events_of(blue, number=4))
    assert await log.write() == 1
    after = await manager.get_by_name("blue")
    assert after.event_count == 7
    assert after.created_at < after.last_activity_at
    untouched = await manager.get_by_name("red")
    assert (untouched.event_count, untouched.last_activity_at) == (0, None)
    assert red.id == untouched.id


async def test_postgresql_is_not_even_asked_when_nothing_has_happened(dsn):
    closed = await open_pool(dsn)
    await closed.close()
    assert await ActivityLog(closed, Counter()).write() == 0


async def test_the_counts_of_several_processes_add_up(make_manager, pool):
    manager = make_manager(max_per_owner=20)
    sandboxes = [await manager.create(ADA, name=f"blue-{number}") for number in range(12)]
    counters = [events_of(*random.sample(sandboxes, len(sandboxes)), number=5) for _ in range(6)]
    await asyncio.gather(*(ActivityLog(pool, counter).write() for counter in counters))
    assert {sandbox.event_count for sandbox in await manager.list()} == {30}


async def test_what_cannot_be_written_stays_counted(manager, dsn):
    blue = await manager.create(ADA, name="blue")
    own, counted = await open_pool(dsn), events_of(blue, number=3)
    log = ActivityLog(own, counted)
    await own.close()
    with pytest.raises(ServiceUnavailable):
        await log.write()
    counted.update(events_of(blue, number=2))
    assert counted == events_of(blue, number=5)


async def test_it_waits_for_whoever_changes_a_sandbox_and_overwrites_nothing(manager, pool):
    blue = await manager.create(ADA, name="blue")
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute("UPDATE sandboxes SET event_count = 100, description = 'changed' WHERE id = $1", blue.id)
        late = asyncio.create_task(ActivityLog(pool, events_of(blue)).write())
        await until_blocked(pool)
    await late
    after = await manager.get_by_id(blue.id)
    assert (after.event_count, after.description) == (101, "changed")


async def test_rows_are_locked_in_one_order_so_that_two_processes_never_wait_in_a_circle(manager, pool):
    first, second = sorted([await manager.create(ADA), await manager.create(ADA)], key=lambda sandbox: sandbox.id)
    lock = "SELECT FROM sandboxes WHERE id = $1 FOR UPDATE NOWAIT"
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute(lock, first.id)
        late = asyncio.create_task(ActivityLog(pool, events_of(second, first)).write())
        await until_blocked(pool)
        await rival.execute(lock, second.id)
    assert await late == 2


async def test_no_router_has_to_read_its_routes_again_for_it(manager, pool):
    blue = await manager.create(ADA, name="blue", guild_ids=[new_guild()])
    revision = load_queries("routes")["load_revision"]
    before = await pool.fetchval(revision)
    await ActivityLog(pool, events_of(blue)).write()
    await manager.update_activity(blue.id)
    assert await pool.fetchval(revision) == before
    await manager.destroy(ADA, blue.id)
    assert await pool.fetchval(revision) > before


@asynccontextmanager
async def bots(client, pool, *counters):
    """As many processes that write what they have counted when somebody asks."""
    async with Supervisor() as supervisor:
        for number, counted in enumerate(counters):
            supervisor.start(f"bot {number}", partial(ActivityLog(pool, counted).serve, client))
        await until(lambda: all(part.state is State.RUNNING for part in supervisor.parts.values()))
        await client.flush()
        yield


async def test_whoever_reads_may_have_all_bots_of_the_database_write_first(manager, pool, nats_client):
    blue = await manager.create(ADA, name="blue")
    counters = [events_of(blue, number=number) for number in (1, 10, 100)]
    async with bots(nats_client, pool, *counters):
        await ActivityRefresh(nats_client, pool).refresh()
        after = await manager.get_by_id(blue.id)
        assert (after.event_count, after.last_activity_at is not None) == (111, True)
    assert not any(counters)


async def test_a_bot_says_on_request_why_its_events_are_not_stored(pool, nats_client):
    async with bots(nats_client, pool, Counter()), Supervisor() as supervisor:
        assert await ActivityRefresh(nats_client, pool).refresh() == ""
        troubled = ActivityLog(pool, Counter(), trouble=lambda: "no room\x1b[0m")
        part = supervisor.start("troubled", partial(troubled.serve, nats_client))
        await part.wait_running()
        await nats_client.flush()
        assert (await ActivityRefresh(nats_client, pool).refresh()).startswith("no room")


async def test_bots_of_another_database_write_nothing_on_request(manager, pool, nats_client, stores):
    blue, name = await manager.create(ADA, name="blue"), "elsewhere"
    counted = events_of(blue)
    await create_database(stores, name, "migrated")
    elsewhere = await open_pool(address(stores, name))
    async with bots(nats_client, elsewhere, counted):
        await ActivityRefresh(nats_client, pool).refresh()
        assert counted == events_of(blue)
    await elsewhere.close()
    await drop_database(stores, name)


async def test_nobody_waits_for_bots_that_are_not_there_or_cannot_write(manager, pool, nats_client, monkeypatch):
    blue = await manager.create(ADA, name="blue")
    refresh = ActivityRefresh(nats_client, pool).refresh
    began = time.monotonic()
    await refresh()
    assert time.monotonic() - began < 0.5
    monkeypatch.setattr("bot.constants.ACTIVITY_ANSWERED_WITHIN_S", 0.2)
    async with bots(nats_client, pool, events_of(blue)), pool.acquire() as rival, rival.transaction():
        await rival.execute("SELECT FROM sandboxes WHERE id = $1 FOR UPDATE", blue.id)
        began = time.monotonic()
        await refresh()
        assert 0.2 <= time.monotonic() - began < 1
        began = time.monotonic()
        await refresh()  # nor again, so soon after a wait that was in vain
        assert time.monotonic() - began < 0.15


async def test_who_asks_right_after_another_waits_and_is_told_of_all(manager, pool, nats_client, monkeypatch):
    monkeypatch.setattr("bot.constants.ACTIVITY_OTHERS_WITHIN_S", 0.0)
    blue = await manager.create(ADA, name="blue")
    counted = events_of(blue)
    async with bots(nats_client, pool, counted):
        await ActivityRefresh(nats_client, pool).refresh()
        counted.update(events_of(blue))
        await ActivityRefresh(nats_client, pool).refresh()
        assert not counted


async def test_who_writes_while_another_write_is_under_way_waits_for_it(manager, pool):
    blue = await manager.create(ADA, name="blue")
    log = ActivityLog(pool, events_of(blue))
    async with pool.acquire() as rival, rival.transaction():
        await rival.execute("SELECT FROM sandboxes WHERE id = $1 FOR UPDATE", blue.id)
        first = asyncio.create_task(log.write())
        await until_blocked(pool)
        second = asyncio.create_task(log.write())
        done, _ = await asyncio.wait({second}, timeout=0.05)
        assert not done
    await asyncio.gather(first, second)
    assert (await manager.get_by_id(blue.id)).event_count == 1
