"""A worker keeps its role's row in PostgreSQL to itself; what ends or replaces its credentials goes on all the same."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import pytest
from loguru import logger

from tests.breakout.conftest import ADA, until
from tests.breakout.sessions import (
    A_MINUTE,
    WITHIN_S,
    destroy,
    has_status,
    is_untouched,
    logins,
    move_expiry,
    reaping,
    to_postgres_and_close,
    until_async,
)
from tests.faults.operations import Job, addresses
from tests.faults.processes import KILLED, bot_process
from tests.faults.wires import Gate, wired
from tests.sessions import ENDED

HELD_S = 0.1
"""How long the attack keeps the row each time: others are waiting for it by then, the bot among them."""
ATTACK_S = 20.0
AT_A_TIME = 6


@pytest.fixture
async def worker(world):
    worker = await world.add()
    yield worker
    await worker.close()


@asynccontextmanager
async def holding(worker):
    """Sessions that alter their own role in turns, so that always one of them holds its row, and that come back."""
    began, stop, held = time.monotonic(), asyncio.Event(), asyncio.Event()

    def goes_on():
        return not stop.is_set() and time.monotonic() < began + ATTACK_S

    async def hold():
        while goes_on():
            with suppress(*ENDED):
                connection = await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])
                try:
                    while goes_on():
                        await keep(connection)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.01)

    async def keep(connection):
        """Until the others wait; whoever waited is told that the row was updated meanwhile."""
        with suppress(asyncpg.InternalServerError):
            async with connection.transaction():
                await connection.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{worker.token}'")
                held.set()
                await asyncio.sleep(HELD_S)

    tasks = [asyncio.create_task(hold()) for _ in range(AT_A_TIME)]
    try:
        await asyncio.wait_for(held.wait(), 5)
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def facts_of(world, sandbox):
    """Of the role: what it logs in by, until when, whether it may connect, and whether that is what is committed."""
    return await world.superuser.fetchrow(
        "SELECT rolpassword = scram_verifier AS has_its_password, rolvaliduntil = expires_at AS has_its_expiry,"
        " sandbox_role_may_connect(schema_name) AS may_connect, role_changed_at IS NULL AS is_settled"
        " FROM sandboxes LEFT JOIN pg_authid ON rolname = schema_name"
        " LEFT JOIN sandbox_credentials ON sandbox_id = sandboxes.id WHERE sandboxes.id = $1",
        sandbox.id,
    )


async def test_credentials_are_replaced_under_it_each_time(world, worker):
    for _ in range(5):
        async with holding(worker):
            began = time.monotonic()
            fresh = await world.employ(worker.sandbox)
            assert time.monotonic() - began < WITHIN_S
            assert await logins(worker) == []
            assert await logins(fresh) == ["PostgreSQL", "Redis", "NATS"]
        assert set(await facts_of(world, worker.sandbox)) == {True}
        await worker.close()
        worker.urls = fresh.urls
        await fresh.close()
        await worker.connect()
    assert await is_untouched(world.b)


async def test_it_is_extended_under_it(world, worker):
    async with holding(worker):
        for _ in range(3):
            began = time.monotonic()
            await world.manager.extend_ttl(ADA, worker.sandbox.id, timedelta(hours=1))
            assert time.monotonic() - began < WITHIN_S
            assert (await facts_of(world, worker.sandbox))["has_its_expiry"]
    await until_async(lambda: to_postgres_and_close(worker))


async def test_an_extension_that_nothing_keeps_back_leaves_sessions_and_their_password_alone(world, worker):
    await worker.pg.execute("ALTER ROLE CURRENT_USER PASSWORD 'chosen'")
    await world.manager.extend_ttl(ADA, worker.sandbox.id, timedelta(hours=1))
    assert await worker.pg.fetchval("SELECT 1") == 1
    facts = await facts_of(world, worker.sandbox)
    assert (facts["has_its_expiry"], facts["is_settled"], facts["has_its_password"]) == (True, True, False)


async def test_it_is_destroyed_under_it(world, worker):
    async with holding(worker), reaping(world):
        began = time.monotonic()
        await destroy(world, worker.sandbox)
        await until_async(lambda: has_no_session(world, worker))
        assert time.monotonic() - began < WITHIN_S
        assert await logins(worker) == []
    assert await world.superuser.fetchval("SELECT to_regrole($1)", worker.sandbox.schema_name) is None
    assert await is_untouched(world.b)


async def test_it_expires_under_it(world, worker):
    await move_expiry(world, worker.sandbox, timedelta(seconds=1))
    async with holding(worker), reaping(world):
        await until_async(lambda: has_status(world, worker.sandbox, "expired"), 1 + WITHIN_S)
        await until_async(lambda: has_no_session(world, worker))
        assert await logins(worker) == []
    assert await is_untouched(world.b)


async def has_no_session(world, worker):
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1"
    return await world.superuser.fetchval(sessions, worker.sandbox.schema_name) == 0


async def test_no_log_tells_a_verifier(world, worker):
    """Neither the server's, which tells the statements of a failure and their contexts, nor the bot's."""
    said: list[str] = []
    sink = logger.add(said.append, level=0, format="{message} {extra} {exception}")
    async with holding(worker):
        with suppress(asyncpg.PostgresError):
            await world.manager.issue_credentials(ADA, worker.sandbox.id, rotate=True)
    logger.remove(sink)
    log = await asyncio.to_thread(postgres_log(world.servers).read_text)
    assert "SCRAM-SHA-256$" not in log
    assert "SCRAM-SHA-256$" not in "".join(said)


def postgres_log(servers):
    folder = servers.folder if hasattr(servers, "folder") else servers._layout.folder
    return next(folder.rglob("postgres.log"))


@pytest.fixture
def urls(world):
    return addresses(world.servers, world.settings.postgres.dsn.get_secret_value())


async def rotated_until(world, worker, urls, limit):
    """By a process that is killed with so many things done for it; its outcome, and what it had asked for."""
    gate = Gate(limit)
    job = Job("issue", worker.sandbox.id, ADA.id, 0)
    async with wired(urls, gate) as (detours, _), bot_process(detours, world.servers.nats_callout.account_seed) as bot:
        gate.strike = bot.kill
        gate.armed = True
        (outcome,) = await bot.do(job)
        return outcome, gate.asked


@pytest.mark.long
async def test_whatever_transaction_a_process_dies_after_another_one_lets_the_worker_in_again(world, worker, urls):
    outcome, asked = await rotated_until(world, worker, urls, None)
    assert outcome == ""
    assert asked.count("postgres") >= 4
    for limit in [number for number, store in enumerate(asked, 1) if store == "postgres"]:
        current = await world.employ(worker.sandbox)
        before = await verifier_of(world, worker)
        async with holding(current):
            outcome, _ = await rotated_until(world, worker, urls, limit)
            assert outcome == KILLED
            await world.superuser.execute(
                "UPDATE sandboxes SET access_changed_at = access_changed_at - interval '1 min',"
                " role_changed_at = role_changed_at - interval '1 min' WHERE id = $1",
                worker.sandbox.id,
            )
            await world.manager.access.reconcile(A_MINUTE)
        assert await verifier_of(world, worker) != before
        assert set(await facts_of(world, worker.sandbox)) == {True}, limit
        assert await logins(current) == []
        await current.close()


async def verifier_of(world, worker):
    query = "SELECT scram_verifier FROM sandbox_credentials WHERE sandbox_id = $1"
    return await world.superuser.fetchval(query, worker.sandbox.id)


async def test_nobody_makes_what_is_left_to_the_group(world, worker):
    """Large objects of its are everybody's and go with no sandbox. PostgreSQL 15 can't refuse: they are dropped."""
    make = "SELECT lo_from_bytea(0, 'left behind')"
    with suppress(asyncpg.InsufficientPrivilegeError):
        await worker.pg.execute("SET ROLE sandbox_worker")
        assert world.superuser.get_server_version().major < 16
        await worker.pg.execute(make)
    number = await world.superuser.fetchval(make)
    await world.superuser.execute(f"ALTER LARGE OBJECT {number} OWNER TO sandbox_worker")
    await world.manager.access.reconcile(A_MINUTE)
    left = "SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = 'sandbox_worker'::regrole"
    assert await world.superuser.fetchval(left) == 0


async def test_a_role_that_is_lent_to_another_sandbox_is_taken_back_with_its_sessions(world, worker):
    """Only PostgreSQL 15 lets a role grant itself."""
    borrower = await world.add()
    try:
        await worker.pg.execute(f"GRANT {worker.sandbox.schema_name} TO {borrower.sandbox.schema_name}")
    except asyncpg.InsufficientPrivilegeError:
        await borrower.close()
        return
    await borrower.pg.execute(
        f"SET ROLE {worker.sandbox.schema_name}; BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'chosen'"
    )
    fresh = await world.employ(worker.sandbox)
    await until(borrower.pg.is_closed)
    assert set(await facts_of(world, worker.sandbox)) == {True}
    again = await asyncpg.connect(borrower.urls["SANDBOX_DATABASE_URL"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await again.execute(f"SET ROLE {worker.sandbox.schema_name}")
    await again.close()
    await fresh.close()
    await borrower.close()
