"""Floods two at a time, and that of locks alone: their sandbox ends or changes in time, and others go on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot.sandboxes.access.notify_queue import NotifyQueueWatch
from bot.supervisor import Supervisor
from tests.breakout.flood import repeating
from tests.breakout.sessions import WITHIN_S, destroy, end_all_sessions, rotate, until_async
from tests.breakout.test_locks import SNATCH, expire, extend, guarding, lives, persistently, sweeping
from tests.breakout.test_nats_floods import flooding
from tests.breakout.test_notify import BURN, NOTIFY, SLACK_S, p99_of_events
from tests.breakout.test_slots import LOGIN_S, MOST, silence

pytestmark = [pytest.mark.parametrize("servers", ["embedded"], indirect=True, scope="package"), pytest.mark.long]
ALTER = "BEGIN; ALTER ROLE CURRENT_USER PASSWORD '{}'; SELECT pg_sleep(0.1); COMMIT"
"""In turns, so that always one of them has the role's row. To the same password, or they could not come back."""
FLOOD_S = 6


@asynccontextmanager
async def locks(_, attacker):
    async with repeating(attacker, SNATCH, sessions=9):
        yield


@asynccontextmanager
async def locks_and_alter_role(_, attacker):
    async with repeating(attacker, ALTER.format(attacker.token), sessions=4), repeating(attacker, SNATCH, sessions=5):
        yield


@asynccontextmanager
async def notify_and_slots(_, attacker):
    async with repeating(attacker, NOTIFY), silence(attacker.urls["SANDBOX_DATABASE_URL"], MOST):
        yield


@asynccontextmanager
async def replays_and_logins(world, attacker):
    async with flooding(world, attacker, "replays", FLOOD_S), flooding(world, attacker, "wrong logins", FLOOD_S):
        yield


FLOODS = {locks: 9, locks_and_alter_role: 9, notify_and_slots: 1, replays_and_logins: 2}
"""And how many burn as much of the processor as they do."""


@asynccontextmanager
async def running_bot(world):
    """What it does against floods, but for those of NATS, which the world's does."""
    async with guarding(world), sweeping(world), Supervisor() as supervisor:
        supervisor.start_periodic("queue", NotifyQueueWatch(world.stores.pool).relieve, timedelta(seconds=1))
        yield


@pytest.fixture
async def attacker(world):
    worker = await world.add()
    await worker.nats.close()  # it would hear its own flood, in the process whose events are measured
    yield worker
    await worker.close()
    await end_all_sessions(world, worker)


async def ends_in_time(world, attacker, flood, end):
    async with running_bot(world), flood(world, attacker):
        async with asyncio.timeout(WITHIN_S):
            await persistently(end, world, attacker.sandbox)


@pytest.mark.parametrize("end", [extend, rotate, expire, destroy])
@pytest.mark.parametrize("flood", [flood for flood in FLOODS if flood is not locks])
async def test_under_two_floods_a_sandbox_changes_and_ends_within_two_seconds(world, attacker, flood, end):
    await ends_in_time(world, attacker, flood, end)


async def measure(world, attacker, flood):
    """The p99 of another one's events beside burners, and beside the flood."""
    async with repeating(world.a, BURN, sessions=FLOODS[flood]):
        beside_burners = await p99_of_events(world)
    async with flood(world, attacker):
        beside_a_flood, _ = await asyncio.gather(
            p99_of_events(world), until_async(lambda: lives(world), LOGIN_S + WITHIN_S)
        )
        assert await world.manager.list()
    return beside_burners, beside_a_flood


@pytest.mark.parametrize("flood", FLOODS)
async def test_beside_floods_others_events_logins_and_writes_go_on(world, attacker, flood):
    """Measured up to three times: what a flood does, it does each time, and the machine has others on it."""
    measured = []
    async with running_bot(world):
        for _ in range(3):
            beside_burners, beside_a_flood = await measure(world, attacker, flood)
            if beside_a_flood <= max(3 * beside_burners, SLACK_S):
                return
            measured.append((beside_burners, beside_a_flood))
    pytest.fail(f"p99 beside burners, and beside the flood: {measured}")
