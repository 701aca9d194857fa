"""Servers that answer, but not as the bot needs them to."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from bot.errors import ServiceUnavailable
from bot.names import schema_name
from bot.sandboxes.schema import SchemaProvisioner
from bot.settings import Embedded, Settings
from bot.stores.embedded import EmbeddedError
from bot.stores.embedded.folder import free_port
from bot.stores.embedded.programs import nats_program
from bot.stores.migrations import migrate
from bot.stores.nats_client import open_nats
from bot.stores.opening import open_addresses
from bot.stores.postgres import open_pool
from bot.stores.redis_client import open_redis


@pytest.fixture
async def nats_without_jetstream():
    """Its address. Started by hand, with nothing but a port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        nats_program(), "-a", "127.0.0.1", "-p", str(port), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(10):
        while b"Server is ready" not in await process.stderr.readline():
            pass
    yield f"nats://127.0.0.1:{port}"
    process.terminate()
    await process.communicate()


async def test_a_nats_without_jetstream_is_told_how_to_have_it(nats_without_jetstream):
    with pytest.raises(ServiceUnavailable) as caught:
        await open_nats(nats_without_jetstream)
    assert caught.value.detail.startswith("JetStream is not enabled on the server (start it with -js)")


async def test_another_protocol_is_reported_on_one_line(nats_without_jetstream):
    with pytest.raises(ServiceUnavailable) as caught:
        await open_redis(nats_without_jetstream.replace("nats:", "redis:"))
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) <= 300


async def test_a_role_that_may_not_set_the_database_up_is_told_what_it_needs(stores, dsn):
    owner = await asyncpg.connect(stores.superuser_url("postgres"))
    await owner.execute("CREATE ROLE weak LOGIN PASSWORD 'hunter22'")
    await owner.execute(f"GRANT CONNECT ON DATABASE {dsn.rpartition('/')[2]} TO weak")
    host = dsn.rpartition("@")[2]
    pool = await open_pool(f"postgresql://weak:hunter22@{host}")
    try:
        with pytest.raises(ServiceUnavailable) as caught:
            await migrate(pool)
    finally:
        await pool.close()
        await owner.execute(f"REVOKE CONNECT ON DATABASE {host.rpartition('/')[2]} FROM weak")
        await owner.execute("DROP ROLE weak")
        await owner.close()
    assert caught.value.detail.endswith("the role of DATABASE_URL has to own the database")


@pytest.mark.long
async def test_named_extensions_are_there_for_every_sandbox_or_the_start_is_refused(tmp_path):
    only = frozenset({"postgres"})
    settings = Settings(embedded=Embedded(folder=tmp_path, durable=False, extensions=("vector", "hstore3")))
    with pytest.raises(EmbeddedError, match=r"this PostgreSQL has no hstore3; it has .*vector"):
        await open_addresses(settings, only=only).__aenter__()
    settings = Settings(embedded=Embedded(folder=tmp_path, durable=False, extensions=("vector",)))
    async with open_addresses(settings, only=only) as addresses:
        pool = await open_pool(addresses.postgres)
        await migrate(pool)
        sandbox_id = uuid4()
        await pool.execute("SELECT create_sandbox_role($1, now() + interval '1h', 5)", sandbox_id)
        await SchemaProvisioner(pool).create_schema(sandbox_id)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {schema_name(sandbox_id)}")
            await connection.execute(f"SET LOCAL search_path = {schema_name(sandbox_id)}, extensions")
            await connection.execute("CREATE TABLE near (at vector(3)); INSERT INTO near VALUES ('[1,2,3]')")
            assert await connection.fetchval("SELECT min(at <-> '[1,2,4]') FROM near") == 1
        await pool.close()


async def test_what_is_embedded_is_this_processs_to_watch_and_of_the_programs_that_are_named(tmp_path):
    only = frozenset({"redis"})
    async with open_addresses(Settings(embedded=Embedded(folder=tmp_path)), only=only) as addresses:
        assert addresses.embedded is not None
        assert set(addresses.embedded.servers) == only
        async with open_addresses(Settings(embedded=Embedded(folder=tmp_path)), only=only, share=True) as shared:
            assert (shared.redis, shared.embedded) == (addresses.redis, None)
    named = Settings(embedded=Embedded(folder=tmp_path, valkey=tmp_path / "none"))
    with pytest.raises(EmbeddedError, match=f"{tmp_path}/none cannot be run"):
        await open_addresses(named, only=only).__aenter__()
