"""A sandbox ends, however much its worker has made and whatever it holds."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.exceptions import OutOfMemoryError as OutOfLocks

from bot.sandboxes.model import SandboxStatus
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.embedded import EmbeddedStores, configuration
from bot.stores.migrations import migrate
from bot.stores.postgres import open_pool
from tests.service.conftest import ADA, new_guild

MANY = """
CREATE TABLE hub (id int PRIMARY KEY);
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
DO $$ BEGIN FOR i IN 1..400 LOOP
    EXECUTE format('CREATE TABLE thing_%s (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, other int)', i);
    EXECUTE format('CREATE TABLE part_%s PARTITION OF parts FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
    EXECUTE format('CREATE FUNCTION answer_%s (int) RETURNS int LANGUAGE sql AS ''SELECT 42''', i);
    EXECUTE format('CREATE TYPE mood_%s AS ENUM (''fine'')', i);
    EXECUTE format('CREATE VIEW view_%s AS SELECT * FROM %s', i, CASE i WHEN 1 THEN 'hub' ELSE 'view_' || i - 1 END);
    PERFORM lo_create(0);
END LOOP; END $$;
CREATE FUNCTION last_of_all (hub) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int4);
CREATE PROCEDURE nothing () LANGUAGE sql AS '';
CREATE DOMAIN small AS int;
CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE STATISTICS both_of_them ON id, other FROM thing_1;
CREATE COLLATION plain FROM "C";
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION search (COPY = simple);
CREATE MATERIALIZED VIEW seen AS SELECT 1 AS one;
CREATE CONVERSION odd FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
"""


@pytest.fixture
async def server_with_few_locks(tmp_path, monkeypatch):
    """With a pool on it: a PostgreSQL that has far fewer locks than `MANY` needs at once."""
    few = {"max_locks_per_transaction": "10", "max_connections": "100"}
    monkeypatch.setattr(configuration, "_FORGETFUL", configuration._FORGETFUL | few)
    async with EmbeddedStores(tmp_path, stores=frozenset({"postgres"}), durable=False) as stores:
        pool = await open_pool(stores.database_url)
        await migrate(pool)
        yield stores, pool
        await pool.close()


@pytest.mark.long
async def test_a_schema_with_more_in_it_than_the_server_has_locks_is_dropped_in_batches(server_with_few_locks):
    stores, pool = server_with_few_locks
    sandbox_id, schemas = uuid4(), SchemaProvisioner(pool)
    name = await schemas.create_schema(sandbox_id)
    await pool.execute("SELECT create_sandbox_role($1, now() + interval '1h', 5)", sandbox_id)
    worker = await connect_as(stores, name)
    await worker.execute(MANY)
    await worker.close()
    with pytest.raises(OutOfLocks):
        await pool.execute("SELECT drop_sandbox_schema($1)", sandbox_id)
    assert await schemas.drop_schema(sandbox_id)
    assert await pool.fetchval("SELECT drop_sandbox_role($1)", sandbox_id)
    assert await pool.fetchval("SELECT count(*) FROM pg_largeobject_metadata") == 0


async def connect_as(stores, role):
    superuser = await asyncpg.connect(stores.superuser_url())
    await superuser.execute(f"ALTER ROLE {role} PASSWORD 'pw'")
    await superuser.close()
    address = stores.database_url.rpartition("@")[2]
    return await asyncpg.connect(f"postgresql://{role}:pw@{address}")


async def test_workers_that_hold_locks_and_write_keys_delay_nothing(enforced, pool, redis_client):
    sandbox = await enforced.create(ADA, guild_ids=[new_guild()])
    details = await enforced.issue_credentials(ADA, sandbox.id)
    workers = [await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"]) for _ in range(3)]
    for worker in workers:
        await worker.execute("BEGIN; LOCK TABLE badges IN ACCESS SHARE MODE")
    async with redis_client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"{sandbox.redis_prefix}{number}", number)
        await pipe.execute()
    await redis_client.set("sandbox:team:kept", 1)

    async with asyncio.timeout(4):  # less than the time after which a held lock is given up
        destroyed = await enforced.destroy(ADA, sandbox.id)

    assert destroyed.status is SandboxStatus.DESTROYED
    assert await redis_client.keys("*") == [b"sandbox:team:kept"]
    assert await pool.fetchval("SELECT to_regrole($1)", sandbox.schema_name) is None
    for worker in workers:
        await worker.close()
