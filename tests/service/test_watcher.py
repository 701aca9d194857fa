import asyncio
import os
import signal
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from bot.clock import elapsed
from bot.errors import ServiceUnavailable
from bot.keys import HINT_CHANNEL, KeyRing
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher
from bot.stores.embedded import EmbeddedStores
from bot.stores.migrations import migrate
from bot.stores.postgres import load_queries, open_pool
from bot.supervisor import Restarts, Supervisor
from tests.conftest import until_blocked
from tests.service.conftest import ADA, new_guild

NEVER = timedelta(hours=1)


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(pool, dsn, *, reload_every=NEVER):
    table = RouteTable()
    watcher = RouteWatcher(pool, dsn, table, reload_every=reload_every)
    await watcher.start()
    async with Supervisor() as supervisor:
        await supervisor.start("routes", watcher.run, Restarts(first_s=0.05, longest_s=0.2)).wait_running()
        yield table, watcher


def is_routed(table, guild):
    return table.lookup(guild, elapsed()) is not None


@pytest.fixture
def only_hints(monkeypatch):
    """Nothing is read but after a hint."""
    monkeypatch.setattr("bot.constants.ROUTES_READ_EVERY_S", 3600)


async def follow_everything(table, manager, age):
    guild = new_guild()
    sandbox = await manager.create(ADA, ttl=timedelta(hours=2))
    await manager.register_guild(ADA, sandbox.id, guild)
    await until(lambda: is_routed(table, guild), 3)
    assert table.lookup(guild, elapsed()).prefix == f"sandbox.{sandbox.id}.events."
    await manager.unregister_guild(ADA, guild)
    await until(lambda: not is_routed(table, guild), 3)
    await manager.register_guild(ADA, sandbox.id, guild)
    await until(lambda: is_routed(table, guild), 3)
    await age(sandbox, timedelta(hours=3))
    await manager.mark_expired(sandbox.id)
    await until(lambda: not is_routed(table, guild), 3)
    await manager.extend_ttl(ADA, sandbox.id, timedelta(hours=1))
    await until(lambda: is_routed(table, guild), 3)
    await manager.destroy(ADA, sandbox.id)
    await until(lambda: not is_routed(table, guild), 3)


async def test_bind_unbind_expiry_extension_and_destruction_are_hinted_at(pool, dsn, manager, age, only_hints):
    async with watching(pool, dsn) as (table, _):
        await follow_everything(table, manager, age)


@pytest.mark.long
async def test_without_a_hint_they_are_found_within_about_a_second(pool, dsn, manager, age, monkeypatch):
    monkeypatch.setattr("bot.sandboxes.route_hints.RouteHints.send", _send_nothing)
    async with watching(pool, dsn) as (table, _):
        await follow_everything(table, manager, age)


async def _send_nothing(*_):
    """What a full queue makes of a hint."""


async def test_what_anybody_writes_is_found_whoever_it_is(pool, dsn, manager):
    guild = new_guild()
    await manager.create(ADA, guild_ids=[guild])
    async with watching(pool, dsn) as (table, _):
        await pool.execute("DELETE FROM sandbox_guild_mapping")
        await until(lambda: not is_routed(table, guild), 3)


async def test_changes_are_read_in_the_order_of_their_commits(pool, dsn, manager):
    """A revision that is taken first and committed last would be passed over."""
    sandbox, slow, quick = await manager.create(ADA), new_guild(), new_guild()
    insert = "INSERT INTO sandbox_guild_mapping (guild_id, sandbox_id, bound_by) VALUES ($1, $2, 1)"
    async with watching(pool, dsn) as (table, _), pool.acquire() as connection, connection.transaction():
        await connection.execute(insert, slow, sandbox.id)
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as at the commit
        late = asyncio.create_task(pool.execute(insert, quick, sandbox.id))
        await until_blocked(pool)
        assert not is_routed(table, quick)
    await late
    async with watching(pool, dsn) as (table, _):
        assert is_routed(table, slow)
        assert is_routed(table, quick)


async def test_transactions_that_change_routes_do_not_wait_for_each_other_before_their_ends(pool, manager):
    blue, red = await manager.create(ADA), await manager.create(ADA)
    insert = "INSERT INTO sandbox_guild_mapping (guild_id, sandbox_id, bound_by) VALUES ($1, $2, 1)"
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(insert, new_guild(), blue.id)
        await pool.execute(insert, new_guild(), red.id, timeout=5)


async def test_a_refresh_is_effective_when_it_returns(pool, dsn, manager):
    guild = new_guild()
    table = RouteTable()
    watcher = RouteWatcher(pool, dsn, table, reload_every=NEVER)
    sandbox = await manager.create(ADA, guild_ids=[guild])
    await watcher.refresh([guild])
    assert is_routed(table, guild)
    await manager.destroy(ADA, sandbox.id)
    await watcher.refresh([guild])
    assert not is_routed(table, guild)


async def test_a_lost_connection_is_made_up_for_by_a_reload(pool, dsn, manager):
    sandbox = await manager.create(ADA)
    async with watching(pool, dsn) as (table, _):
        await pool.execute("ALTER TABLE sandbox_guild_mapping DISABLE TRIGGER USER")
        guild = new_guild()
        await manager.register_guild(ADA, sandbox.id, guild)
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await until(lambda: is_routed(table, guild), 5)


