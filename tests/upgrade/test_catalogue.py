"""What a database has come to that an older version has made, beside one that this version has."""

from __future__ import annotations

import uuid

import asyncpg
import pytest

from bot.stores import postgres
from bot.stores.migrations import migrate
from bot.stores.postgres import load_queries, open_pool
from tests.conftest import address, create_database, drop_database

pytestmark = pytest.mark.timeout(120)  # an older version is unpacked

OURS = "relnamespace::regnamespace::text IN ('public', 'sandbox_control')"
CATALOGUE = {
    "relations": f"""
        SELECT oid::regclass::text, relkind, relispartition, relacl::text, obj_description(oid, 'pg_class'),
               CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END, pg_get_partkeydef(oid)
          FROM pg_class WHERE {OURS} AND relkind IN ('r', 'v', 'p', 'S') ORDER BY 1""",
    "columns": f"""
        SELECT attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
               (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum)
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE {OURS} AND attnum > 0 AND relkind IN ('r', 'v', 'p') ORDER BY 1, 2""",
    "constraints": f"""
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(pg_constraint.oid)
          FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE {OURS} AND contype <> 'n' ORDER BY 1, 2""",
    "indexes": f"""
        SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indrelid WHERE {OURS} ORDER BY 1""",
    "triggers": f"""
        SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
         WHERE {OURS} AND NOT tgisinternal ORDER BY 1""",
    "functions": """
        SELECT oid::regprocedure::text, pg_get_functiondef(oid), proacl::text FROM pg_proc
         WHERE pronamespace::regnamespace::text IN ('public', 'sandbox_control') ORDER BY 1""",
    "types": """
        SELECT oid::regtype::text,
               ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = pg_type.oid ORDER BY enumsortorder)
          FROM pg_type WHERE typnamespace::regnamespace::text IN ('public', 'sandbox_control') AND typtype IN ('e', 'd')
         ORDER BY 1""",
    "schemas": """
        SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname IN ('public', 'sandbox_control') ORDER BY 1""",
    "settings": """
        SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase
         WHERE datname = current_database()""",
    "migrations": "SELECT name, checksum FROM schema_migrations ORDER BY name",
}


@pytest.fixture
async def make_database(stores):
    """Makes one without a table; its address."""
    made = []

    async def make():
        made.append(f"old_{uuid.uuid4().hex[:12]}")
        await create_database(stores, made[-1], "template1")
        return address(stores, made[-1])

    yield make
    for name in made:
        await drop_database(stores, name)


async def catalogue_of(pool):
    return {part: [tuple(row) for row in await pool.fetch(query)] for part, query in CATALOGUE.items()}


@pytest.fixture(params=["release", pytest.param("last_in_public", marks=pytest.mark.long)])
def older(request):
    return request.getfixturevalue(request.param)


async def test_an_older_database_comes_to_what_a_new_one_is_and_the_older_bots_statements_hold(
    older, make_database, tmp_path, monkeypatch
):
    fresh, migrated = [await make_database() for _ in range(2)]
    process = await older.start("-m", "bot", "migrate", cwd=tmp_path, env={"DATABASE_URL": migrated})
    assert await process.wait() == 0
    found = {}
    for dsn in (fresh, migrated):
        pool = await open_pool(dsn)
        await migrate(pool)
        found[dsn] = await catalogue_of(pool)
        await pool.close()
    for part in CATALOGUE:
        assert found[migrated][part] == found[fresh][part], part
    monkeypatch.setattr(postgres, "sql_folder", lambda: older.code / "sql")
    connection = await asyncpg.connect(migrated, server_settings={"search_path": "public"})
    for path in (older.code / "sql" / "queries").glob("*.sql"):
        for statement in load_queries(path.stem).values():
            if "%(" not in statement:  # of settings, which fill it in
                await connection.prepare(statement)
    await connection.close()
