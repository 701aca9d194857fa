"""PostgreSQL's slots are everybody's: who takes them all keeps others out for seconds, and the bot not at all."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from bot.sandboxes.access.isolation import list_postgres_risks
from tests.breakout.conftest import ADA
from tests.breakout.sessions import destroy, is_untouched, until_async

MOST = 320
"""More than the embedded server has slots."""
LOGIN_S = 3
"""Its `authentication_timeout`."""


@pytest.fixture
def embedded(servers):
    if not hasattr(servers, "is_owner"):
        pytest.skip("slots are set by whoever sets the server up; bootstrap.sql says how")


@asynccontextmanager
async def silence(url, most):
    """Connections that say who they are, and nothing when they are asked for a password."""
    address = urlsplit(url)
    greeting = b"user\0" + address.username.encode() + b"\0database\0" + address.path[1:].encode() + b"\0\0"
    packet = struct.pack("!ii", len(greeting) + 8, 196608) + greeting
    async with AsyncExitStack() as stack:
        for _ in range(most):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            stack.callback(writer.close)
            writer.write(packet)
            with suppress(ConnectionError):
                if (await reader.read(1)) in (b"", b"E"):
                    break
        yield


async def may_log_in(worker):
    with suppress(asyncpg.TooManyConnectionsError):
        await (await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])).close()
        return True
    return False


async def test_silent_connections_keep_others_out_for_seconds_only(world, embedded):
    async with silence(world.a.urls["SANDBOX_DATABASE_URL"], MOST):
        assert await world.manager.list()
        await until_async(lambda: may_log_in(world.b), LOGIN_S + 3)
    assert await is_untouched(world.b)


async def test_the_bot_works_and_gets_in_while_sandboxes_have_all_the_slots_that_they_may_have(world, embedded):
    access = world.manager.access
    most, access._max_connections = access._max_connections, MOST
    attacker = await world.add()
    access._max_connections = most
    async with AsyncExitStack() as stack:
        with suppress(asyncpg.TooManyConnectionsError):
            for _ in range(MOST):
                session = await asyncpg.connect(attacker.urls["SANDBOX_DATABASE_URL"])
                stack.callback(session.terminate)
        assert not await may_log_in(world.b)
        await (await asyncpg.connect(world.stores.addresses.postgres)).close()
        sandbox = await world.manager.create(ADA)
        await destroy(world, sandbox)
        await destroy(world, attacker.sandbox)
        await until_async(lambda: may_log_in(world.b))
    await attacker.close()


async def test_the_bots_pool_is_open_whole(world):
    pool = world.stores.pool
    assert pool.get_size() == pool.get_max_size() == pool.get_min_size()


async def test_what_a_server_does_not_bound_is_named(world, servers):
    risks = await list_postgres_risks(world.stores.pool)
    expected = (
        []
        if hasattr(servers, "is_owner")
        else ["authentication_timeout is 60 s", "No slots are kept", "temp_file_limit is not"]
    )
    assert [risk.message.startswith(start) for risk, start in zip(risks, expected, strict=True)] == [True] * len(
        expected
    )
