"""A primary PostgreSQL with its standby, in one address."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from weakref import WeakSet

import asyncpg
import pytest

from bot.errors import ServiceUnavailable
from bot.routing.leases import GatewayLeases, Shards
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher
from bot.stores.migrations import migrate
from bot.stores.postgres import connected, fetch_value, open_pool, transaction
from bot.stores.postgres_hosts import connect, following_primary, several_hosts
from bot.supervisor import State, Supervisor
from tests.cluster.postgres_servers import PostgresPair
from tests.cluster.server import free_ports
from tests.service.other_servers import backwards
from tests.service.servers import until

PORT = "SELECT inet_server_port()"
_FOLLOWED = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT NOT pg_is_in_recovery()'"


@pytest.fixture(scope="module")
async def lasting(tmp_path_factory):
    """Both servers; a test leaves them as it found them."""
    async with PostgresPair(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


@pytest.fixture
async def mortal(tmp_path):
    """Both servers, to be killed."""
    async with PostgresPair(tmp_path) as pair:
        yield pair


@asynccontextmanager
async def opened_pool(dsn, **options):
    pool = await open_pool(dsn, **options)
    try:
        yield pool
    finally:
        pool.terminate()


async def try_until_done(attempt, seconds=15.0):
    """Its result, once nothing is in the way any more."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await attempt()
            except ServiceUnavailable:
                await asyncio.sleep(0.05)


async def promote_standby(pair):
    """Whether the primary runs or not."""
    standby = await asyncpg.connect(pair.superuser_url(pair.standby))
    await standby.execute("SELECT pg_promote()")
    await standby.close()


def test_hosts_are_read_as_they_are_written():
    assert several_hosts("postgresql://u:p,q@a:1,[::1],%2Frun%2Fpg:5/d?x=1,2") == [
        ("a", 1),
        ("::1", 5432),
        ("/run/pg", 5),
    ]
    assert several_hosts("postgresql://u:p@a:1/d") == several_hosts("postgresql:///d?host=/run") == ()


async def test_of_two_hosts_it_is_the_one_that_takes_writes(lasting):
    for url in (lasting.url(), backwards(lasting.url())):
        async with opened_pool(url) as pool:
            await migrate(pool)
            assert await pool.fetchval(PORT) == lasting.servers[lasting.primary].port


async def test_a_host_that_stands_still_keeps_nobody_from_the_other(lasting):
    standby = lasting.servers[lasting.standby]
    standby.freeze()
    try:
        async with asyncio.timeout(3):
            connection = await connect(backwards(lasting.url()))
        assert await connection.fetchval(PORT) != standby.port
        connection.terminate()
    finally:
        standby.resume()


async def test_of_hosts_that_take_no_writes_each_is_named(lasting):
    (nobodys,) = free_ports(1)
    alone = lasting.url(lasting.standby)
    port = lasting.servers[lasting.standby].port
    with pytest.raises(ServiceUnavailable) as caught:
        await open_pool(alone)
    assert caught.value.detail == "it takes no writes: it is a standby, or default_transaction_read_only is on"
    with pytest.raises(ServiceUnavailable) as caught:
        await open_pool(alone.replace(f":{port}/", f":{port},127.0.0.1:{nobodys}/"))
    assert f"no server takes writes: 127.0.0.1:{port} is a standby; 127.0.0.1:{nobodys} says: " in caught.value.detail


async def test_a_wrong_password_is_what_is_told_of_several_hosts(lasting):
    url = lasting.url()
    with pytest.raises(ServiceUnavailable, match="PostgreSQL") as caught:
        await open_pool(url.replace(":", ":x", 2).replace("postgresql:x", "postgresql:", 1))
    assert "InvalidPasswordError" in caught.value.detail


async def test_a_session_that_takes_no_writes_any_more_is_not_used_again(dsn):
    async with opened_pool(dsn, max_size=2) as pool:
        async with connected(pool) as one, connected(pool) as other:
            for each in (one, other):
                await each.execute("SET default_transaction_read_only = on")
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                async with transaction(pool) as connection:
                    await connection.execute("CREATE TABLE kept ()")
        async with transaction(pool) as connection:
            await connection.execute("CREATE TABLE kept ()")


@pytest.mark.long
async def test_after_a_promotion_pool_leases_and_routes_go_on_at_the_other_server(mortal):
    url, opened = mortal.url(), WeakSet[asyncpg.Connection]()
    async with opened_pool(url, max_size=4, whole=True, opened=opened) as pool, Supervisor() as supervisor:
        await migrate(pool)
        await pool.execute("CREATE TABLE kept (value int); INSERT INTO kept VALUES (1)")
        table, leases = RouteTable(), GatewayLeases(url)
        watcher = RouteWatcher(pool, url, table, reload_every=timedelta(hours=1))
        routes = supervisor.start("routes", watcher.run)
        supervisor.start("leases", lambda part: leases.keep(Shards(7, 1, (0,)), part))
        async with following_primary(url, opened):
            await until(lambda: leases.is_valid(0))
            await mortal.until_followed()
            await mortal.servers[mortal.primary].kill()
            await mortal.promote()
            assert await try_until_done(lambda: fetch_value(pool, "SELECT value FROM kept")) == 1
            await try_until_done(lambda: fetch_value(pool, "UPDATE kept SET value = 2 RETURNING value"))
            await until(lambda: leases.is_valid(0) and routes.state is State.RUNNING)
            assert await fetch_value(pool, PORT) == mortal.servers["postgres-2"].port


@pytest.mark.long
async def test_what_waits_for_a_primary_that_stands_still_is_let_go_when_the_other_is_promoted(mortal):
    url, opened = mortal.url(), WeakSet[asyncpg.Connection]()
    old, new = (mortal.servers[name] for name in ("postgres-1", "postgres-2"))
    async with opened_pool(url, max_size=2, whole=True, opened=opened) as pool, following_primary(url, opened):
        async with asyncio.timeout(5):
            while not await fetch_value(pool, _FOLLOWED):  # it knows then which server that is
                await asyncio.sleep(0.02)
        old.freeze()
        waiting = asyncio.create_task(fetch_value(pool, PORT))
        await promote_standby(mortal)
        promoted_at = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            await waiting
        assert await try_until_done(lambda: fetch_value(pool, PORT)) == new.port
        assert time.monotonic() - promoted_at < 6
        old.resume()
        # It takes itself for the primary. Nobody goes back to it.
        alone = await asyncpg.connect(mortal.url("postgres-1"))
        assert not await alone.fetchval("SELECT pg_is_in_recovery()")
        await alone.close()
        for address in (url, backwards(url)):
            connection = await connect(address)
            assert await connection.fetchval(PORT) == new.port
            connection.terminate()
