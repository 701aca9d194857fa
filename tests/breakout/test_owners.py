"""What a worker may do because its role owns all that is in its schema, and may make more of them; and what it plants
there for whatever the bot does."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from bot import constants
from bot.errors import InvalidTransition, SandboxNotFound
from bot.sandboxes.access.isolation import may_create_schemas, probe_postgres
from bot.sandboxes.schema import TableStats
from bot.stores.postgres import open_pool
from tests.breakout.conftest import ADA, until
from tests.breakout.owner_tries import PLANTED, REFUSED, SPRING, TEMPORARY
from tests.conftest import address, bootstrap_database, create_database, drop_database

UNKNOWN = {"42704", "22023", "42601", "0A000"}
"""What a version says of what it has not."""

STATE = """
SELECT 'schema ' || nspname || nspowner::regrole || coalesce(nspacl::text, '') FROM pg_namespace
 WHERE nspname !~ '^pg_(toast_)?temp'
 UNION ALL SELECT 'owned by ' || refobjid::regrole || ' ' || count(*) FROM pg_shdepend
            WHERE deptype = 'o' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND refobjid <> to_regrole($1)
            GROUP BY refobjid
 UNION ALL SELECT 'extension ' || extname FROM pg_extension
 UNION ALL SELECT 'publication ' || pubname FROM pg_publication
 UNION ALL SELECT 'guard ' || evtname || evtenabled::text || prosrc
             FROM pg_event_trigger JOIN pg_proc ON pg_proc.oid = evtfoid
 UNION ALL SELECT 'database ' || datacl::text FROM pg_database WHERE datname = current_database()
 ORDER BY 1
"""

MADE_BY_THE_BOT = """
DO $$ DECLARE thing record; BEGIN
    FOR thing IN SELECT oid::regclass AS name FROM pg_class
                  WHERE relnamespace = '{a}'::regnamespace AND relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO sandbox_bot', thing.name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO {a}', thing.name);
    END LOOP;
END $$;
"""


@pytest.fixture(scope="module")
async def attempts(world):
    """Another session of A's."""
    connection = await asyncpg.connect(world.a.urls["SANDBOX_DATABASE_URL"])
    yield connection
    connection.terminate()


@pytest.mark.parametrize("name", REFUSED)
async def test_a_worker_makes_nothing_outside_of_its_schemas(world, attempts, name):
    before = await world.superuser.fetch(STATE, world.a.sandbox.schema_name)
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await attempts.execute(REFUSED[name].format(**world.names))
    assert refusal.value.sqlstate in {"42501", "42939", *UNKNOWN}, str(refusal.value)
    await attempts.execute("ROLLBACK; RESET ROLE; RESET ALL; DISCARD TEMP")
    assert await world.superuser.fetch(STATE, world.a.sandbox.schema_name) == before


async def test_the_template_and_more_schemas_are_a_developers_tools_to_change(world, attempts):
    """As migrations do, one after the other."""
    own = world.a.sandbox.schema_name
    steps = [
        "ALTER TABLE communities ADD COLUMN mood text DEFAULT 'calm'",
        "CREATE INDEX communities_mood ON communities (mood)",
        "CREATE TABLE rounds (id bigint PRIMARY KEY, community bigint REFERENCES communities (id))",
        "ALTER TABLE profiles ALTER COLUMN bio TYPE varchar(400)",
        "COMMENT ON TABLE badges IS 'what was earned'",
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER stamped BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION stamp()",
        "SELECT setval(pg_get_serial_sequence('badges', 'id'), 500)",
        "TRUNCATE badges",
        "CREATE TEMP TABLE staged (LIKE communities)",
        "CREATE TYPE colour AS ENUM ('red', 'green')",
        f"CREATE SCHEMA IF NOT EXISTS {own}",
        f"CREATE SCHEMA {own}_drizzle",
        f"CREATE TABLE {own}_drizzle.done (id int)",
        f"CREATE SCHEMA {own}_boss AUTHORIZATION {own} CREATE TABLE jobs (id int PRIMARY KEY)",
        f"ALTER SCHEMA {own}_boss RENAME TO {own}_queue",
        f"CREATE TABLE {own}_queue.t (id bigint REFERENCES {own}.communities (id))",
        "DROP TABLE badges",
        f"DROP SCHEMA {own}_drizzle, {own}_queue CASCADE",
        "DROP TABLE rounds; DROP TRIGGER stamped ON profiles; DROP FUNCTION stamp(); DROP TYPE colour",
    ]
    try:
        for step in steps:
            await attempts.execute(step)
    finally:
        await world.manager.reset(ADA, world.a.sandbox.id)
        await world.a.connect()
        await world.a.pg.execute(
            "INSERT INTO communities (guild_id, name) VALUES (1, 'secret');"
            "CREATE TABLE own (id int PRIMARY KEY, value text); INSERT INTO own VALUES (1, 'secret')"
        )


