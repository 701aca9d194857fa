"""PostgreSQL's table of locks is everybody's: who fills it is ended, and everything goes on within two seconds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import pytest

from bot import constants
from bot.errors import ServiceUnavailable
from bot.sandboxes.access.lock_guard import LockGuard
from bot.supervisor import Supervisor
from tests.breakout.conftest import ADA, until
from tests.breakout.flood import repeating
from tests.breakout.sessions import (
    A_MINUTE,
    WITHIN_S,
    destroy,
    end_all_sessions,
    has_status,
    move_expiry,
    rotate,
    to_postgres_and_close,
    until_async,
)

FILL = "SELECT pg_advisory_lock(n) FROM generate_series(1, 200000) AS n"
"""The session's locks outlive the statement's failure."""

pytestmark = pytest.mark.long

SNATCH = """
DO $$ DECLARE n bigint := 0; began timestamptz := clock_timestamp(); BEGIN
    WHILE clock_timestamp() < began + interval '8 s' LOOP
        BEGIN LOOP n := n + 1; PERFORM pg_advisory_lock(n); END LOOP; EXCEPTION WHEN out_of_memory THEN NULL; END;
    END LOOP;
END $$
"""
"""A subtransaction's failure does not release session locks."""

MANY_OBJECTS = """
BEGIN;
DO $$ BEGIN FOR n IN 1..20000 LOOP
    BEGIN EXECUTE format('CREATE TABLE t%s ()', n); EXCEPTION WHEN out_of_memory THEN EXIT; END;
END LOOP; END $$
"""


async def fill(worker):
    with suppress(asyncpg.OutOfMemoryError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
        await worker.pg.execute(FILL)


@asynccontextmanager
async def guarding(world):
    """What a running bot has."""
    async with Supervisor() as supervisor:
        part = supervisor.start("lock guard", LockGuard(world.stores.addresses.postgres).run)
        await part.wait_running()
        yield


@asynccontextmanager
async def sweeping(world):
    """As a running bot does, every second."""
    second = timedelta(seconds=1)
    reaper = world.manager.make_reaper(warn_before=second, grace=A_MINUTE, stuck_after=A_MINUTE)
    async with Supervisor() as supervisor:
        supervisor.start_periodic("reaper", reaper.sweep, second)
        supervisor.start_periodic("access", lambda: world.manager.access.reconcile(A_MINUTE), second)
        yield


@pytest.fixture
async def attacker(world):
    worker = await world.add()
    yield worker
    await worker.close()
    await end_all_sessions(world, worker)


async def lives(world):
    """Others log in and write."""
    with suppress(asyncpg.PostgresError):
        other = await asyncpg.connect(world.b.urls["SANDBOX_DATABASE_URL"])
        try:
            await other.execute("CREATE TABLE written (id int); DROP TABLE written")
        finally:
            other.terminate()
        return True
    return False


async def test_a_full_table_of_locks_is_emptied(world, attacker):
    async with guarding(world):
        await fill(attacker)
        await until(attacker.pg.is_closed, WITHIN_S)
        assert await lives(world)
        await until_async(lambda: is_audited(world, attacker))
    await destroy(world, attacker.sandbox)


async def test_many_objects_locked_in_one_transaction_are_let_go(world, attacker):
    async with guarding(world):
        with suppress(asyncpg.OutOfMemoryError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
            await attacker.pg.execute(MANY_OBJECTS)
        await until(attacker.pg.is_closed, WITHIN_S)
        assert await lives(world)
    await destroy(world, attacker.sandbox)


async def is_audited(world, worker):
    return "sessions_ended" in {entry.event_type for entry in await world.manager.get_audit(ADA, worker.sandbox.id)}


@pytest.mark.parametrize("end", [destroy, rotate])
async def test_a_sandbox_that_holds_all_locks_ends_within_two_seconds(world, attacker, end):
    async with guarding(world):
        await fill(attacker)
        async with asyncio.timeout(WITHIN_S):
            await persistently(end, world, attacker.sandbox)


async def test_a_sandbox_that_holds_all_locks_expires_within_two_seconds(world, attacker):
    await move_expiry(world, attacker.sandbox, timedelta(seconds=1))
    async with guarding(world), sweeping(world):
        await fill(attacker)
        await until_async(lambda: is_expired(world, attacker.sandbox), 1 + WITHIN_S)


async def is_expired(world, sandbox):
    with suppress(ServiceUnavailable):
        return await has_status(world, sandbox, "expired")
    return False


async def persistently(end, world, sandbox):
    """As the reaper does by itself, and a person by asking again."""
    while True:
        try:
            return await end(world, sandbox)
        except ServiceUnavailable:
            await asyncio.sleep(0.1)


async def extend(world, sandbox):
    await world.manager.extend_ttl(ADA, sandbox.id, timedelta(hours=1))


async def expire(world, sandbox):
    """The reaper is running. Its sandbox may hold the row of its role, which this changes too."""
    with suppress(asyncpg.OutOfMemoryError, asyncpg.InternalServerError, asyncpg.LockNotAvailableError):
        if (await world.manager.get_by_id(sandbox.id)).status == "running":
            await move_expiry(world, sandbox, timedelta(seconds=-1))
        await until_async(lambda: is_expired(world, sandbox))
        return
    raise ServiceUnavailable("PostgreSQL", "it was full")


@pytest.mark.parametrize("end", [extend, rotate, expire, destroy])
async def test_locks_taken_again_and_again_by_nine_sessions_keep_nobody_out(world, attacker, end):
    """Each takes what is given back, and a new one comes for each that was ended, from the first moment on."""
    async with guarding(world), sweeping(world), repeating(attacker, SNATCH, sessions=9):
        async with asyncio.timeout(WITHIN_S):
            await persistently(end, world, attacker.sandbox)
        await until_async(lambda: lives(world))


async def test_who_has_held_too_many_locks_is_let_in_again_by_whoever_finds_the_note(world, attacker, monkeypatch):
    monkeypatch.setattr(constants, "ACCESS_UNAPPLIED_AFTER_S", 1.0)
    monkeypatch.setattr(constants, "LOCK_HOARDER_BARRED_FIRST_S", 0.5)
    async with guarding(world):
        await fill(attacker)
        await until_async(lambda: is_shut_out(world, attacker))
    async with sweeping(world):
        await until_async(lambda: to_postgres_and_close(attacker), 5)
    assert attacker.nats.is_connected


async def is_shut_out(world, worker):
    query = "SELECT NOT sandbox_role_may_connect($1)"
    with suppress(asyncpg.OutOfMemoryError):
        return await world.superuser.fetchval(query, worker.sandbox.schema_name)
    return False
