"""What PostgreSQL cannot help is its trouble, named as such, and neither a bug nor the asker's fault."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from bot import constants
from bot.errors import ServiceUnavailable
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.access.lock_guard import LockGuard
from bot.stores.postgres import connected, open_pool, transaction
from bot.supervisor import Outages, Part
from tests.faults.wires import Gate, wired
from tests.service.conftest import ADA

AWAY = "PostgreSQL is not reachable"
TROUBLE = {
    "no connection": ("08006", AWAY),
    "no resources": ("53000", AWAY),
    "no room on the disk": ("53100", "PostgreSQL has no room on its disk left"),
    "no room in the table of locks": ("53200", "PostgreSQL has no memory left"),
    "too many connections": ("53300", "PostgreSQL has no connections left"),
    "a limit of its configuration": ("53400", AWAY),
    "an operator": ("57000", AWAY),
    "cancelled": ("57014", AWAY),
    "shutting down": ("57P01", AWAY),
    "crashed": ("57P02", AWAY),
    "idle for too long": ("57P05", AWAY),
    "an error of the system": ("58000", AWAY),
    "an error of input or output": ("58030", AWAY),
    "a file that is not there": ("58P01", AWAY),
    "a file's name": ("58P03", AWAY),
    "a standby": ("25006", AWAY),
}


@pytest.mark.parametrize(("code", "sentence"), TROUBLE.values(), ids=TROUBLE)
async def test_a_change_that_postgresql_cannot_make_names_it(manager, pool, code, sentence):
    sandbox = await manager.create(ADA)
    await pool.execute(f"""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'as if' USING ERRCODE = '{code}'; END $$;
        CREATE TRIGGER fail BEFORE UPDATE ON sandboxes FOR EACH ROW EXECUTE FUNCTION fail();
        """)
    with pytest.raises(ServiceUnavailable, match=sentence):
        await manager.extend_ttl(ADA, sandbox.id, timedelta(hours=1))


@pytest.fixture
async def wired_pool(dsn, monkeypatch):
    """A pool with two connections on a wire; what is broken off is taken for dead soon."""
    monkeypatch.setattr(constants, "POSTGRES_GIVEN_BACK_WITHIN_S", 0.1)
    async with wired({"postgres": dsn}, Gate()) as (detours, wires):
        pool = await open_pool(detours["postgres"], max_size=2, whole=True)
        yield pool, wires["postgres"]
        pool.terminate()


async def answers(pool):
    async with asyncio.timeout(2), connected(pool) as connection:
        return await connection.fetchval("SELECT true")


@pytest.mark.parametrize("block", [connected, transaction])
async def test_one_dead_connection_has_the_others_looked_at(wired_pool, block):
    pool, wire = wired_pool
    wire.lose()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), block(pool) as connection:
            await connection.fetchval("SELECT true")
    assert [await answers(pool) for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    "make", [LockGuard, lambda dsn: RouteWatcher(None, dsn, RouteTable(), reload_every=timedelta(hours=1))]
)
async def test_what_is_asked_at_the_moment_in_which_the_server_ends_the_session_is_no_bug(dsn, make, monkeypatch):
    """asyncpg has read then that it ends, and takes itself for busy."""

    async def connect(*_, **__):
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    monkeypatch.setattr(asyncpg, "connect", connect)
    with pytest.raises(ServiceUnavailable):
        await make(dsn).run(Part("any", Outages()))


async def test_a_statement_that_is_broken_off_costs_no_connection(wired_pool):
    """Each holds a slot of the server, which others may take."""
    pool, wire = wired_pool
    for block in (connected, transaction):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), block(pool) as connection:
                await connection.fetchval("SELECT pg_sleep(10)")
    assert [await answers(pool) for _ in range(2)] == [True, True]
    cancelling = 2
    assert wire.connections == 2 + cancelling


async def test_a_transaction_that_is_cut_off_at_its_beginning_is_undone(wired_pool, caplog):
    pool, wire = wired_pool
    wire.freeze()

    async def change():
        async with transaction(pool):
            pass

    changing = asyncio.create_task(change())
    while pool.get_idle_size() == 2:
        await asyncio.sleep(0)
    changing.cancel()
    wire.thaw()
    await asyncio.wait({changing})
    assert await answers(pool)
    assert (await pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'")) == 0
    assert not caplog.records
