"""Valkey with a replica and a Sentinel, and servers that cannot serve the bot."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
import redis.asyncio

from bot import names
from bot.control_plane import open_control_plane
from bot.errors import ServiceUnavailable
from bot.sandboxes.access.replicas import ReplicaUsers
from bot.settings import Settings, SettingsError
from bot.stores.opening import open_stores
from bot.stores.redis import RedisStore
from bot.stores.redis_client import SentinelAddress, following_master, open_redis
from bot.stores.urls import with_login
from bot.supervisor import Supervisor
from sandbox_worker import variables
from tests.cluster.valkey_servers import GROUP, ValkeyGroup
from tests.conftest import store_settings
from tests.service.conftest import ADA, BOB
from tests.service.other_servers import valkey

FAILED = (ServiceUnavailable, redis.RedisError)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
async def group(tmp_path):
    async with ValkeyGroup(tmp_path) as group:
        yield group


def sentinel_url(group, database=0):
    hosts = ",".join(f"{host}:{port}" for host, port in group.sentinels)
    return f"redis+sentinel://default:{group.password}@{hosts}/{GROUP}/{database}"


def test_the_address_of_sentinels_names_them_and_the_master():
    address = SentinelAddress.parse("rediss+sentinel://u:p%20q@a:1,[::1]/group/3?ssl_ca_certs=/x&sentinel_password=s")
    assert address == SentinelAddress(
        (("a", 1), ("::1", 26379)),
        "group",
        True,
        {**address.options, "username": "u", "password": "p q", "db": 3, "sentinel_password": "s"},
    )
    assert SentinelAddress.parse("redis://a:1/0") is None
    with pytest.raises(ValueError, match="no name of a master"):
        SentinelAddress.parse("redis+sentinel://a:1")
    assert "p q" not in repr(address)


@pytest.mark.long
async def test_a_client_is_the_masters_and_follows_it(group):
    client = await open_redis(sentinel_url(group, 3))
    async with following_master(client):
        await client.set("kept", 1)
        await group.fail_over()
        async with asyncio.timeout(3):
            while True:
                try:
                    assert await client.set("kept", 2)
                    break
                except FAILED:
                    await asyncio.sleep(0.02)
        assert (await client.role())[0] in (b"master", "master")
        assert client.connection_pool.connection_kwargs["db"] == 3
    await client.aclose()


@pytest.mark.long
async def test_a_master_that_stands_still_holds_nobody_up_once_another_one_is_it(group):
    client = await open_redis(sentinel_url(group))
    async with following_master(client):
        await client.ping()
        group.servers["valkey-1"].freeze()
        waiting: asyncio.Task = asyncio.create_task(client.set("kept", 1))
        await group.until_master_is_not("valkey-1")
        promoted_at = time.monotonic()
        try:
            await waiting
        except FAILED:
            await client.set("kept", 1)
        assert time.monotonic() - promoted_at < 3
    await client.aclose()


@pytest.fixture
async def manager(stores, dsn, nats_client, group):
    """One whose Valkey the Sentinel names, with what a bot does all the time for those who may log in there."""
    sections = store_settings(stores, dsn) | {"redis": {"url": sentinel_url(group), "databases": "100-199"}}
    settings = Settings(**sections)
    async with (
        open_stores(settings) as opened,
        Supervisor() as supervisor,
        open_control_plane(settings, opened, supervisor=supervisor) as manager,
    ):
        supervisor.start_periodic("access", lambda: manager.access.reconcile(MINUTE), SECOND)
        supervisor.start_periodic("replicas", ReplicaUsers(opened.pool, opened.redis).drop, SECOND)
        yield manager


async def worker_url(manager, group, server, owner=ADA):
    """Of a new sandbox's worker, on that server."""
    sandbox = await manager.create(owner)
    issued = await manager.issue_credentials(owner, sandbox.id)
    token = issued.environment[variables.SANDBOX_NATS_PASSWORD]
    return sandbox, with_login(group.url(server, sandbox.redis_database), names.redis_user(sandbox.id), token)


async def logs_in(url):
    client = redis.asyncio.from_url(url)
    try:
        return bool(await client.set("of-the-worker", 1))
    except redis.RedisError:
        return False
    finally:
        await client.aclose()


async def until_true(ask, seconds):
    async with asyncio.timeout(seconds):
        while not await ask():
            await asyncio.sleep(0.02)


async def test_after_a_failover_the_new_master_has_the_users_and_the_old_one_none(manager, group):
    sandbox, url = await worker_url(manager, group, "valkey-1")
    assert sandbox.redis_database in range(100, 200)
    assert await logs_in(url)
    there = url.replace(group.url("valkey-1").rpartition("@")[2][:-2], group.url("valkey-2").rpartition("@")[2][:-2])
    assert not await logs_in(there)
    assert await group.fail_over() == "valkey-2"
    await until_true(lambda: logs_in(there), 3)
    old = RedisStore(redis.asyncio.from_url(group.url("valkey-1")))

    async def is_empty():
        return not await old.list_users()

    await until_true(is_empty, 3)
    await old.client.aclose()
    other, at_new = await worker_url(manager, group, "valkey-2", BOB)
    assert other.redis_database not in (sandbox.redis_database, None)
    assert await logs_in(at_new)
    await manager.destroy(ADA, sandbox.id)
    assert not await logs_in(there)


@pytest.mark.long
async def test_what_was_revoked_while_the_master_stood_still_is_dead_within_two_seconds_of_its_return(manager, group):
    sandbox, url = await worker_url(manager, group, "valkey-1")
    group.servers["valkey-1"].freeze()
    await group.until_master_is_not("valkey-1")
    await manager.destroy(ADA, sandbox.id)
    group.servers["valkey-1"].resume()

    async def is_dead():
        return not await logs_in(url)

    await until_true(is_dead, 2)


@pytest.mark.parametrize(
    ("option", "named"),
    [("--cluster-enabled yes", r"redis\.url: REDIS_URL leads to a cluster"), ("--sentinel", "leads to a Sentinel")],
)
async def test_a_cluster_and_a_sentinel_alone_are_refused_by_name(stores, dsn, tmp_path, option, named):
    async with valkey(tmp_path, *option.split()) as url:
        settings = store_settings(stores, dsn)
        settings["redis"] = {"url": url}
        with pytest.raises(SettingsError, match=named):
            await open_stores(Settings(**settings)).__aenter__()


async def test_nobody_is_let_in_by_a_replica_and_why_no_sentinel_names_a_master_is_told(group):
    client = await open_redis(group.url("valkey-2"))
    with pytest.raises(ServiceUnavailable) as caught:
        await RedisStore(client).run_id()
    assert caught.value.detail == "it is a replica; REDIS_URL has to lead to the master"
    await client.aclose()
    with pytest.raises(ServiceUnavailable) as caught:
        await open_redis(sentinel_url(group).replace(f"/{GROUP}/", "/others/"))
    assert "No such master with that name" in caught.value.detail
    await group.servers["sentinel-1"].kill()
    with pytest.raises(ServiceUnavailable) as caught:
        await open_redis(sentinel_url(group))
    assert caught.value.detail.startswith("no Sentinel names its master: ")
    assert group.password not in caught.value.detail