@pytest.fixture
async def worker(world):
    """Of a sandbox for one test."""
    async with hired(world) as worker:
        yield worker


@asynccontextmanager
async def hired(world):
    worker = await world.add()
    yield worker
    await worker.close()
    try:
        await world.manager.destroy(ADA, worker.sandbox.id)
    except (InvalidTransition, SandboxNotFound):
        """The test has done it."""


async def left_of(world, sandbox):
    """Schemas and role, objects of the role's or the group's in this database."""
    return await world.superuser.fetch(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)"
        " UNION ALL SELECT rolname FROM pg_roles WHERE rolname = $1"
        " UNION ALL SELECT 'of the group' FROM pg_shdepend WHERE refobjid = 'sandbox_worker'::regrole AND"
        " deptype = 'o'",
        sandbox.schema_name,
    )


async def test_more_schemas_are_counted_emptied_by_a_reset_and_end_with_the_sandbox(world, worker):
    sandbox, manager = worker.sandbox, world.manager
    extra = f"{sandbox.schema_name}_m"
    make = f"CREATE SCHEMA {extra}; CREATE TABLE {extra}.t AS SELECT generate_series(1, 40)"
    await worker.pg.execute(make)
    await worker.pg.execute(f"ANALYZE {extra}.t")
    stats = await manager.schemas.get_schema_stats(sandbox.id)
    assert [table.name for table in stats] == ["badges", "communities", "profiles", f"{extra}.t"]
    assert stats[-1] == TableStats(f"{extra}.t", 40, stats[-1].bytes)
    assert stats[-1].bytes > 0
    await manager.reset(ADA, sandbox.id)
    assert [row[0] for row in await left_of(world, sandbox)] == [sandbox.schema_name] * 2
    await worker.connect()
    await worker.pg.execute(make)
    assert await worker.pg.fetchval("SHOW search_path") == sandbox.schema_name
    await manager.destroy(ADA, sandbox.id)
    assert await left_of(world, sandbox) == []


