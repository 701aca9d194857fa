"""Several bots on one database: each change has one outcome and one clear error for whoever comes too late."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import pytest

from tests.faults.invariants import check, check_rows, settle
from tests.faults.operations import Job, addresses
from tests.faults.processes import bot_process
from tests.service.conftest import ADMIN, new_guild

long = partial(pytest.param, marks=pytest.mark.long)
OWNER = 300_000_000_000_000_000


@pytest.fixture
async def bots(stores, dsn, nats_client, redis_client):
    """Four processes."""
    async with AsyncExitStack() as stack:
        urls, seed = addresses(stores, dsn), stores.nats_callout.account_seed
        yield [await stack.enter_async_context(bot_process(urls, seed)) for _ in range(4)]


async def share(bots, jobs):
    """All jobs at once, dealt out to the processes; how they went."""
    outcomes = await asyncio.gather(*(bot.do(*jobs[number :: len(bots)]) for number, bot in enumerate(bots)))
    return Counter(outcome for of_bot in outcomes for outcome in of_bot)


async def insert_running(pool, count):
    """Sandboxes as rows alone."""
    await pool.execute("INSERT INTO sandbox_owners (id) VALUES ($1)", OWNER)
    rows = await pool.fetch(
        "INSERT INTO sandboxes (id, name, owner_id, schema_name, status, expires_at)"
        " SELECT id, 'row-' || number, $1, sandbox_schema_name(id), 'running', now() + interval '3h'"
        " FROM (SELECT gen_random_uuid() AS id, number FROM generate_series(1, $2) AS number) RETURNING id",
        OWNER,
        count,
    )
    return [row["id"] for row in rows]


@pytest.mark.long
async def test_of_200_creates_at_once_the_quota_lets_five_through(bots, enforced, pool, redis_client):
    jobs = [Job("create", None, OWNER, new_guild()) for _ in range(200)]
    assert await share(bots, jobs) == {"": 5, "SANDBOX_002": 195}
    assert len(await enforced.list(owner_id=OWNER)) == 5
    await check(enforced, pool, redis_client)


async def test_of_50_binds_of_one_server_at_once_one_wins(bots, pool):
    sandboxes, guild = await insert_running(pool, 50), new_guild()
    outcomes = await share(bots, [Job("bind", sandbox_id, OWNER, guild) for sandbox_id in sandboxes])
    assert outcomes == {"": 1, "SANDBOX_003": 49}
    assert await pool.fetchval("SELECT count(*) FROM sandbox_guild_mapping") == 1
    assert await pool.fetchval("SELECT count(*) FROM sandbox_audit_log") == 1


@pytest.mark.parametrize(
    "operations",
    [
        {"destroy": 8},
        long({"extend": 4, "destroy": 4}),
        long({"bind": 4, "unbind": 4}),
        long({"issue": 4, "destroy": 2}),
        {"reset": 4, "destroy": 2},
        long({"reset": 4, "extend": 2, "issue": 2}),
        long({"sweep": 8}),
        long({"sweep": 4, "extend": 4}),
        {"sweep": 2, "destroy": 2, "extend": 2, "bind": 2, "unbind": 2, "issue": 2, "reset": 2},
    ],
    ids=lambda operations: "-".join(operations),
)
async def test_whatever_is_done_at_once_has_one_outcome(bots, enforced, pool, redis_client, age, operations):
    jobs = []
    for number in range(3):
        guild = new_guild()
        sandbox = await enforced.create(ADMIN, owner_id=OWNER + number, guild_ids=[guild])
        await enforced.issue_credentials(ADMIN, sandbox.id)
        if "sweep" in operations:
            await age(sandbox, timedelta(hours=24 if number else 30))
            if not number:
                await enforced.mark_expired(sandbox.id)
        jobs += [Job(name, sandbox.id, OWNER, guild) for name, count in operations.items() for _ in range(count)]
    outcomes = await share(bots, jobs)
    assert not [outcome for outcome in outcomes if outcome.startswith("bug")], outcomes
    assert set(outcomes) <= {"", "SANDBOX_003", "SANDBOX_004", "SANDBOX_007"}
    if set(operations) == {"destroy"}:
        assert outcomes == {"": 3, "SANDBOX_007": 21}
    await check_rows(pool)
    await settle(enforced, pool)
    await check(enforced, pool, redis_client)
