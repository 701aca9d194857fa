"""A bot's process is killed, or loses a store, after each single thing that a server has done for it.

Another process then brings everything to the one right state.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.faults.invariants import check, settle
from tests.faults.operations import CHANGES, Job, addresses, bot_settings, open_manager, perform
from tests.faults.processes import KILLED, bot_process
from tests.faults.wires import Gate, wired
from tests.service.conftest import ADMIN, new_guild

pytestmark = pytest.mark.long

HOUR = timedelta(hours=1)
AT_ONCE = 3


@pytest.fixture
def urls(stores, dsn):
    return addresses(stores, dsn)


@pytest.fixture
def seed(stores):
    return stores.nats_callout.account_seed


@pytest.fixture
def make_job(enforced, age, redis_client):
    """A job, with the sandbox that it is about in the state that it needs."""
    owners = iter(range(300_000_000_000_000_000, 300_000_000_000_100_000))

    async def make(operation, state=""):
        owner_id, guild_id = next(owners), new_guild()
        if operation == "create":
            return Job(operation, None, owner_id, guild_id)
        bound = [new_guild(), guild_id] if operation == "unbind" else [new_guild()]
        sandbox = await enforced.create(ADMIN, owner_id=owner_id, guild_ids=bound, ttl=2 * HOUR)
        await enforced.issue_credentials(ADMIN, sandbox.id)
        await redis_client.set(sandbox.redis_prefix + "key", 1)
        if state:
            await age(sandbox, (10 if state == "over" else 2) * HOUR)
        if state in {"expired", "over"}:
            await enforced.mark_expired(sandbox.id)
        return Job(operation, sandbox.id, owner_id, guild_id)

    return make


async def killed_at(urls, seed, job, limit):
    """What became of the job, and how much the process had asked of the servers by then."""
    gate = Gate(limit)
    async with wired(urls, gate) as (detours, _), bot_process(detours, seed) as bot:
        gate.strike = bot.kill
        gate.armed = True
        (outcome,) = await bot.do(job)
        return outcome, gate.asked


OPERATIONS = [
    ("create", ""),
    ("extend", ""),
    ("extend", "expired"),
    ("bind", ""),
    ("unbind", ""),
    ("issue", ""),
    ("reset", ""),
    ("destroy", ""),
    ("sweep", "due"),
    ("sweep", "over"),
]


@pytest.mark.parametrize(("operation", "state"), OPERATIONS)
async def test_a_process_killed_after_any_step_leaves_nothing_undone(
    urls, seed, make_job, enforced, pool, redis_client, operation, state
):
    await enforced.access.reconcile(HOUR)  # the one that lives has seen this Redis before
    outcome, steps = await killed_at(urls, seed, await make_job(operation, state), None)
    assert (outcome, len(steps) > 0) == ("", True)
    turn = asyncio.Semaphore(AT_ONCE)

    async def kill(limit):
        async with turn:
            outcome, asked = await killed_at(urls, seed, await make_job(operation, state), limit)
            assert outcome == (KILLED if len(asked) >= limit else "")

    if operation == "sweep":  # it takes all that are due, so there has to be one at a time
        for limit in range(1, len(steps) + 1):
            await kill(limit)
    else:
        await asyncio.gather(*(kill(limit) for limit in range(1, len(steps) + 1)))
    await settle(enforced, pool)
    await check(enforced, pool, redis_client)


COUNT = """
SELECT count(*) FROM sandbox_audit_log AS entry JOIN sandboxes AS sandbox ON sandbox.id = entry.sandbox_id
 WHERE sandbox.owner_id = $1 AND entry.event_type = $2
"""


@pytest.mark.parametrize("operation", CHANGES)
async def test_what_a_process_was_killed_at_any_step_of_is_done_once_when_it_is_asked_for_again(
    urls, seed, make_job, enforced, pool, monkeypatch, operation
):
    monkeypatch.setattr("bot.constants.TAKEN_OVER_AFTER_S", 0.0)
    monkeypatch.setattr("bot.constants.FIRST_RUN_ASKED_EVERY_S", 0.01)
    turn, keys = asyncio.Semaphore(AT_ONCE), iter(range(10**18, 10**18 + 1000))

    async def repeat(limit):
        async with turn:
            job = replace(await make_job(operation), key=next(keys))
            before = await pool.fetchval(COUNT, job.owner_id, CHANGES[operation])
            _, asked = await killed_at(urls, seed, job, limit)
            assert await perform(enforced, None, job) == ""
            assert await pool.fetchval(COUNT, job.owner_id, CHANGES[operation]) == before + 1
            return asked

    steps = await repeat(None)
    await asyncio.gather(*(repeat(limit) for limit in range(1, len(steps) + 1)))


async def loses(urls, seed, job, store, limit):
    """Does the job while a store goes away after that many steps (PostgreSQL: its connections end); whom it asked.

    Any error but one that a user may be told is a defect.
    """
    gate = Gate(limit, hand_on=True)
    async with wired(urls, gate) as (detours, wires):
        lost = [wire for name, wire in wires.items() if name.startswith(store)]

        def strike():
            for wire in lost:
                wire.cut() if store == "postgres" else wire.go_away()

        gate.strike = strike
        settings = bot_settings(detours, seed)
        async with open_manager(settings) as manager:
            manager.streams._jetstream._timeout = 0.5  # instead of 5 s for each question that NATS doesn't answer
            gate.armed = True
            if limit == 0:
                strike()
            await perform(manager, settings, job)
            gate.armed = False
            for wire in lost:
                wire.come_back()
    return gate.asked


# nats-py leaves the sockets of reconnects that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("store", ["postgres", "redis", "nats"])
async def test_a_store_that_goes_away_after_any_step_leaves_nothing_undone(
    urls, seed, make_job, enforced, pool, redis_client, store
):
    turn = asyncio.Semaphore(10)

    async def lose(operation, state, limit):
        async with turn:
            return await loses(urls, seed, await make_job(operation, state), store, limit)

    async def go_through(operation, state):
        asked = await lose(operation, state, None)
        await asyncio.gather(
            *(lose(operation, state, number) for number, name in enumerate(asked) if name.startswith(store))
        )

    await asyncio.gather(*(go_through(operation, state) for operation, state in OPERATIONS))
    await settle(enforced, pool)
    await check(enforced, pool, redis_client)