@pytest.mark.long
async def test_any_number_of_schemas_goes_in_batches(world, worker, monkeypatch):
    """More than one transaction may lock where servers are set up by hand."""
    monkeypatch.setattr(constants, "SCHEMA_DROP_BATCH", 100)
    own = worker.sandbox.schema_name
    await worker.pg.execute(
        f"DO $$ BEGIN FOR n IN 1..800 LOOP EXECUTE format('CREATE SCHEMA {own}_%s', n);"
        f" EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA {own}_%s GRANT ALL ON TABLES TO PUBLIC', n);"
        " IF n % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    )
    await worker.pg.execute(
        f"DO $$ BEGIN FOR n IN 1..700 LOOP EXECUTE format('CREATE TABLE {own}_1.t%s (id int PRIMARY KEY)', n);"
        " IF n % 50 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    )
    await world.manager.destroy(ADA, worker.sandbox.id)
    assert await left_of(world, worker.sandbox) == []


@pytest.mark.parametrize("kind", TEMPORARY)
async def test_what_a_session_leaves_is_never_too_much_for_the_server_to_drop(world, worker, kind):
    """One that is killed drops its temporary schema in one transaction, or leaves it to whoever comes next there;
    and until that is done its role cannot be dropped."""
    with pytest.raises(asyncpg.ProgramLimitExceededError, match="too many temporary tables"):
        await worker.pg.execute(
            f"DO $$ BEGIN FOR n IN 1..600 LOOP EXECUTE format('{TEMPORARY[kind]}', n);"
            " IF n % 20 = 0 THEN COMMIT; END IF; END LOOP; END $$"
        )
    await world.manager.destroy(ADA, worker.sandbox.id)
    assert await left_of(world, worker.sandbox) == []


async def give_all(worker):
    """To the group. REASSIGN OWNED, which no event trigger sees, asks for no more than the membership that lets a
    worker connect; with a schema only PostgreSQL 15 does."""
    own = worker.sandbox.schema_name
    await worker.pg.execute(f"CREATE SCHEMA {own}_x; CREATE TABLE {own}_x.t (); CREATE VIEW v AS SELECT 1 AS one")
    try:
        await worker.pg.execute("REASSIGN OWNED BY CURRENT_USER TO sandbox_worker")
    except asyncpg.InsufficientPrivilegeError:
        assert worker.pg.get_server_version().major >= 16
        await worker.pg.execute(f"DROP SCHEMA {own}_x CASCADE; REASSIGN OWNED BY CURRENT_USER TO sandbox_worker")


async def test_what_is_given_to_the_group_does_not_outlive_its_sandbox(world, worker):
    await give_all(worker)
    await world.manager.destroy(ADA, worker.sandbox.id)
    assert await left_of(world, worker.sandbox) == []


async def test_what_is_given_to_the_group_is_nobodys_and_goes_at_the_next_turn(world, worker):
    own = worker.sandbox.schema_name
    await world.superuser.execute("CREATE SCHEMA shared AUTHORIZATION sandbox_worker CREATE TABLE stays ()")
    await world.superuser.execute("ALTER TABLE shared.stays OWNER TO sandbox_worker")
    await give_all(worker)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.b.pg.execute(f"TABLE {own}.badges")
    await world.manager.access.reconcile(timedelta(minutes=1))
    assert [row[0] for row in await left_of(world, worker.sandbox)] == [own, own, "of the group", "of the group"]
    assert await world.superuser.fetch("SELECT FROM shared.stays") == []
    await world.superuser.execute("DROP SCHEMA shared CASCADE")


async def test_what_another_has_taken_from_the_group_ends_with_either(world, worker):
    taker = await world.add()
    await give_all(worker)
    await taker.pg.execute("REASSIGN OWNED BY sandbox_worker TO CURRENT_USER")
    await world.manager.destroy(ADA, worker.sandbox.id)
    await world.manager.destroy(ADA, taker.sandbox.id)
    await taker.close()
    assert await left_of(world, worker.sandbox) == []


async def test_schemas_whose_sandbox_is_lost_are_orphans_by_owner_and_name(world, worker):
    """As after a restored backup: the bot's row is gone, role and schemas are there."""
    schemas, own = world.manager.schemas, worker.sandbox.schema_name
    await worker.pg.execute(f"CREATE SCHEMA {own}_x; CREATE TABLE {own}_x.t ()")
    await world.superuser.execute(f"CREATE SCHEMA {own}_dba; CREATE SCHEMA sandbox_ffffffff_of_nobody")
    assert own not in await schemas.list_orphans(timedelta(0))
    for table in ("sandbox_credentials", "sandbox_audit_log", "sandboxes"):
        column = "id" if table == "sandboxes" else "sandbox_id"
        await world.superuser.execute(f"DELETE FROM public.{table} WHERE {column} = $1", worker.sandbox.id)
    assert set(await schemas.list_orphans(timedelta(0))) == {own, f"{own}_x"}
    assert await schemas.list_orphans(timedelta(minutes=5)) == {}
    dropped = await schemas.cleanup_orphaned_schemas(dry_run=False, min_age=timedelta(0))
    assert dropped == [own, f"{own}_x"]
    assert [row[0] for row in await left_of(world, worker.sandbox)] == [f"{own}_dba", own]
    await world.superuser.execute(f"DROP SCHEMA {own}_dba; DROP SCHEMA sandbox_ffffffff_of_nobody")
    await world.superuser.execute("SELECT drop_sandbox_role($1)", worker.sandbox.id)


@pytest.fixture(scope="module")
async def witness(world):
    """A schema with a sequence that everybody may draw from."""
    await world.superuser.execute("CREATE SCHEMA witness; CREATE SEQUENCE witness.sprung;")
    await world.superuser.execute("GRANT USAGE ON SCHEMA witness TO PUBLIC; GRANT ALL ON witness.sprung TO PUBLIC")
    yield "witness"
    await world.superuser.execute("DROP SCHEMA witness CASCADE")


async def plant(world, worker, names_of_plants, witness):
    known = {"a": worker.sandbox.schema_name, "witness": witness}
    await worker.pg.execute("SET search_path = {a};".format(**known) + SPRING.format(**known))
    for name in names_of_plants:
        try:
            await worker.pg.execute(PLANTED[name].format(**known))
        except asyncpg.PostgresError as error:
            error.add_note(f"while planting {name}")
            raise


async def has_sprung(world):
    return await world.superuser.fetchval("SELECT is_called FROM witness.sprung")


async def do_everything(world, worker):
    """What the bot does with a sandbox that lives, in the order in which it may."""
    sandbox, manager = worker.sandbox, world.manager
    await manager.get_health(sandbox.id)
    await manager.schemas.get_schema_stats(sandbox.id)
    await manager.schemas.create_schema(sandbox.id)
    await manager.schemas.try_template()
    await manager.schemas.list_orphans(timedelta(0))
    await manager.access.reconcile(timedelta(minutes=1))
    await manager.extend_ttl(ADA, sandbox.id, timedelta(hours=1))
    await world.stores.pool.execute("SELECT hand_over_sandbox($1), grant_sandbox_schema($1)", sandbox.id)
    assert await probe_postgres(world.stores.pool) is None
    await manager.issue_credentials(ADA, sandbox.id, rotate=True)


@pytest.mark.parametrize("batch", [5, 300])
async def test_nothing_that_an_owner_plants_is_run_by_the_bot(world, witness, monkeypatch, batch):
    monkeypatch.setattr(constants, "SCHEMA_DROP_BATCH", batch)
    async with hired(world) as worker:
        await plant(world, worker, PLANTED, witness)
        await do_everything(world, worker)
        await world.manager.reset(ADA, worker.sandbox.id)
        fresh = await world.employ(worker.sandbox)
        await plant(world, fresh, PLANTED, witness)
        await world.manager.destroy(ADA, worker.sandbox.id)
        await fresh.close()
    assert not await has_sprung(world)
    assert await left_of(world, worker.sandbox) == []


async def test_whoever_does_run_it_is_noticed(world, witness):
    """Also the bot as the sandbox's role, which is what it applies a template as."""
    async with hired(world) as worker:
        await plant(world, worker, [], witness)
        async with world.stores.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {worker.sandbox.schema_name}")
            await connection.execute(f"SELECT {worker.sandbox.schema_name}.spring()")
        assert await has_sprung(world)
    await world.superuser.execute("ALTER SEQUENCE witness.sprung RESTART")


async def test_what_an_earlier_version_has_made_becomes_the_workers_while_it_goes_on(world, worker):
    own, pg = worker.sandbox.schema_name, worker.pg
    await world.superuser.execute(MADE_BY_THE_BOT.format(a=own))
    await world.superuser.execute(
        f"CREATE FUNCTION {own}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION {own}.f OWNER TO"
        f" sandbox_bot;"
        f"CREATE TYPE {own}.mood AS ENUM ('calm'); ALTER TYPE {own}.mood OWNER TO sandbox_bot;"
        f"CREATE DOMAIN {own}.short AS text; ALTER DOMAIN {own}.short OWNER TO sandbox_bot"
    )
    if world.superuser.get_server_version().major >= 16:
        await world.stores.pool.execute(f"GRANT {own} TO sandbox_bot WITH SET FALSE")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pg.execute("ALTER TABLE communities ADD x int")
    other = await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])
    await other.execute("BEGIN; INSERT INTO communities (guild_id, name) VALUES (9, 'held')")
    async with asyncio.timeout(5):
        await world.manager.access.reconcile(timedelta(minutes=1))  # in vain, and it delays nothing for long
    await other.execute("COMMIT")
    await world.manager.access.reconcile(timedelta(minutes=1))
    await pg.execute(
        "ALTER TABLE communities ADD x int; CREATE INDEX ON badges (name); DROP FUNCTION f(); DROP DOMAIN short;"
        "ALTER TYPE mood ADD VALUE 'wild'; SELECT setval(pg_get_serial_sequence('badges', 'id'), 7)"
    )
    assert await other.fetchval("SELECT name FROM communities WHERE guild_id = 9") == "held"
    await other.close()
    await world.manager.reset(ADA, worker.sandbox.id)
    await worker.connect()
    await worker.pg.execute("ALTER TABLE communities ADD x int")


