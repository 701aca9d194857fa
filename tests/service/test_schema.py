import re
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from bot.errors import CleanupRefused
from bot.sandboxes.records import SandboxRecords
from bot.stores.migrations import migrate
from bot.stores.postgres import load_queries, sql_folder
from tests.service.conftest import ADA, new_guild

NO_TIME = timedelta(0)


async def test_migrations_are_applied_once(pool):
    assert await migrate(pool) == []


async def test_a_migration_that_was_changed_afterwards_is_refused(pool):
    await pool.execute("UPDATE schema_migrations SET checksum = 'other' WHERE name = '0001_sandboxes'")
    with pytest.raises(RuntimeError, match="0001_sandboxes was changed"):
        await migrate(pool)


@pytest.mark.parametrize(
    "module", ["access", "commands", "keys", "notices", "orphans", "routes", "sandboxes", "schemas", "sizes", "streams"]
)
async def test_every_query_is_valid_against_the_migrated_schema(pool, module):
    async with pool.acquire() as connection:
        for statement in load_queries(module).values():
            await connection.prepare(statement)


async def test_a_column_that_a_later_version_adds_breaks_no_read(manager, pool):
    sandbox = await manager.create(ADA, guild_ids=[new_guild()])
    records = SandboxRecords()
    async with pool.acquire() as connection:
        trial = connection.transaction()
        await trial.start()
        await connection.execute(
            "ALTER TABLE sandboxes ADD COLUMN later jsonb;"
            "ALTER VIEW sandbox_overview RENAME TO earlier_overview;"
            "CREATE VIEW sandbox_overview AS SELECT 1 AS first, earlier_overview.*, 2 AS last FROM earlier_overview"
        )
        assert await records.get(connection, sandbox.id) == sandbox
        assert await records.one(connection, "get_sandbox_by_guild_id", sandbox.guild_ids[0]) == sandbox
        await trial.rollback()


async def test_no_query_reads_whatever_columns_there_are():
    for path in (sql_folder() / "queries").glob("*.sql"):
        for name, statement in load_queries(path.stem).items():
            code = re.sub("--.*", "", statement)
            assert not re.search(r"(SELECT|RETURNING|\.)\s*\*", code), f"{path.name}: {name}"
            assert "{sandbox}" not in code


async def test_the_functions_agree_on_one_name(pool, manager):
    sandbox_id = uuid4()
    name = await manager.schemas.create_schema(sandbox_id)
    assert name == manager.schemas.generate_schema_name(sandbox_id)
    assert name == await pool.fetchval("SELECT sandbox_schema_name($1)", sandbox_id)
    assert await manager.schemas.create_schema(sandbox_id) == name
    assert [table.name for table in await manager.schemas.get_schema_stats(sandbox_id)] == [
        "badges",
        "communities",
        "profiles",
    ]
    assert await manager.schemas.drop_schema(sandbox_id)
    assert not await manager.schemas.drop_schema(sandbox_id)
    assert await manager.schemas.get_schema_stats(sandbox_id) == []


async def test_a_schema_without_our_mark_is_neither_adopted_nor_dropped(pool, manager):
    sandbox_id = UUID("aaaaaaaa-0000-4000-8000-000000000000")
    await pool.execute("CREATE SCHEMA sandbox_aaaaaaaa")
    with pytest.raises(asyncpg.DuplicateSchemaError):
        await manager.schemas.create_schema(sandbox_id)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await manager.schemas.drop_schema(sandbox_id)
    assert not await manager.schemas.schema_exists(sandbox_id)


async def test_cleanup_spares_living_sandboxes_and_whatever_is_only_named_alike(pool, manager):
    living = [await manager.create(ADA) for _ in range(2)]
    orphan = await manager.schemas.create_schema(uuid4())
    for foreign in ("sandbox_team_shared", "sandbox_12345678", "sandboxXdeadbeef"):
        await pool.execute(f'CREATE SCHEMA "{foreign}"')

    assert await manager.schemas.cleanup_orphaned_schemas() == []  # younger than an hour
    assert await manager.schemas.cleanup_orphaned_schemas(min_age=NO_TIME) == [orphan]  # a dry run
    assert orphan in await manager.schemas.list_schemas()
    assert await manager.schemas.cleanup_orphaned_schemas(dry_run=False, min_age=NO_TIME) == [orphan]

    left = {row["nspname"] for row in await pool.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^sandbox'")}
    assert left == {sandbox.schema_name for sandbox in living} | {
        "sandbox_control",
        "sandbox_team_shared",
        "sandbox_12345678",
        "sandboxXdeadbeef",
    }


async def test_cleanup_refuses_when_everything_looks_orphaned(manager):
    orphans = sorted([await manager.schemas.create_schema(uuid4()) for _ in range(2)])
    with pytest.raises(CleanupRefused):
        await manager.schemas.cleanup_orphaned_schemas(dry_run=False, min_age=NO_TIME)
    assert await manager.schemas.list_schemas() == orphans
    assert await manager.schemas.cleanup_orphaned_schemas(dry_run=False, min_age=NO_TIME, force=True) == orphans


async def test_a_destroyed_sandboxs_left_over_schema_is_an_orphan(pool, manager):
    living, dead = await manager.create(ADA), await manager.create(ADA)
    await manager.destroy(ADA, dead.id)
    await manager.schemas.create_schema(dead.id)
    assert await manager.schemas.cleanup_orphaned_schemas(dry_run=False, min_age=NO_TIME) == [dead.schema_name]
    assert await manager.schemas.list_schemas() == [living.schema_name]


async def test_an_id_whose_schema_name_is_taken_is_not_used(manager, monkeypatch):
    first = UUID("bbbbbbbb-0000-4000-8000-000000000001")
    collides = UUID("bbbbbbbb-0000-4000-8000-000000000002")
    free = UUID("cccccccc-0000-4000-8000-000000000003")
    ids = iter([first, collides, free])
    monkeypatch.setattr("bot.sandboxes.lifecycle.creation.uuid4", lambda: next(ids))
    assert (await manager.create(ADA)).id == first
    assert (await manager.create(ADA)).id == free


@pytest.mark.parametrize("kind", ["SCHEMA", "ROLE"])
async def test_an_id_whose_schema_name_is_somebody_elses_is_not_used(manager, pool, monkeypatch, kind):
    """A role may be a sandbox's of another database on the same server."""
    collides = UUID("dddddddd-0000-4000-8000-000000000001")
    free = UUID("eeeeeeee-0000-4000-8000-000000000002")
    ids = iter([collides, free])
    monkeypatch.setattr("bot.sandboxes.lifecycle.creation.uuid4", lambda: next(ids))
    await pool.execute(f"CREATE {kind} sandbox_dddddddd")
    try:
        assert (await manager.create(ADA)).id == free
    finally:
        await pool.execute(f"DROP {kind} sandbox_dddddddd")
