"""What sandboxes take of PostgreSQL's disk is measured, told of, and ended when it is too much."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from bot import constants
from bot.sandboxes.access.sizes import SandboxSizes, SizeMarks
from bot.sandboxes.lifecycle.notices import NoticeDispatcher, NoticeKind, Outcome
from bot.stores.bars import Bars
from tests.service.conftest import ADA, ADMIN

MB = 1024 * 1024
FILL = "INSERT INTO kept SELECT repeat(md5(n::text), 30) FROM generate_series(1, {rows}) AS n"
ROWS_OF_A_MB = 1000
MEASURED = "SELECT bytes FROM measure_sandboxes(0) WHERE sandbox_id = $1"


@pytest.fixture
def sizes(enforced):
    """A bot's look at sandboxes that may take three megabytes."""
    found = enforced.sizes
    found.marks = SizeMarks(warned=MB, most=3 * MB)
    found._bars = Bars(0.3, 1)
    return found


@pytest.fixture
async def sandbox(enforced):
    return await enforced.create(ADA, name="blue")


@pytest.fixture
async def url(enforced, sandbox):
    """Its worker's address of PostgreSQL."""
    details = await enforced.issue_credentials(ADA, sandbox.id)
    return details.environment["SANDBOX_DATABASE_URL"]


@asynccontextmanager
async def connected(url):
    session = await asyncpg.connect(url)
    yield session
    session.terminate()


async def is_refused(url):
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def fill(session, megabytes):
    await session.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
    await session.execute(FILL.format(rows=megabytes * ROWS_OF_A_MB))


async def test_owner_and_admins_are_told_once_of_a_large_sandbox_which_goes_on(enforced, sizes, sandbox, url, outbox):
    mailbox = []

    async def deliver(delivery, told):
        mailbox.append((delivery.kind, delivery.recipient_id, told.name))
        return Outcome.SENT

    dispatcher = NoticeDispatcher(outbox, enforced.get_by_id, deliver)
    await enforced.create(ADA, name="small")
    async with connected(url) as worker:
        await fill(worker, 2)
        await sizes.look()
        await enforced.extend_ttl(ADA, sandbox.id, timedelta(hours=1))
        await sizes.look()
        await dispatcher.dispatch({ADMIN.id})
        await worker.execute("TRUNCATE kept")
        await sizes.look()
        await fill(worker, 2)
        assert (await enforced.get_health(sandbox.id)).postgres.ok
    assert Counter(mailbox) == {(NoticeKind.TOO_LARGE, person.id, "blue"): 1 for person in (ADA, ADMIN)}