async def test_the_probe_tells_a_guard_that_is_missing_or_weak(world):
    pool = world.stores.pool
    assert await probe_postgres(pool) is None
    assert await may_create_schemas(pool)
    await world.superuser.execute("ALTER EVENT TRIGGER sandboxes_confined_end ENABLE")
    assert "nothing confines it" in (await probe_postgres(pool, trial=False) or "")
    await world.superuser.execute("ALTER EVENT TRIGGER sandboxes_confined_end ENABLE ALWAYS")
    source = await world.superuser.fetchval("SELECT pg_get_functiondef('schema_guard.confine_sandbox'::regproc)")
    for weak, finding in (
        (source.replace("owned.refobjid <> own::regrole", "false"), "may give their schemas away"),
        (source.replace("granted.grantee <> nspowner", "false"), "may let others into their schemas"),
        (source.replace("IF own IS NULL THEN", "IF true THEN"), "may make schemas of any name"),
    ):
        await world.superuser.execute(weak)
        assert finding in (await probe_postgres(pool) or "")
    await world.superuser.execute(source)
    await world.superuser.execute(f"REVOKE CREATE ON DATABASE {world.database} FROM sandbox_worker")
    assert await probe_postgres(pool) is None
    assert not await may_create_schemas(pool)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.a.pg.execute(f"CREATE SCHEMA {world.a.sandbox.schema_name}_x")
    await world.superuser.execute(f"GRANT CREATE ON DATABASE {world.database} TO sandbox_worker")


async def test_a_database_that_is_not_migrated_is_probed_too_and_left_as_it_was(servers):
    name = f"probed_{uuid.uuid4().hex[:8]}"
    await create_database(servers, name, "template1")
    await bootstrap_database(servers, name)
    pool = await open_pool(address(servers, name))
    assert await probe_postgres(pool) is None
    left = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^sandbox_[0-9a-f]{8}'"
    assert await pool.fetchval(left) == 0
    await pool.close()
    await drop_database(servers, name)


async def test_a_session_that_is_still_there_without_its_membership_makes_no_schema(world, worker):
    await world.stores.pool.execute(f"REVOKE sandbox_worker FROM {worker.sandbox.schema_name}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.pg.execute(f"CREATE SCHEMA {worker.sandbox.schema_name}_x")
    await until(lambda: not worker.pg.is_closed())
