"""What does succeed: each stands in README's "What one sandbox's worker can still do", in the words given here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from tests.breakout.conftest import until
from tests.breakout.raw import dial

README = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())

OF_POSTGRES = {
    "names of other schemas": (
        "read the catalogue",
        "SELECT relname FROM pg_class WHERE relname = 'profiles_user_idx'",
    ),
    "sizes": ("sizes", "SELECT pg_total_relation_size({b_table}::oid)"),
    "sources of functions": ("function sources of other schemas", "SELECT prosrc FROM pg_proc WHERE proname = 'of_b'"),
    "roles": ("roles with their expiry", "SELECT rolvaliduntil FROM pg_roles WHERE rolname = '{b}'"),
    "notifications": ("send and hear `NOTIFY` on any channel but the bot's", "SELECT pg_notify('of_b', 'x')"),
    "settings": ("override its own settings", "SET statement_timeout = 0; SELECT 1"),
    "its password": ("change its own password", "ALTER ROLE CURRENT_USER PASSWORD '{a_token}'; SELECT 1"),
    "large objects": ("make large objects", "SELECT lo_unlink(lo_create(0))"),
}
"""In README, and a query that has a row."""

FOUND_IN_POSTGRES = {
    "definitions of views": "SELECT 1 WHERE pg_get_viewdef({b_view}::oid) LIKE '%told in a view%'",
    "defaults": "SELECT 1 FROM pg_attrdef WHERE pg_get_expr(adbin, adrelid) LIKE '%told in a default%'",
    "labels of enums": "SELECT 1 FROM pg_enum WHERE enumlabel = 'told in a label'",
    "comments": "SELECT 1 FROM pg_description WHERE description = 'told in a comment'",
    "settings of roles": "SELECT 1 FROM pg_db_role_setting WHERE setconfig::text LIKE '%told in a setting%'",
    "numbers of rows": "SELECT 1 FROM pg_stat_all_tables WHERE relid = {b_table} AND n_tup_ins >= 0",
    "sessions": "SELECT 1 FROM pg_stat_activity WHERE usename = '{b}'",
    "numbers of advisory locks": "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711",
    "how busy the server is": "SELECT 1 FROM pg_stat_database WHERE xact_commit > 0",
}
"""Of B's, which made them without a thought of who may read them."""

OF_B = """
CREATE FUNCTION of_b() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW told AS SELECT 'told in a view'::text AS text;
CREATE TYPE told_type AS ENUM ('told in a label');
CREATE TABLE told_table (id int DEFAULT length('told in a default'));
COMMENT ON TABLE told_table IS 'told in a comment';
ALTER ROLE CURRENT_USER SET application_name = 'told in a setting';
SELECT pg_advisory_lock(4711)
"""


@pytest.fixture(scope="module")
async def told(world):
    await world.b.pg.execute(OF_B)
    of_b = {
        name: await world.superuser.fetchval("SELECT to_regclass($1)::oid", f"{world.b.sandbox.schema_name}.{relation}")
        for name, relation in (("b_table", "told_table"), ("b_view", "told"))
    }
    yield world.names | of_b
    await world.b.pg.execute("SELECT pg_advisory_unlock(4711)")


@pytest.mark.parametrize("name", OF_POSTGRES)
async def test_postgres_does_as_readme_says(world, told, name):
    words, query = OF_POSTGRES[name]
    assert words in README
    connection = await asyncpg.connect(world.a.urls["SANDBOX_DATABASE_URL"])
    *before, last = query.format(**told).split("; ")
    for statement in before:
        await connection.execute(statement)
    assert await connection.fetch(last)
    await connection.close()


@pytest.mark.parametrize("name", FOUND_IN_POSTGRES)
async def test_postgres_tells_of_others(world, told, name):
    assert await world.a.pg.fetch(FOUND_IN_POSTGRES[name].format(**told))


