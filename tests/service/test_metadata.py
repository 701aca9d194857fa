"""Tags and the other metadata on a real PostgreSQL."""

from uuid import UUID

import asyncpg
import pytest

from bot.control_plane import open_control_plane
from bot.errors import InvalidInput
from bot.sandboxes.directory import LIVING
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import SandboxStatus
from bot.sandboxes.template import Statement
from bot.settings import Sandboxes, Settings
from bot.stores.nats import StreamStore
from bot.stores.opening import open_stores
from bot.stores.redis import RedisStore
from tests.conftest import store_settings
from tests.service.conftest import ADA, ADMIN, BOB, STREAM_LIMITS, new_guild

OLD_INSERT = """
INSERT INTO sandboxes (id, name, owner_id, description, schema_name, expires_at)
SELECT $1, $2, $3, $4, schema_name, now() + $5::interval FROM sandbox_schema_name($1) AS schema_name
 WHERE to_regnamespace(schema_name) IS NULL AND to_regrole(schema_name) IS NULL
RETURNING id
"""
"""As v0.1.0 does it."""


def names(sandboxes):
    return [sandbox.name for sandbox in sandboxes]


async def test_metadata_is_kept_with_the_sandbox_and_its_tags_stand_in_the_audit_log(manager):
    given = {"tags": {"team": "red", "ticket": "7"}, "created_from": "cli", "more": {"url": "https://example.org"}}
    guild = new_guild()
    made = await manager.create(ADA, name="blue", guild_ids=[guild], metadata=given)
    assert made.metadata == given | {"template": "default"}
    assert (made.tags, made.guild_ids) == ({"team": "red", "ticket": "7"}, (guild,))
    assert await manager.get_by_guild_id(guild) == made
    (created,) = [entry for entry in await manager.get_audit(ADA, made.id) if entry.event_type == "sandbox_created"]
    assert created.details["tags"] == {"team": "red", "ticket": "7"}
    await manager.destroy(ADA, made.id)
    assert (await manager.get_by_id(made.id)).tags == made.tags


async def test_without_metadata_it_is_made_by_the_api_without_tags(manager):
    made = await manager.create(ADA)
    assert made.metadata == {"tags": {}, "created_from": "api", "template": "default"}
    created = (await manager.get_audit(ADA, made.id))[-1]
    assert "tags" not in created.details


async def test_another_template_is_called_like_its_folder(stores, dsn, tmp_path):
    folder = tmp_path / "shöp"
    folder.mkdir()
    (folder / "a.sql").write_text("CREATE TABLE a ()")
    settings = Settings(sandboxes=Sandboxes(template=folder), **store_settings(stores, dsn))
    async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
        assert (await manager.create(ADA)).metadata["template"] == "shöp"


async def test_statements_without_a_name_are_not_called_the_default_template(pool, redis_client, nats_client):
    template = [Statement("a.sql", 1, "CREATE TABLE a ()")]
    streams = StreamStore(nats_client, STREAM_LIMITS)
    manager = SandboxManager(pool, RedisStore(redis_client), streams, template=template)
    assert (await manager.create(ADA)).metadata["template"] == "custom"


async def test_lists_and_counts_are_narrowed_to_those_that_have_all_tags(manager):
    await manager.create(ADA, name="one", metadata={"tags": {"team": "red", "ticket": "7"}})
    await manager.create(ADA, name="two", metadata={"tags": {"team": "red"}})
    await manager.create(BOB, name="three", metadata={"tags": {"team": "red"}})
    gone = await manager.create(ADMIN, name="gone", metadata={"tags": {"team": "red"}, "team": "blue"})
    await manager.destroy(ADMIN, gone.id)
    for tags, owner, found in (
        ({"team": "red"}, None, ["three", "two", "one"]),
        ({"team": "red"}, ADA.id, ["two", "one"]),
        ({"team": "red", "ticket": "7"}, None, ["one"]),
        ({"team": "blue"}, None, []),
        ({"ticket": "red"}, None, []),
        ({}, None, ["three", "two", "one"]),
        (None, ADA.id, ["two", "one"]),
    ):
        assert names(await manager.list(owner_id=owner, tags=tags)) == found
        assert await manager.count(owner_id=owner, tags=tags) == len(found)
    for statuses, number in ((tuple(SandboxStatus), 4), ([SandboxStatus.DESTROYED], 1), (LIVING, 3)):
        assert await manager.count(statuses=statuses, tags={"team": "red"}) == number
        assert len(await manager.list(statuses=statuses, tags={"team": "red"})) == number
    assert names(await manager.list(tags={"team": "red"}, limit=1, offset=1)) == ["two"]
    with pytest.raises(InvalidInput):
        await manager.list(tags={"team": "\x00"})


async def test_what_is_too_large_as_postgresql_spells_it_is_refused_too_and_nothing_is_left(manager, pool):
    with pytest.raises(InvalidInput, match="4096 bytes"):
        await manager.create(ADA, metadata={"numbers": [1e300] * 20})
    assert await pool.fetchval("SELECT count(*) FROM sandboxes") == 0


@pytest.mark.parametrize(
    ("metadata", "constraint"),
    [("[]", "sandboxes_metadata_check"), ('{"a": "' + "x" * 4090 + '"}', "sandboxes_metadata_size_check")],
)
async def test_the_database_itself_refuses_what_is_no_object_or_too_large(manager, pool, metadata, constraint):
    made = await manager.create(ADA)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await pool.execute("UPDATE sandboxes SET metadata = $2::text::jsonb WHERE id = $1", made.id, metadata)
    assert refused.value.constraint_name == constraint


async def test_a_bot_that_does_not_know_the_column_goes_on_and_what_it_makes_is_read_and_listed(manager, pool):
    made = await manager.create(ADA, name="new", metadata={"tags": {"team": "red"}})
    sandbox_id = UUID(int=1)
    await pool.execute(OLD_INSERT, sandbox_id, "old", ADA.id, None, made.expires_at - made.created_at)
    old = await manager.get_by_id(sandbox_id)
    assert (old.metadata, old.tags) == ({}, {})
    assert names(await manager.list()) == ["old", "new"]
    assert names(await manager.list(tags={"team": "red"})) == ["new"]
    seen = await pool.fetch("SELECT name, guild_ids, event_count FROM sandbox_overview ORDER BY name")
    assert [row["name"] for row in seen] == ["new", "old"]