@pytest.mark.long
async def test_too_large_a_sandbox_loses_its_sessions_and_has_time_to_make_room(
    enforced, sizes, sandbox, url, audit, monkeypatch
):
    monkeypatch.setattr(constants, "ACCESS_UNAPPLIED_AFTER_S", 0)

    async def let_in():
        async with asyncio.timeout(5):
            while sizes._bars.held() or await is_refused(url):
                await enforced.access.reconcile(timedelta(minutes=1))
                await asyncio.sleep(0.02)

    async with connected(url) as worker:
        await fill(worker, 5)
        await sizes.look()
        with pytest.raises(
            (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
        ):
            await worker.execute("SELECT true")
    assert await is_refused(url)
    health = await enforced.get_health(sandbox.id)
    assert (health.postgres.ok, "over the 3 MiB that it may take" in health.postgres.summary) == (False, True)

    await let_in()
    async with connected(url) as worker:
        await sizes.look()  # it was let in a moment ago
        assert await worker.fetchval("SELECT true")
        await sizes.look()
        assert await is_refused(url)

    await let_in()
    async with connected(url) as worker:
        await sizes.look()
        await worker.execute("TRUNCATE kept")
        for _ in range(2):
            await sizes.look()
        assert await worker.fetchval("SELECT true")
    assert (await enforced.get_health(sandbox.id)).postgres.ok
    assert (await audit(sandbox.id)).count("sessions_ended") == 1


async def test_where_roles_are_not_kept_apart_it_is_told_and_nobody_is_shut_out(manager, pool):
    sandbox = await manager.create(ADA)
    await SandboxSizes(pool, manager.access, SizeMarks(warned=0, most=0)).look()
    assert await pool.fetchval("SELECT role_changed_at IS NULL FROM sandboxes WHERE id = $1", sandbox.id)
    assert await pool.fetchval("SELECT count(*) FROM sandbox_notices WHERE kind = 'too_large'") == 1


TAKES_A_MB = {
    "a table of its own": "CREATE TABLE a AS {values}",
    "an index": "CREATE INDEX ON indexed (n)",
    "a materialized view": "CREATE MATERIALIZED VIEW a AS {values}",
    "values that are kept apart": "CREATE TABLE a AS SELECT string_agg(md5(n::text), '') AS value"
    " FROM generate_series(1, 100000) AS n",
    "sequences": "DO $$ BEGIN FOR n IN 1..150 LOOP EXECUTE format('CREATE SEQUENCE s%s', n); END LOOP; END $$",
    "a temporary table": "CREATE TEMP TABLE a AS {values}",
    "another schema of its role's": "CREATE TABLE {schema}_more.a AS {values}",
}
VALUES = "SELECT repeat(md5(n::text), 30) AS value FROM generate_series(1, 1100) AS n"


@pytest.mark.parametrize("statement", TAKES_A_MB.values(), ids=TAKES_A_MB)
async def test_all_that_a_sandbox_takes_is_counted_as_its_own(enforced, stores, pool, sandbox, url, statement):
    database = url.rpartition("/")[2].partition("?")[0]
    superuser = await asyncpg.connect(stores.superuser_url(database))
    schema = sandbox.schema_name
    await superuser.execute(
        f"GRANT TEMP ON DATABASE {database} TO {schema}; CREATE SCHEMA {schema}_more AUTHORIZATION {schema}"
    )
    other = await enforced.create(ADA)
    async with connected(url) as worker:
        await worker.execute("CREATE TABLE indexed AS SELECT n, n + 1 AS other FROM generate_series(1, 50000) AS n")
        before = [await pool.fetchval(MEASURED, counted.id) for counted in (sandbox, other)]
        await worker.execute(statement.format(values=VALUES, schema=schema))
        after = [await pool.fetchval(MEASURED, counted.id) for counted in (sandbox, other)]
    assert after[0] - before[0] > 0.7 * MB
    assert after[1] == before[1]
    await superuser.execute(f"DROP SCHEMA {schema}_more CASCADE; REVOKE TEMP ON DATABASE {database} FROM {schema}")
    await superuser.close()


async def test_a_locked_table_holds_up_no_look_and_hides_nothing_that_is_known(pool, sandbox, url):
    async with connected(url) as worker:
        await fill(worker, 2)
        await worker.execute("ANALYZE kept; BEGIN; LOCK TABLE kept")
        async with asyncio.timeout(2):
            assert await pool.fetchval(MEASURED, sandbox.id) > 2 * MB
        await worker.execute("COMMIT; CREATE TABLE waited_for (); BEGIN; LOCK TABLE kept IN ACCESS SHARE MODE")
        async with connected(url) as waiting:
            task = asyncio.create_task(waiting.execute("BEGIN; LOCK TABLE kept; COMMIT"))
            async with asyncio.timeout(5):
                while not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                    await asyncio.sleep(0.01)
                assert await pool.fetchval(MEASURED, sandbox.id) > 2 * MB
            await worker.execute("COMMIT")
            await task


async def test_an_older_bot_sees_no_notice_of_a_kind_that_it_does_not_know(pool, manager, outbox):
    sandbox = await manager.create(ADA)
    async with pool.acquire() as connection:
        for kind in (NoticeKind.EXPIRED, NoticeKind.TOO_LARGE):
            await outbox.write(connection, sandbox, kind)
    assert await outbox.fan_out({ADMIN.id}) == 2
    kinds = await pool.fetch("SELECT kind FROM public.sandbox_notices")
    assert [row["kind"] for row in kinds] == ["expired"]
    assert await pool.fetchval("SELECT count(*) FROM public.sandbox_notice_deliveries") == 2
    assert await pool.fetchval("SELECT count(*) FROM sandbox_notice_deliveries") == 4
