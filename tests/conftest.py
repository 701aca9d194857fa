"""Real servers for every test that touches one: the embedded stores, started once a session."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import uuid
from contextlib import asynccontextmanager

import asyncpg
import nats
import pytest
import redis.asyncio
from hypothesis import settings
from pydantic import SecretStr

from bot.settings import Nats, Postgres, Redis
from bot.stores.embedded import EmbeddedStores
from bot.stores.embedded.programs import postgres_program
from bot.stores.migrations import migrate
from bot.stores.postgres import open_pool, sql_folder
from tests.memory import keep_files_in_memory
from tests.timing import pytest_terminal_summary as pytest_terminal_summary

TEMPLATE = "migrated"

DROP_ROLES = """
DO $$ DECLARE role_name text; BEGIN
    FOR role_name IN SELECT rolname FROM pg_roles WHERE rolname ~ '^sandbox_[0-9a-f]{8}$' LOOP
        BEGIN
            EXECUTE format('DROP ROLE %I', role_name);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            CONTINUE;
        END;
    END LOOP;
END $$
"""
"""Roles are the whole server's: they would outlive a test's database. Another database's own are left to it."""

if threading.current_thread() is threading.main_thread():
    # Who starts the tests in the background ignores Ctrl+C for them, and every process they start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

keep_files_in_memory()
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is collected lives to the end: to look for garbage in it, again and again, takes a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """What may take longer than others goes first: at the end one process would be busy with it alone."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(scope="session")
async def stores(tmp_path_factory):
    """The embedded servers of all tests but those that kill some."""
    async with running_stores(tmp_path_factory.mktemp("stores")) as running:
        yield running


@asynccontextmanager
async def running_stores(folder):
    """Embedded servers, with a database that is migrated already to copy from."""
    async with EmbeddedStores(folder, durable=False) as running:
        await create_database(running, TEMPLATE, "template1")
        await bootstrap_database(running, TEMPLATE)
        pool = await open_pool(address(running, TEMPLATE))
        await migrate(pool)
        await pool.close()
        yield running


@pytest.fixture
async def dsn(stores):
    """The address of a fresh, migrated database, as the bot's own role."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await create_database(stores, name, TEMPLATE)
    yield address(stores, name)
    await drop_database(stores, name)


@pytest.fixture
async def pool(dsn):
    pool = await open_pool(dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def nats_client(stores):
    client = await nats.connect(stores.nats_url)
    yield client
    jetstream = client.jetstream()
    for stream in await jetstream.streams_info():
        await jetstream.delete_stream(str(stream.config.name))
    await client.close()


@pytest.fixture
async def redis_client(stores):
    client = redis.asyncio.from_url(stores.redis_url)
    yield client
    await client.flushall()
    users = [user for user in await client.acl_users() if user not in ("default", b"default")]
    if users:
        await client.acl_deluser(*users)
    await client.aclose()


async def until_blocked(pool):
    """Returns when a connection waits for another one's lock."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(5):
        while not await pool.fetchval(query):
            await asyncio.sleep(0.005)


def store_settings(stores, dsn, **of_redis):
    """The sections that point a bot at the session's stores and one database, with NATS's auth callout."""
    return {
        "postgres": Postgres(dsn=SecretStr(dsn), pool_size=4),
        "redis": Redis(url=SecretStr(stores.redis_url), **of_redis),
        "nats": Nats(
            url=SecretStr(stores.nats_url),
            auth_url=SecretStr(stores.nats_callout.auth_url),
            system_url=SecretStr(stores.nats_callout.system_url),
            account_seed=SecretStr(stores.nats_callout.account_seed),
        ),
    }


def address(stores, database):
    return stores.database_url.rpartition("/")[0] + "/" + database


async def create_database(stores, name, template):
    # The guard is copied with the template, the rights that it confines are not.
    rights = "CONNECT, CREATE, TEMPORARY" if template == TEMPLATE else "CONNECT"
    await _as_superuser(
        stores,
        f"CREATE DATABASE {name} OWNER sandbox_bot TEMPLATE {template} STRATEGY file_copy",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT {rights} ON DATABASE {name} TO sandbox_worker",
    )


async def bootstrap_database(stores, name):
    """As a DBA prepares one, with what a copy of `template1` lacks."""
    script = ["-v", f"database={name}", "-f", str(sql_folder() / "bootstrap.sql")]
    psql = await asyncio.create_subprocess_exec(
        *(postgres_program("psql"), "-X", "-q", *script, stores.superuser_url("postgres")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await psql.communicate()
    assert psql.returncode == 0, errors


async def drop_database(stores, name):
    await _as_superuser(stores, f"DROP DATABASE {name} WITH (FORCE)", DROP_ROLES)


async def _as_superuser(stores, *statements):
    connection = await asyncpg.connect(stores.superuser_url("postgres"))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
