"""The schema of the bot's own, and what stands in `public` for bots of the release before."""

from __future__ import annotations

import asyncio
import uuid

import asyncpg
import pytest

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores import migrations
from bot.stores.migrations import migrate
from bot.stores.postgres import load_queries, open_pool, sql_folder
from tests.conftest import address, create_database, drop_database
from tests.service.conftest import ADA, new_guild

MOVE = "0025_control_schema"
IN_SCHEMA = """
SELECT relname, relkind::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'v', 'p', 'S')
"""
NEXT_RELEASE = """
DO $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('ALTER TABLE %s DETACH PARTITION %s', inhparent::regclass, inhrelid::regclass) FROM pg_inherits
         WHERE inhparent IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'p')
        UNION ALL
        SELECT format('DROP %s %s', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass)
          FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'p')
        UNION ALL
        SELECT format('DROP FUNCTION %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    LOOP
        EXECUTE command;
    END LOOP;
END $$;
ALTER TYPE public.sandbox_status SET SCHEMA sandbox_control;
"""
"""What the next release is to do, in the words of CHANGELOG.md."""


@pytest.fixture
async def unmigrated(stores, monkeypatch):
    """A database as the release before has left it, as (pool, address); `migrate` brings it to today."""
    name = f"old_{uuid.uuid4().hex[:12]}"
    await create_database(stores, name, "template1")
    pool = await open_pool(address(stores, name))
    with monkeypatch.context() as patched:
        known = [found for found in migrations._migrations() if found[0] < MOVE]
        patched.setattr(migrations, "_migrations", lambda: known)
        await migrate(pool)
    yield pool, address(stores, name)
    await pool.close()
    await drop_database(stores, name)


async def test_public_holds_nothing_but_other_names_of_what_is_in_the_bots_own_schema(pool):
    own = {row["relname"]: row["relkind"] for row in await pool.fetch(IN_SCHEMA, "sandbox_control")}
    left = {row["relname"]: row["relkind"] for row in await pool.fetch(IN_SCHEMA, "public")}
    assert left.keys() <= own.keys()
    assert set(left.values()) == {"v", "p"}
    assert {"sandboxes", "sandbox_overview", "schema_migrations"} <= left.keys()
    types = "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')"
    assert [row["typname"] for row in await pool.fetch(types)] == ["sandbox_status"]
    assert not await pool.fetch("SELECT FROM pg_proc WHERE prosrc ~ '\\mpublic\\.'")


async def test_nobody_else_may_use_either_schema_nor_call_what_is_in_it(pool):
    for schema in ("sandbox_control", "public"):
        assert not await pool.fetchval("SELECT has_schema_privilege('sandbox_worker', $1, 'USAGE, CREATE')", schema)
    callable_by_all = (
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace::regnamespace::text IN ('public', 'sandbox_control')"
        " AND has_function_privilege('sandbox_worker', oid, 'EXECUTE')"
    )
    assert await pool.fetch(callable_by_all) == []


async def test_whoever_comes_as_the_bot_finds_its_tables_without_saying_where(unmigrated):
    pool, dsn = unmigrated
    await migrate(pool)
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT 'sandboxes'::regclass = 'sandbox_control.sandboxes'::regclass")
    await connection.close()


async def test_this_release_goes_on_when_the_next_one_clears_public(manager, pool):
    before = await manager.create(ADA, guild_ids=[new_guild()])
    assert await pool.execute(NEXT_RELEASE)
    async with pool.acquire() as connection:
        for path in (sql_folder() / "queries").glob("*.sql"):
            for statement in load_queries(path.stem).values():
                if "%(" not in statement:
                    await connection.prepare(statement)
    after = await manager.create(ADA)
    assert {sandbox.id for sandbox in await manager.list()} == {before.id, after.id}
    for sandbox in (before, after):
        await manager.destroy(ADA, sandbox.id)


async def test_whoever_might_read_a_table_still_may_under_its_old_name(stores, unmigrated):
    pool, dsn = unmigrated
    superuser = await asyncpg.connect(stores.superuser_url(dsn.rpartition("/")[2]))
    await superuser.execute("CREATE ROLE reader; GRANT USAGE ON SCHEMA public TO reader")
    try:
        await pool.execute("GRANT SELECT ON sandbox_overview, sandbox_guild_mapping TO reader")
        assert MOVE in await migrate(pool)
        await superuser.execute("SET ROLE reader")
        for readable in ("sandbox_overview", "sandbox_guild_mapping"):
            assert await superuser.fetch(f"SELECT * FROM public.{readable}") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await superuser.execute("SELECT FROM public.sandboxes")
    finally:
        await superuser.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")
        await superuser.close()


async def test_a_schema_of_its_name_that_is_somebody_elses_is_left_alone(unmigrated):
    pool, _ = unmigrated
    await pool.execute("CREATE SCHEMA sandbox_control")
    with pytest.raises(ServiceUnavailable) as refused:
        await migrate(pool)
    assert 'schema "sandbox_control" already exists, and is to be the bot\'s own: rename it' in refused.value.detail
    assert await pool.fetchval("SELECT to_regclass('public.sandboxes') IS NOT NULL")
    await pool.execute("ALTER SCHEMA sandbox_control RENAME TO theirs")
    assert MOVE in await migrate(pool)


async def test_a_migration_gives_way_to_a_running_bots_locks_and_says_who_is_in_the_way(unmigrated, monkeypatch):
    pool, dsn = unmigrated
    holder = await asyncpg.connect(dsn)
    block = holder.transaction()
    await block.start()
    await holder.execute("LOCK TABLE public.sandbox_guild_mapping IN ROW EXCLUSIVE MODE")
    monkeypatch.setattr(constants, "MIGRATION_WAITS_FOR_LOCK_S", 0.05)
    monkeypatch.setattr(constants, "MIGRATION_TRIED_AGAIN_AFTER_S", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(constants, "MIGRATION_TRIED_FOR_S", 0)
        with pytest.raises(ServiceUnavailable) as refused:
            await migrate(pool)
    assert "end the session that holds a lock" in refused.value.detail
    migrating = asyncio.create_task(migrate(pool))
    done, _ = await asyncio.wait([migrating], timeout=0.2)
    assert not done
    async with asyncio.timeout(2):
        await holder.execute("UPDATE public.sandboxes SET description = '' WHERE false")  # it is let through meanwhile
    await block.rollback()
    await holder.close()
    assert MOVE in await migrating
