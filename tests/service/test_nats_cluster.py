"""The bot on a cluster of NATS, by TLS: it leaves a server that is dead or silent, and has streams on several."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from bot.certificates import write_certificates
from bot.errors import ServiceUnavailable
from bot.names import event_subject_prefix
from bot.stores.nats import StreamStore
from bot.stores.nats_capacity import NatsNeeds, read_nats_capacity
from bot.stores.nats_client import flush, open_nats
from bot.stores.urls import with_authority
from tests.cluster.nats_servers import SYSTEM, NatsCluster
from tests.cluster.server import LOOPBACK
from tests.service.conftest import ADA, STREAM_LIMITS
from tests.service.servers import until


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    write_certificates(folder / "certificates", [LOOPBACK])
    async with NatsCluster(folder / "nats", certificates=folder / "certificates") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def authority(cluster):
    return cluster._certificates / "ca.pem"


@pytest.fixture
async def connect(cluster, authority):
    """As one of its users, to some of its servers, or all."""
    clients = []

    async def connect(**options):
        servers = options.pop("servers", ())
        clients.append(await open_nats(with_authority(cluster.url(servers=servers, **options), authority)))
        return clients[-1]

    yield connect
    await asyncio.gather(*(client.close() for client in clients))


def server_of(cluster, client):
    url = client.connected_url
    return next((each for each in cluster.servers.values() if url is not None and url.port == each.port), None)


async def until_elsewhere(cluster, client, server):
    """Connected to another one, which answers."""
    await until(lambda: server_of(cluster, client) not in (None, server))
    await flush(client)


@pytest.mark.parametrize("trusts_another", [True, False])
async def test_a_certificate_of_somebody_else_is_told_at_once_with_whose_it_is(cluster, tmp_path, trusts_another):
    write_certificates(tmp_path, [LOOPBACK])
    async with asyncio.timeout(3):
        with pytest.raises(ServiceUnavailable) as caught:
            await open_nats(with_authority(cluster.url(), tmp_path / "ca.pem" if trusts_another else None))
    told = str(caught.value.detail)
    assert told.startswith("the certificate of 127.0.0.1 is refused: ")
    assert "subject discord-sandboxes nats; issuer discord-sandboxes authority" in told
    assert told.endswith("name its authority's file in [tls] ca")
    assert "\n" not in told


async def test_streams_are_brought_to_the_configured_number_of_servers(cluster, connect, make_manager):
    client = await connect()
    stores = {count: StreamStore(client, replace(STREAM_LIMITS, replicas=count)) for count in (1, 3)}
    sandbox = await make_manager(streams=stores[1]).create(ADA)
    for count in (3, 1):
        await make_manager(streams=stores[count]).stream_reconciler.reconcile()
        stats = await stores[count].stats(sandbox.id)
        assert stats.replicas == count
    await client.jetstream().publish(event_subject_prefix(sandbox.id) + "READY", b"{}")
    assert await stores[1].delete(sandbox.id)


async def test_a_new_stream_lies_on_as_many_servers(cluster, connect):
    client = await connect()
    store, sandbox_id = StreamStore(client, replace(STREAM_LIMITS, replicas=3)), uuid4()
    await store.create(sandbox_id)
    consumer = await client.jetstream().consumer_info(f"SANDBOX_{sandbox_id.hex[:8]}", "worker")
    assert ((await store.stats(sandbox_id)).replicas, len(consumer.cluster.replicas)) == (3, 2)
    await store.delete(sandbox_id)


async def test_the_servers_that_there_are_are_counted_by_the_systems_user(cluster, connect, authority):
    client = await connect()
    system = await open_nats(with_authority(cluster.url(SYSTEM), authority), jetstream=False)
    capacity = await read_nats_capacity(client, system, 5)
    unknown = await read_nats_capacity(client, None, 5)
    await system.close()
    (finding,) = capacity.findings(NatsNeeds(2**20, replicas=5, quota=5, per_sandbox=10))
    assert "the servers with JetStream are 3" in finding.message
    assert (capacity.most_connections, unknown.servers) == (65536, None)


@pytest.mark.long
async def test_a_start_finds_the_servers_that_answer(cluster, connect, monkeypatch):
    monkeypatch.setattr("bot.stores.nats_client.random.sample", lambda servers, _: servers)
    first, *_ = cluster.servers.values()
    first.freeze()
    try:
        assert server_of(cluster, await connect()) != first
    finally:
        first.resume()


@pytest.mark.parametrize("busy", [False, True])
async def test_a_server_that_falls_silent_is_left_within_seconds(cluster, connect, busy):
    client = await connect()
    server = server_of(cluster, client)
    server.freeze()
    try:
        began = time.monotonic()
        sending = [client.publish("busy", bytes(900_000)) for _ in range(20 if busy else 0)]
        sent = asyncio.gather(*sending, return_exceptions=True)  # more than the socket takes
        await until(lambda: server_of(cluster, client) not in (None, server))
        assert time.monotonic() - began < 4
        await sent
    finally:
        server.resume()
    await until_elsewhere(cluster, client, server)


async def test_a_server_that_announces_its_end_is_left_before_it(cluster, connect):
    client = await connect()
    server = server_of(cluster, client)
    os.kill(server.pids[0], signal.SIGUSR2)
    await until_elsewhere(cluster, client, server)
    assert server.runs
    await server.kill()
    await server.launch()


async def test_a_client_outlives_its_server_though_its_address_names_no_other(cluster, connect):
    client = await connect(servers=["nats-1"])
    server = server_of(cluster, client)
    await server.kill()
    await until_elsewhere(cluster, client, server)
    await server.launch()
