"""A worker whose stores move to other servers: three of NATS, two of PostgreSQL, and Valkey with a Sentinel."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import nats.errors
import nats.js.errors
import pytest
import redis.asyncio
from redis.exceptions import RedisError

import bot
from bot.certificates import write_certificates
from bot.control_plane import open_control_plane, serve_workers
from bot.settings import Settings, Tls
from bot.stores.opening import open_stores
from bot.supervisor import Supervisor
from sandbox_worker import CertificateRefused, Sandbox, SandboxEnded, ServiceUnavailable, WrongEnvironment
from tests.cluster import nats_servers
from tests.cluster.nats_servers import NatsCluster
from tests.cluster.postgres_servers import PostgresPair
from tests.cluster.servers import HAS_TLS, WITH_TLS
from tests.cluster.valkey_servers import GROUP, ValkeyGroup
from tests.conftest import store_settings
from tests.service.workers import make_place, take
from tests.sessions import ENDED
from tests.unit.test_worker_environment import HANDED_OUT

pytestmark = pytest.mark.long


@pytest.fixture
async def cluster(tmp_path):
    async with NatsCluster(tmp_path / "nats") as cluster:
        yield cluster


@pytest.fixture
async def place(cluster, stores, dsn, redis_client):
    async with serving(cluster, stores, dsn) as place:
        yield place


@asynccontextmanager
async def serving(cluster, stores, dsn, **sections):
    """Of a bot that is on all three servers, whose streams are, too."""
    on = SimpleNamespace(redis_url=stores.redis_url, nats_url=cluster.url(), nats_callout=cluster.callout)
    sections |= store_settings(on, dsn)
    sections["nats"] = sections["nats"].model_copy(update={"stream_replicas": 3})
    settings = Settings(**sections)
    async with (
        open_stores(settings) as opened,
        Supervisor() as supervisor,
        open_control_plane(settings, opened, supervisor=supervisor) as manager,
        serve_workers(opened, manager, supervisor),
    ):
        yield await make_place(manager, opened.nats)


async def publish(place, number):
    """Once it is stored, which takes a leader; the time of then."""
    async with asyncio.timeout(30):
        while True:
            with suppress(nats.errors.Error, nats.js.errors.Error, OSError):
                await place.send(content=str(number), headers={"Nats-Msg-Id": str(number)})
                return time.monotonic()
            await asyncio.sleep(0.02)


def server_of(cluster, sandbox):
    """The one that the worker is connected to."""
    port = sandbox._connection.current.connected_url.port
    return next(server for server in cluster.servers.values() if server.port == port)


async def stay_on(cluster, sandbox, name):
    """Have the worker connected to that server."""
    async with asyncio.timeout(20):
        while server_of(cluster, sandbox).name != name:
            await sandbox._connection.current.close()
            count = sandbox._connection.connections
            while sandbox._connection.connections == count or sandbox._connection.current is None:
                await asyncio.sleep(0.01)


async def test_a_leaders_death_is_noticed_within_two_seconds(place, cluster):
    async with place.worker() as sandbox:
        events = sandbox.events()
        await publish(place, 0)
        await take(events, 1)
        leader = await leader_of_consumer(place)
        await stay_on(cluster, sandbox, next(name for name in cluster.servers if name != leader))
        waiting = asyncio.create_task(take(events, 1, seconds=30))
        await asyncio.sleep(0.5)  # the worker waits at the leader
        await cluster.servers[leader].kill()
        await publish(place, 1)
        led_at = await until_led_by_another_than(place, leader)
        assert [event.data["content"] for event in await waiting] == ["1"]
        assert time.monotonic() - led_at < 2.5


async def leader_of_consumer(place):
    """Where workers' requests wait, which need not be where the stream's leader is."""
    info = await place.nats.jetstream().consumer_info(place.sandbox.stream, "worker")
    return info.cluster.leader


async def until_led_by_another_than(place, before):
    """The time of then."""
    async with asyncio.timeout(30):
        while True:
            with suppress(nats.errors.Error, nats.js.errors.Error, OSError):
                if await leader_of_consumer(place) not in (None, before):
                    return time.monotonic()
            await asyncio.sleep(0.02)


async def test_a_server_that_stands_still_is_left_for_another_within_two_seconds(place, cluster):
    async with place.worker(SANDBOX_NATS_URL=one_of(place.environment["SANDBOX_NATS_URL"])) as sandbox:
        events = sandbox.events()
        await publish(place, 0)
        await take(events, 1)
        server = server_of(cluster, sandbox)
        server.freeze()
        frozen_at = time.monotonic()
        await place.until(lambda: has_connections(sandbox, 2))
        assert time.monotonic() - frozen_at < 2.2
        assert server_of(cluster, sandbox) is not server
        server.resume()


def one_of(urls):
    """The first; the worker hears of the others by gossip."""
    return urls.partition(",")[0]


async def has_connections(sandbox, count):
    return sandbox._connection.connections >= count


async def test_a_worker_outlives_each_server_and_hears_everything_in_order(place, cluster):
    heard = []

    async def work(sandbox):
        async for event in sandbox.events():
            heard.append((int(event.data["content"]), event.redelivered))
            await event.ack()

    async with place.worker() as sandbox:
        working = asyncio.create_task(work(sandbox))
        number = 0
        for server in cluster.servers.values():
            for _ in range(50):
                await publish(place, number)
                number += 1
            await server.kill()
            for _ in range(50):
                await publish(place, number)
                number += 1
            await server.start()
        await place.until(lambda: has_heard(working, heard, number), 60)
        working.cancel()
    once = [content for content, redelivered in heard if not redelivered]
    assert once == sorted(set(once))


async def has_heard(working, heard, count):
    assert not working.done(), working.exception()
    return {content for content, _ in heard} == set(range(count))


async def test_a_cluster_without_a_quorum_ends_no_worker(place, cluster):
    async with place.worker() as sandbox:
        events = sandbox.events()
        await publish(place, 0)
        await take(events, 1)
        waiting = asyncio.create_task(take(events, 1, seconds=60))
        lost = list(cluster.servers.values())[:2]
        await asyncio.gather(*(server.kill() for server in lost))
        await asyncio.wait([waiting], timeout=10)
        assert not waiting.done()
        await asyncio.gather(*(server.start() for server in lost))
        await publish(place, 1)
        assert [event.data["content"] for event in await waiting] == ["1"]


async def test_a_server_that_waits_shorter_for_the_bot_than_the_worker_does_refuses_nobody(tmp_path, monkeypatch):
    """No bot runs, and after two seconds the server says that the login is refused."""
    usual = nats_servers._EXAMPLE.read_text()
    assert "timeout: 3\n" in usual
    (tmp_path / "impatient.conf").write_text(usual.replace("timeout: 3\n", "timeout: 2\n"))
    monkeypatch.setattr(nats_servers, "_EXAMPLE", tmp_path / "impatient.conf")
    async with NatsCluster(tmp_path / "nats") as alone:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in alone.servers.values())
        url = f"nats://{HANDED_OUT['SANDBOX_ID']}:token@{hosts}"
        async with Sandbox.from_env(HANDED_OUT | {"SANDBOX_NATS_URL": url}) as sandbox:
            waiting = asyncio.create_task(anext(sandbox.events()))
            await asyncio.wait([waiting], timeout=9)
            assert not waiting.done()
            waiting.cancel()
            with suppress(asyncio.CancelledError, SandboxEnded):
                await waiting


async def test_servers_with_certificates_of_the_teams_own_are_trusted_by_its_authority(
    tmp_path, stores, dsn, redis_client, monkeypatch
):
    monkeypatch.setattr("sandbox_worker.constants.REACHABLE_WITHIN_S", 2)
    write_certificates(tmp_path / "certificates", ["127.0.0.1", "localhost"])
    authority = tmp_path / "certificates" / "ca.pem"
    async with (
        NatsCluster(tmp_path / "nats", certificates=authority.parent) as cluster,
        serving(cluster, stores, dsn, tls=Tls(ca=authority)) as place,
    ):
        assert str(tmp_path) not in "".join(place.environment.values())
        await publish(place, 0)
        async with place.worker(SANDBOX_TLS_CA=str(authority)) as sandbox:
            assert (await take(sandbox.events(), 1))[0].data["content"] == "0"
        async with place.worker() as sandbox:
            with pytest.raises(ServiceUnavailable) as refused:
                await anext(sandbox.tail())
    assert "the certificate of 127.0.0.1 is refused: unable to get local issuer" in refused.value.detail
    assert "issuer discord-sandboxes authority" in refused.value.detail
    assert "set SANDBOX_TLS_CA to that one's file" in refused.value.detail


@pytest.fixture
async def databases(tmp_path):
    async with PostgresPair(tmp_path / "postgres") as pair:
        yield pair


def on_databases(url, **others):
    return Sandbox.from_env(HANDED_OUT | {"SANDBOX_SCHEMA": "public", "DATABASE_URL": url} | others)


async def is_writable(sandbox):
    with suppress(*ENDED):
        return await sandbox.pg.fetchval("SELECT NOT pg_is_in_recovery()")
    return False


async def port_of(sandbox):
    return await sandbox.pg.fetchval("SELECT inet_server_port()")


async def test_tables_are_written_on_whichever_database_takes_writes(databases):
    first, second = (databases.servers[name].port for name in ("postgres-1", "postgres-2"))
    standby_first = databases.url("postgres-1").replace(f":{first}/", f":{second},127.0.0.1:{first}/")
    async with on_databases(standby_first) as sandbox:
        assert await port_of(sandbox) == first
        await databases.servers["postgres-1"].kill()
        await databases.promote()
        async with asyncio.timeout(10):
            while not await is_writable(sandbox):
                await asyncio.sleep(0.05)
        assert await port_of(sandbox) == second


async def test_a_database_that_stands_still_keeps_no_session_from_the_other(databases):
    databases.servers["postgres-2"].freeze()
    swapped = databases.url("postgres-1").replace("@", f"@127.0.0.1:{databases.servers['postgres-2'].port},")
    async with on_databases(swapped) as sandbox:
        async with asyncio.timeout(6):
            assert await port_of(sandbox) == databases.servers["postgres-1"].port
    databases.servers["postgres-2"].resume()


@pytest.fixture
def certificates(tmp_path):
    if not HAS_TLS:
        pytest.skip("needs Debian's servers, which have TLS: apt-get install postgresql redis-server")
    write_certificates(tmp_path / "certificates", ["127.0.0.1", "localhost"])
    return tmp_path / "certificates"


async def test_a_databases_certificate_is_verified_by_the_teams_authority(tmp_path, certificates):
    async with PostgresPair(tmp_path / "postgres", programs=WITH_TLS, certificates=certificates) as pair:
        url = pair.url(query="sslmode=verify-full")
        async with on_databases(url, SANDBOX_TLS_CA=str(certificates / "ca.pem")) as sandbox:
            assert await sandbox.pg.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        async with on_databases(url) as sandbox:
            with pytest.raises(WrongEnvironment, match=r"Nothing says by what .*SANDBOX_TLS_CA"):
                await sandbox.pg.fetchval("SELECT 1")
        write_certificates(tmp_path / "others", ["127.0.0.1"])
        async with on_databases(url, SANDBOX_TLS_CA=str(tmp_path / "others" / "ca.pem")) as sandbox:
            with pytest.raises(CertificateRefused, match=r"PostgreSQL is not used, .*SANDBOX_TLS_CA"):
                await sandbox.pg.fetchval("SELECT 1")


async def test_keys_are_reached_by_tls_that_the_teams_authority_vouches_for(tmp_path, certificates, monkeypatch):
    monkeypatch.setattr("sandbox_worker.constants.FAILOVER_TIMEOUT_S", 0)
    async with ValkeyGroup(tmp_path / "valkey", programs=WITH_TLS, certificates=certificates) as group:
        async with on_caches(group, SANDBOX_TLS_CA=str(certificates / "ca.pem")) as sandbox:
            await sandbox.redis.set("greeting", "hello")
            assert await sandbox.redis.get("greeting") == b"hello"
        async with on_caches(group) as sandbox:
            with pytest.raises(RedisError, match=r"the certificate of 127.0.0.1 is refused.*set SANDBOX_TLS_CA"):
                await sandbox.redis.get("greeting")


@pytest.fixture
async def caches(tmp_path):
    """With Sentinels that let workers do no more than the kit's page says."""
    page = (Path(bot.__file__).parents[1] / "sandbox_worker" / "README.md").read_text()
    (rules,) = re.findall(r"^user default (on nopass .*)$", page, re.MULTILINE)
    async with ValkeyGroup(tmp_path / "valkey") as group:
        for host, port in group.sentinels:
            async with redis.asyncio.Redis(host=host, port=port) as client:
                await client.execute_command("ACL", "SETUSER", "default", *rules.split())
                with pytest.raises(RedisError, match="no permissions"):
                    await client.execute_command("SENTINEL", "FAILOVER", GROUP)
        yield group


