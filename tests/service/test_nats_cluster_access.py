"""A NATS of three servers, on which nobody stays connected with credentials that have ended."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import nats
import pytest
from pydantic import SecretStr

from bot.control_plane import open_control_plane, serve_workers
from bot.errors import CleanupFailed
from bot.settings import Nats, Settings
from bot.stores.opening import open_stores
from bot.supervisor import Supervisor
from sandbox_worker import protocol
from tests.cluster.nats_servers import AUTH, BOT, SYSTEM, NatsCluster
from tests.conftest import store_settings
from tests.service.conftest import ADA
from tests.service.servers import until

WITHIN_S = 2.0
OURS, OTHER = "nats-1", "nats-2"


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory):
    async with NatsCluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster


@pytest.fixture
def bot(stores, dsn, cluster):
    """The control plane of a bot that is connected to the servers of these names, with what it does for workers."""

    @asynccontextmanager
    async def bot(*names):
        section = Nats(
            url=SecretStr(cluster.url(BOT, names)),
            auth_url=SecretStr(cluster.url(AUTH, names)),
            system_url=SecretStr(cluster.url(SYSTEM, names)),
            account_seed=SecretStr(cluster.environment["NATS_ACCOUNT_SEED"]),
        )
        settings = Settings(**{**store_settings(stores, dsn), "nats": section})
        async with (
            open_stores(settings) as opened,
            Supervisor() as supervisor,
            open_control_plane(settings, opened, supervisor=supervisor) as manager,
            serve_workers(opened, manager, supervisor),
        ):
            await until(lambda: known(manager) and not servers_of(manager).list_due())
            yield manager

    return bot


def servers_of(manager):
    return manager.access.nats.connections.servers


def known(manager):
    return servers_of(manager)._known.values()


async def made(manager):
    """A sandbox's id, and its token."""
    sandbox = await manager.create(ADA)
    return sandbox.id, await issued(manager, sandbox.id)


async def issued(manager, sandbox_id, **how):
    return (await manager.issue_credentials(ADA, sandbox_id, **how)).environment["SANDBOX_NATS_PASSWORD"]


@pytest.fixture
async def connect(cluster):
    """Connects to the server of that name as somebody who does not come back when he is cut off."""
    async with AsyncExitStack() as stack:

        async def connect(name, sandbox_id, token):
            client = await nats.connect(
                f"nats://127.0.0.1:{cluster.servers[name].port}",
                user=str(sandbox_id),
                password=token,
                inbox_prefix=protocol.inbox_prefix(sandbox_id).encode(),
                allow_reconnect=False,
                error_cb=ignore,
            )
            stack.push_async_callback(client.close)
            return client

        yield connect


async def ignore(_):
    """Being cut off is what is waited for."""


async def cut_off(client):
    """Returns when he is, in time."""
    began = time.monotonic()
    await until(lambda: client.is_closed)
    assert time.monotonic() - began < WITHIN_S


@pytest.fixture
def stand_still(cluster):
    """Stops the server of that name, which goes on at the end of the test at the latest."""
    yield lambda name: cluster.servers[name].freeze()
    for server in cluster.servers.values():
        server.resume()


async def test_a_server_that_stood_still_for_half_a_second_of_a_rotation(bot, cluster, connect, stand_still):
    async with bot(OURS) as manager:
        sandbox_id, token = await made(manager)
        old = await connect(OTHER, sandbox_id, token)
        stand_still(OTHER)
        rotation = asyncio.create_task(issued(manager, sandbox_id, rotate=True))
        await asyncio.wait([rotation], timeout=0.5)
        cluster.servers[OTHER].resume()
        await cut_off(old)
        new = await connect(OTHER, sandbox_id, await rotation)
        for server in known(manager):
            server.doubts += 1
        await until(lambda: not servers_of(manager).list_due())
        assert new.is_connected


@pytest.mark.long
async def test_a_server_that_stands_still_is_told_of_and_what_ended_meanwhile_ends_at_its_return(
    bot, cluster, connect, stand_still
):
    async with bot(OURS) as manager:
        rotated, destroyed, kept = [await made(manager) for _ in range(3)]
        old, gone, other = [await connect(OTHER, *one) for one in (rotated, destroyed, kept)]
        stand_still(OTHER)
        await until(lambda: [server.name for server in known(manager) if server.is_silent] == [OTHER])
        assert await manager.access.list_unasked() == [OTHER]
        began = time.monotonic()
        await issued(manager, rotated[0], rotate=True)
        assert time.monotonic() - began < 1  # nobody waits for it
        with suppress(CleanupFailed):  # its stream may be there
            await manager.destroy(ADA, destroyed[0])
        cluster.servers[OTHER].resume()
        await asyncio.gather(cut_off(old), cut_off(gone))
        await until(lambda: not servers_of(manager).list_due())
        assert await manager.access.list_unasked() == []
        assert other.is_connected


@pytest.mark.long
async def test_a_bot_that_was_started_since_makes_up_for_what_a_server_has_missed(bot, cluster, connect, stand_still):
    async with bot(OURS) as manager:
        rotated, kept = await made(manager), await made(manager)
        old, other = await connect(OTHER, *rotated), await connect(OTHER, *kept)
        stand_still(OTHER)
        await issued(manager, rotated[0], rotate=True)
    async with bot(OURS) as manager:
        async with asyncio.timeout(30):  # the leader of the cluster may be the one that stands still
            while await manager.access.list_unasked() != [OTHER]:
                await asyncio.sleep(0.1)
        cluster.servers[OTHER].resume()
        await cut_off(old)
        assert other.is_connected


@pytest.mark.long
async def test_a_server_that_was_killed_is_told_of_until_it_runs_again(bot, cluster):
    async with bot(OURS) as manager:
        await cluster.servers[OTHER].kill()
        await until(lambda: [server.name for server in known(manager) if server.is_silent] == [OTHER])
        await cluster.servers[OTHER].start()
        await until(lambda: not any(server.is_silent for server in known(manager)) and len(known(manager)) == 3)
        await until(lambda: not servers_of(manager).list_due())
        assert await manager.access.list_unasked() == []


@pytest.mark.long
async def test_a_rotation_while_the_bots_own_server_stands_still_reaches_the_others(bot, cluster, connect, stand_still):
    async with bot(*cluster.servers) as manager:
        sandbox_id, token = await made(manager)
        port = manager.access.nats._system.connected_url.port
        ours = next(name for name, server in cluster.servers.items() if server.port == port)
        old = await connect(next(name for name in cluster.servers if name != ours), sandbox_id, token)
        stand_still(ours)
        rotation = asyncio.create_task(issued(manager, sandbox_id, rotate=True))
        await cut_off(old)
        await rotation