async def test_a_connection_that_is_dead_without_a_word_is_replaced(pool, dsn, manager, monkeypatch):
    monkeypatch.setattr("bot.constants.ROUTE_LISTEN_TIMEOUT_S", 0.5)
    sandbox = await manager.create(ADA)
    async with (
        line_to(dsn) as (address, dead),
        watching(pool, address, reload_every=timedelta(milliseconds=200)) as (table, _),
    ):
        dead.set()
        await until(lambda: not dead.is_set())  # by a new connection
        guild = new_guild()
        await manager.register_guild(ADA, sandbox.id, guild)
        await until(lambda: is_routed(table, guild), 2)


@asynccontextmanager
async def line_to(dsn):
    """An address that leads to the server, and an event that silences its connections until there is a new one."""
    parts, dead = urlsplit(dsn), asyncio.Event()
    open_ends: list[asyncio.StreamWriter] = []

    async def carry(reader, writer):
        while data := await reader.read(65536):
            if not dead.is_set():
                writer.write(data)
        writer.close()

    async def accept(reader, writer):
        dead.clear()
        from_server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        open_ends.extend((writer, to_server))
        await asyncio.gather(carry(reader, to_server), carry(from_server, writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield dsn.replace(f":{parts.port}/", f":{port}/"), dead
    finally:
        server.close()
        for end in open_ends:
            end.close()
        await server.wait_closed()


async def test_the_timer_finds_what_nobody_announced(pool, dsn, manager):
    sandbox = await manager.create(ADA)
    async with watching(pool, dsn, reload_every=timedelta(milliseconds=100)) as (table, _):
        await pool.execute("ALTER TABLE sandbox_guild_mapping DISABLE TRIGGER USER")
        guild = new_guild()
        await manager.register_guild(ADA, sandbox.id, guild)
        await until(lambda: is_routed(table, guild), 2)


async def channels(pool):
    return [row["channel"] for row in await pool.fetch(load_queries("routes")["list_hint_channels"])]


async def test_the_channel_can_be_rotated_under_bots_that_listen(pool, dsn, manager, only_hints):
    guild = new_guild()
    sandbox = await manager.create(ADA)
    async with watching(pool, dsn) as (table, _):
        (first,) = await channels(pool)
        await KeyRing(pool).rotate(HINT_CHANNEL)
        assert len(await channels(pool)) == 2
        await manager.register_guild(ADA, sandbox.id, guild)
        await until(lambda: is_routed(table, guild), 3)
        async with watching(pool, dsn) as (newer, _):
            await manager.unregister_guild(ADA, guild)
            await until(lambda: not is_routed(newer, guild), 3)
    assert first in await channels(pool)


async def test_whoever_has_found_the_channel_is_heard_no_more_when_it_floods(pool, dsn, manager, monkeypatch, told):
    monkeypatch.setattr("bot.constants.ROUTE_HINTS_HEARD", 100)
    guild = new_guild()
    sandbox = await manager.create(ADA)
    async with watching(pool, dsn) as (table, _):
        (channel,) = await channels(pool)
        await pool.execute("SELECT pg_notify($1, n::text) FROM generate_series(1, 1000) AS n", channel)
        await until(lambda: [level for level, message, _ in told if "flooded" in message] == ["WARNING"])
        await manager.register_guild(ADA, sandbox.id, guild)
        await until(lambda: is_routed(table, guild), 3)


async def test_a_bot_of_the_release_before_is_hinted_at_by_guild(pool, dsn, manager):
    guild, heard = new_guild(), asyncio.Queue[object]()
    sandbox = await manager.create(ADA)
    listener = await asyncpg.connect(dsn)
    await listener.add_listener("sandbox_routes", lambda *told: heard.put_nowait(told[-1]))
    await manager.register_guild(ADA, sandbox.id, guild)
    assert await asyncio.wait_for(heard.get(), 3) == str(guild)
    await listener.close()


async def test_without_postgresql_the_last_known_routes_stay_and_the_changes_come_when_it_is_back(tmp_path):
    async with EmbeddedStores(tmp_path, stores=frozenset({"postgres"})) as own:
        pool = await open_pool(own.database_url)
        await migrate(pool)
        await _insert_sandbox(pool, guild=10**17)
        async with watching(pool, own.database_url) as (table, _):
            killed = own.pids["postgres"]
            os.kill(killed, signal.SIGKILL)
            await until(lambda: own.pids.get("postgres", killed) != killed)
            assert is_routed(table, 10**17)
            with pytest.raises(ServiceUnavailable):
                await RouteWatcher(pool, own.database_url, RouteTable(), reload_every=NEVER).start()
            await _unbind_when_back(own.database_url)
            await until(lambda: not is_routed(table, 10**17), 10)
        await pool.close()


async def _insert_sandbox(pool, guild):
    await pool.execute("INSERT INTO sandbox_owners (id) VALUES ($1)", ADA.id)
    await pool.execute(
        "WITH sandbox AS (INSERT INTO sandboxes (id, name, owner_id, schema_name, status, expires_at)"
        " SELECT id, 'blue', $1, sandbox_schema_name(id), 'running', now() + interval '1h'"
        " FROM gen_random_uuid() AS id RETURNING id)"
        " INSERT INTO sandbox_guild_mapping (guild_id, sandbox_id, bound_by) SELECT $2, id, $1 FROM sandbox",
        ADA.id,
        guild,
    )


async def _unbind_when_back(url):
    async with asyncio.timeout(10):
        while True:
            try:
                connection = await asyncpg.connect(url)
                break
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)
    await connection.execute("DELETE FROM sandbox_guild_mapping")
    await connection.close()