def on_caches(group, **others):
    return Sandbox.from_env(HANDED_OUT | {"REDIS_URL": group.sentinel_url()} | others)


async def test_keys_are_where_the_sentinels_say(caches):
    async with on_caches(caches) as sandbox:
        await sandbox.redis.set("greeting", "hello")
        before = await caches.master()
        await until_copied(caches, next(name for name in ("valkey-1", "valkey-2") if name != before))
        await caches.servers[before].kill()
        await sandbox.redis.set("other", "one")
        assert await sandbox.redis.mget("greeting", "other") == [b"hello", b"one"]
        assert await caches.master() != before


async def test_whoever_waits_on_a_server_that_stands_still_waits_on_the_next_one(caches):
    async with on_caches(caches) as sandbox:
        popping = asyncio.create_task(sandbox.redis.blpop("queue"))
        before = await caches.master()
        await until_somebody_waits(caches, before)
        caches.servers[before].freeze()
        await caches.until_master_is_not(before)
        async with asyncio.timeout(10):
            await sandbox.redis.rpush("queue", "job")
            assert await popping == (b"queue", b"job")
        caches.servers[before].resume()


async def until_copied(group, replica):
    async with asyncio.timeout(10), group._client(replica) as client:
        while not await client.dbsize():
            await asyncio.sleep(0.02)


async def until_somebody_waits(group, name):
    async with asyncio.timeout(10):
        while not (await group._info(name, "clients"))["blocked_clients"]:
            await asyncio.sleep(0.02)