async def test_an_advisory_lock_is_everybodys(world, told):
    """And `lock_timeout` is what a worker has against it."""
    taken = await asyncpg.connect(world.b.urls["SANDBOX_DATABASE_URL"])
    await world.a.pg.execute("SELECT pg_advisory_lock(4712)")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await taken.execute("SET lock_timeout = '50ms'; SELECT pg_advisory_lock(4712)")
    await world.a.pg.execute("SELECT pg_advisory_unlock(4712)")
    await taken.close()


async def test_an_old_snapshot_holds_up_what_another_does_concurrently(world):
    await world.a.pg.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    await world.b.pg.execute("CREATE TABLE indexed (id int)")
    other = await asyncpg.connect(world.b.urls["SANDBOX_DATABASE_URL"])
    await other.execute("SET lock_timeout = '200ms'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await other.execute("CREATE INDEX CONCURRENTLY ON indexed (id)")
    await world.a.pg.execute("ROLLBACK")
    await other.execute("DROP TABLE indexed")
    await other.close()


async def test_redis_tells_its_version_and_how_many_have_connected(world):
    before, after = [await hello(world) for _ in range(2)]
    assert "name its connection as it likes" in README
    assert before[b"version"]
    assert after[b"id"] > before[b"id"]


async def hello(world):
    async with world.a.redis.client() as connection:
        await connection.connection.disconnect()
        said = await connection.execute_command("HELLO", "3", "SETNAME", world.names["b_user"])
        await connection.connection.disconnect()
        return said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))


async def test_who_knows_anothers_id_reaches_its_plain_subscriptions(world):
    """By the answer to a pull."""
    assert "knowing another's whole id" in README
    heard = len(world.b.heard)
    subject = f"sandbox.{world.b.sandbox.id}.work.led"
    stream = world.a.sandbox.stream
    for _ in range(5):
        await world.a.nats.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.worker", b'{"batch":1,"no_wait":true}', reply=subject
        )
    await world.a.nats.flush()
    await until(lambda: len(world.b.heard) > heard)


NO_MESSAGES = {
    "pings": b"PING\r\n",
    "subscriptions that end again": b"SUB sandbox.{id}.work.x 1\r\nUNSUB 1\r\n",
    "what is refused": b"SUB nobody.x 1\r\n",
}


@pytest.mark.long
@pytest.mark.parametrize("name", NO_MESSAGES)
async def test_what_is_no_message_is_sent_to_nats_without_an_end(world, name):
    """The server counts none of it. Others are let in meanwhile."""
    worker = await world.add()
    line = NO_MESSAGES[name].replace(b"{id}", str(worker.sandbox.id).encode())
    async with dial(world) as connection:
        assert await connection.log_in(**{"user": str(worker.sandbox.id), "pass": worker.token})
        reading = asyncio.create_task(read_all(connection.reader))
        for _ in range(40):
            connection.writer.write(line * (65536 // len(line)))
            await connection.writer.drain()
            await world.manager.access.nats.floods.look()
        async with dial(world) as other:
            assert await other.log_in(**{"user": str(world.b.sandbox.id), "pass": world.b.token})
        assert not connection.is_closed
        assert not world.manager.access.keeps_out_of_nats(worker.sandbox.id)
        reading.cancel()
    await worker.close()


async def read_all(reader):
    with suppress(OSError):
        while await reader.read(65536):
            pass


@pytest.mark.long
async def test_the_embedded_log_of_nats_stays_small_whatever_is_refused(world, stores):
    if world.servers is not stores:
        pytest.skip("the log of a server of one's own is its operator's")
    worker = await world.add()
    folder = stores._folder / "log"
    async with dial(world) as connection:
        assert await connection.log_in(**{"user": str(worker.sandbox.id), "pass": worker.token})
        reading = asyncio.create_task(read_all(connection.reader))
        for _ in range(200):
            connection.writer.write(b"SUB nobody.x 1\r\n" * 4096)
            await connection.writer.drain()
        reading.cancel()
    assert len(list(folder.glob("nats.log*"))) > 1
    assert sum(path.stat().st_size for path in folder.glob("nats.log*")) < 6 * 16 * 2**20
    await worker.close()
