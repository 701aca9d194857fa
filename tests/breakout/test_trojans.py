"""Objects of A's that would run as whoever touches them, and the bot's queries that might."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import pytest

from bot.errors import InvalidTransition
from tests.breakout.conftest import ADA, until

TRAP = """
CREATE TABLE caught (who text);
CREATE FUNCTION note() RETURNS void LANGUAGE sql AS 'INSERT INTO {a}.caught VALUES (current_user)';
CREATE FUNCTION trap() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> '{a}' OR session_user <> '{a}' THEN
        PERFORM {a}.note();
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION trap(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN PERFORM {a}.trap(); RETURN $1; END';
CREATE FUNCTION trap_step(bigint, anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT {a}.trap()::int::bigint';
"""

TROJANS = {
    "view": "CREATE VIEW bait AS SELECT trap()",
    "rule": "CREATE TABLE bait (id int); CREATE RULE r AS ON INSERT TO bait DO ALSO SELECT trap()",
    "trigger": "CREATE TABLE bait (id int); CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN PERFORM {a}.trap(); RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"
    " ON bait FOR EACH STATEMENT EXECUTE FUNCTION fire()",
    "forced-row-policy": "CREATE TABLE bait AS SELECT 1 AS id; CREATE POLICY p ON bait USING (trap());"
    " ALTER TABLE bait ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "index-expression": "CREATE TABLE bait AS SELECT 1 AS id; CREATE INDEX ON bait ((trap()))",
    "index-predicate": "CREATE TABLE bait AS SELECT 1 AS id; CREATE INDEX ON bait (id) WHERE trap()",
    "statistics-expression": "CREATE TABLE bait AS SELECT 1 AS id; CREATE STATISTICS st ON id, (trap(id)) FROM bait",
    "check": "CREATE TABLE bait (id int CHECK (trap()))",
    "default": "CREATE TABLE bait (id boolean DEFAULT trap())",
    "generated": "CREATE TABLE bait (id int, g boolean GENERATED ALWAYS AS (trap()) STORED);"
    " INSERT INTO bait VALUES (1)",
    "domain": "CREATE DOMAIN d AS int CHECK (trap()); CREATE TABLE bait (id d); INSERT INTO bait VALUES (1)",
    "inheritance": "CREATE TABLE bait (id int); CREATE TABLE child (CHECK (trap())) INHERITS (bait);"
    " CREATE POLICY p ON child USING (trap()); ALTER TABLE child ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "partition": "CREATE TABLE bait (id int) PARTITION BY RANGE ((trap(id)));"
    " CREATE TABLE part PARTITION OF bait DEFAULT",
    "materialized-view": "CREATE MATERIALIZED VIEW bait AS SELECT trap()",
    "aggregate-of-the-same-name": "CREATE AGGREGATE count(anyelement)"
    " (sfunc = trap_step, stype = bigint, initcond = 0)",
    "operator-of-the-same-name": "CREATE FUNCTION eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT {a}.trap()';"
    " CREATE OPERATOR = (FUNCTION = eq, LEFTARG = text, RIGHTARG = text)",
    "cast": "CREATE TYPE t AS (a int); CREATE FUNCTION c(t) RETURNS bigint LANGUAGE sql AS"
    " 'SELECT {a}.trap()::int::bigint'; CREATE CAST (t AS bigint) WITH FUNCTION c(t) AS IMPLICIT",
    "quoted-name": 'CREATE TABLE "bait"" ; SELECT {a}.trap() --" (id int)',
    "format-name": 'CREATE TABLE "%s %I $1 {{}}" (id int)',
    "default-privileges": "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; CREATE TABLE bait (id int)",
    "owner-without-select": "CREATE TABLE bait (id int); REVOKE ALL ON bait FROM {a}",
    "toast-and-temp": "CREATE TEMP TABLE communities (id int); CREATE TEMP VIEW sandboxes AS SELECT 1",
}


@pytest.fixture
async def victim(world):
    """A sandbox for one test, with a worker that has set a trap."""
    async with trapped(world) as worker:
        yield worker


@pytest.fixture(scope="module")
async def collector(world):
    """One for many trojans."""
    async with trapped(world) as worker:
        yield worker


@asynccontextmanager
async def trapped(world):
    worker = await world.add()
    await worker.pg.execute(TRAP.format(a=worker.sandbox.schema_name))
    yield worker
    await worker.close()
    with suppress(InvalidTransition):  # the test has done it
        await world.manager.destroy(ADA, worker.sandbox.id)


async def caught(world, worker):
    return await world.superuser.fetch(f"SELECT who FROM {worker.sandbox.schema_name}.caught")


async def look_everywhere(world, worker):
    """Whatever the bot does that looks at a sandbox."""
    manager = world.manager
    health = await manager.get_health(worker.sandbox.id)
    assert health.postgres.ok
    await manager.schemas.list_schemas()
    await manager.schemas.cleanup_orphaned_schemas(min_age=timedelta(0))
    await manager.access.reconcile(timedelta(minutes=1))
    await manager.extend_ttl(ADA, worker.sandbox.id, timedelta(minutes=1))


@pytest.mark.parametrize("name", TROJANS)
async def test_nothing_of_a_workers_runs_as_the_bot(world, collector, name):
    bait, schema = f"bait_{list(TROJANS).index(name)}", collector.sandbox.schema_name
    with suppress(asyncpg.InsufficientPrivilegeError):
        await collector.pg.execute(TROJANS[name].replace("bait", bait).format(a=schema))
    await look_everywhere(world, collector)
    assert await caught(world, collector) == []


async def test_a_table_that_turns_into_a_view_while_the_bot_counts_is_not_read(world, victim):
    schema, second = victim.sandbox.schema_name, await asyncpg.connect(victim.urls["SANDBOX_DATABASE_URL"])
    await victim.pg.execute("CREATE TABLE a1 (id int); CREATE TABLE a2 (id int)")
    await victim.pg.execute("BEGIN; LOCK TABLE a1")
    looking = asyncio.create_task(world.manager.schemas.get_schema_stats(victim.sandbox.id))
    await asyncio.wait({looking}, timeout=0.3)
    await second.execute(f"DROP TABLE a2; CREATE VIEW a2 AS SELECT {schema}.trap()")
    await victim.pg.execute("COMMIT")
    await asyncio.gather(looking, return_exceptions=True)
    await second.close()
    assert await caught(world, victim) == []


async def test_rows_are_estimated_of_all_tables(world, victim):
    await victim.pg.execute("INSERT INTO communities (guild_id, name) SELECT n, 'x' FROM generate_series(1, 50) AS n")
    await victim.pg.execute("CREATE TABLE mine AS SELECT n FROM generate_series(1, 70) AS n; ANALYZE")
    counted = {table.name: table.rows for table in await world.manager.schemas.get_schema_stats(victim.sandbox.id)}
    assert (counted["communities"], counted["mine"], counted["caught"]) == (50, 70, 0)


@pytest.mark.parametrize("servers", ["by-hand"], indirect=True, scope="package")
async def test_a_locked_table_delays_a_look_for_two_seconds_at_most(world, victim):
    await victim.pg.execute("BEGIN; LOCK TABLE communities")
    async with asyncio.timeout(4):
        health = await world.manager.get_health(victim.sandbox.id)
    assert (health.postgres.ok, health.postgres.summary) == (False, "a worker holds a lock on a table")


async def test_what_the_template_makes_is_the_workers_and_what_it_makes_of_it_is_left_alone(world, victim):
    await victim.pg.execute("DROP TABLE communities CASCADE; CREATE TABLE communities (id int)")
    await world.manager.schemas.create_schema(victim.sandbox.id)
    assert await victim.pg.fetch("SELECT id FROM communities") == []
    owners = await world.superuser.fetch(
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = $1::regnamespace"
        " AND relname IN ('communities', 'profiles', 'badges')",
        victim.sandbox.schema_name,
    )
    assert [row[0] for row in owners] == [victim.sandbox.schema_name]


async def test_a_worker_cannot_keep_its_sandbox_from_being_destroyed(world, victim):
    """With thousands of objects, more than one transaction may lock, and sessions that hold locks."""
    blockers = [await asyncpg.connect(victim.urls["SANDBOX_DATABASE_URL"]) for _ in range(2)]
    await victim.pg.execute(
        "DO $$ BEGIN FOR n IN 1..400 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', n);"
        " IF n % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    )
    await victim.pg.execute(
        "SELECT lo_create(0) FROM generate_series(1, 500);"
        "CREATE VIEW deep AS SELECT * FROM communities; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC"
    )
    for blocker in blockers:
        await blocker.execute("BEGIN; LOCK TABLE communities IN ROW SHARE MODE; SELECT pg_advisory_xact_lock_shared(1)")
    await world.manager.destroy(ADA, victim.sandbox.id)
    left = await world.superuser.fetchval(
        "SELECT count(*) FROM pg_roles FULL JOIN pg_namespace ON false WHERE $1 IN (rolname, nspname)",
        victim.sandbox.schema_name,
    )
    assert left == 0
    for blocker in blockers:
        blocker.terminate()


async def test_overlong_transactions_are_ended_whatever_a_worker_sets(world, victim):
    await victim.pg.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT 1")
    await world.manager.access.reconcile(timedelta(0))
    await until(victim.pg.is_closed)
    assert await world.b.pg.fetchval("SELECT 1") == 1
