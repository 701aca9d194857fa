"""A stream whose only server is gone: status says so, reset makes it anew, destroy ends, and the server forgets it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from nats.js.api import StreamConfig

from bot import names
from bot.errors import ProvisioningFailed, ServiceUnavailable
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.stores.nats import StreamStore
from bot.stores.nats_client import open_nats
from bot.stores.stream_leaders import LeaderAway
from tests.cluster.nats_servers import NatsCluster
from tests.service.conftest import ADA, STREAM_LIMITS


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory):
    async with NatsCluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster


@asynccontextmanager
async def client_of(cluster, server):
    client = await open_nats(cluster.url(servers=[server]))
    yield client
    await client.close()


async def two_together(cluster, make_manager):
    """Two sandboxes whose streams are on the same server, its name, and that of another one."""
    found: dict[str, Sandbox] = {}
    async with client_of(cluster, "nats-1") as client:
        manager = make_manager(streams=StreamStore(client, STREAM_LIMITS))
        while True:
            sandbox = await manager.create(ADA)
            home = (await client.jetstream().stream_info(sandbox.stream)).cluster.leader
            if home in found:
                return found[home], sandbox, home, next(name for name in cluster.servers if name != home)
            found[home] = sandbox


@pytest.mark.long
async def test_a_stream_on_a_dead_server_is_named_made_anew_and_deleted(cluster, make_manager):
    blue, red, server, other = await two_together(cluster, make_manager)
    async with client_of(cluster, other) as near:
        await outlives(cluster, near, make_manager(streams=StreamStore(near, STREAM_LIMITS)), blue, red, server)


async def outlives(cluster, near, manager, blue, red, server):
    streams = manager.streams
    await cluster.servers[server].kill()
    async with asyncio.timeout(20):
        while True:
            try:
                await streams.stats(blue.id)
            except LeaderAway:
                break
            except ServiceUnavailable:
                """The leader of all of JetStream is looked for."""
    async with asyncio.timeout(9):
        health = await manager.get_health(blue.id)
    assert f"{blue.stream} has no leader" in health.nats.summary
    assert await manager.stream_reconciler.reconcile() == 0
    async with asyncio.timeout(20):
        await manager.reset(ADA, blue.id)
    await near.jetstream().publish(names.event_subject_prefix(blue.id) + "TEST", b"")
    assert (await streams.stats(blue.id)).messages == 1
    async with asyncio.timeout(20):
        gone = await manager.destroy(ADA, red.id)
    assert gone.status is SandboxStatus.DESTROYED
    await cluster.servers[server].start()
    listed = await streams.list_streams()
    assert (blue.id in listed, red.id in listed) == (True, False)
    assert (await streams.stats(blue.id)).messages == 1


async def test_a_stream_that_cannot_be_made_is_no_stream_that_exists(manager, nats_client):
    """Somebody else's stream has taken the subjects."""
    jetstream = nats_client.jetstream()
    await jetstream.add_stream(StreamConfig(name="FOREIGN", subjects=["sandbox.*.events.>"]))
    try:
        with pytest.raises(ProvisioningFailed) as failed:
            await manager.create(ADA, name="blue")
        assert "subjects overlap" in failed.value.__cause__.detail
    finally:
        await jetstream.delete_stream("FOREIGN")


async def test_a_stream_of_other_limits_is_given_ours(manager, nats_client):
    blue = await manager.create(ADA, name="blue")
    limits = STREAM_LIMITS.__class__(timedelta(hours=1), 77, 10_000_000)
    await StreamStore(nats_client, limits).create(blue.id)
    assert (await nats_client.jetstream().stream_info(blue.stream)).config.max_msgs == 77
