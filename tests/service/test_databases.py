"""Where Valkey checks databases in its ACL, each sandbox has one of its own, from those that are the bot's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from bot import names
from bot.control_plane import open_control_plane
from bot.sandboxes.lifecycle.orphans import OrphanCollector, OrphanKind, Proof
from bot.settings import Sandboxes, Settings
from bot.stores.opening import open_stores
from bot.stores.redis import RedisStore
from sandbox_worker.prefixed_redis import PrefixedRedis
from tests.conftest import store_settings
from tests.service.conftest import ADA

NUMBERS = range(100, 104)


@pytest.fixture
def open_bot(stores, dsn, nats_client, redis_client):
    """A bot on the test's stores, with its own open ones; another one is another process's."""

    @asynccontextmanager
    async def open_(numbers: range | None = NUMBERS, scripts=True):
        redis_settings = {"databases": numbers, "scripts": scripts}
        settings = Settings(**store_settings(stores, dsn, **redis_settings), sandboxes=Sandboxes(max_per_owner=50))
        async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
            yield manager

    return open_


@pytest.fixture
async def bot(open_bot):
    async with open_bot() as manager:
        yield manager


@pytest.fixture
async def fill(stores):
    """Puts a key into a database, as the server's owner may."""

    async def fill(number):
        async with redis.asyncio.from_url(f"{stores.redis_url}/{number}") as client:
            await client.set("of-somebody", 1)

    return fill


@pytest.fixture
async def connect():
    """Clients of a sandbox's credentials, which are closed at the end."""
    clients = []

    async def connect(manager, sandbox, *, rotate=False, kind=redis.asyncio.from_url, arguments=()):
        details = await manager.issue_credentials(ADA, sandbox.id, rotate=rotate)
        clients.append(kind(details.environment["SANDBOX_REDIS_URL"], *arguments))
        return clients[-1]

    yield connect
    for client in clients:
        await client.aclose()


async def keys_of(stores, number):
    async with redis.asyncio.from_url(f"{stores.redis_url}/{number}") as client:
        return await client.keys()


async def test_each_has_its_own_and_the_address_ends_in_it(bot, connect, stores):
    first, second = await bot.create(ADA), await bot.create(ADA)
    assert first.redis_database != second.redis_database
    assert {first.redis_database, second.redis_database} < set(NUMBERS)
    mine, theirs = await connect(bot, first), await connect(bot, second)
    await mine.set("key", "mine")
    await theirs.set("key", "theirs")
    assert await mine.get("key") == b"mine"
    assert await mine.keys() == [b"key"]
    assert await mine.eval("return redis.call('GET', 'key')", 0) == b"mine"
    assert await keys_of(stores, first.redis_database) == [b"key"]
    assert await keys_of(stores, 0) == [names.REDIS_DATABASES_KEY.encode()]
    with pytest.raises(NoPermissionError):
        await mine.execute_command("SELECT", second.redis_database)


async def test_the_kit_is_in_it_and_adds_the_prefix(bot, connect, stores):
    sandbox = await bot.create(ADA)
    kit = await connect(bot, sandbox, kind=PrefixedRedis, arguments=(sandbox.redis_prefix,))
    await kit.set("key", 1)
    assert await kit.get("key") == b"1"
    assert await keys_of(stores, sandbox.redis_database) == [f"{sandbox.redis_prefix}key".encode()]


async def test_status_counts_the_keys_and_names_the_database(bot, connect):
    sandbox = await bot.create(ADA)
    client = await connect(bot, sandbox)
    await client.mset({"a": 1, "b": 2})
    store = (await bot.get_health(sandbox.id)).redis
    assert store.figures == {"keys": 2, "database": sandbox.redis_database}
    assert store.summary == f"2 keys, in database {sandbox.redis_database}"


async def test_a_destroyed_ones_is_emptied_and_given_to_another(open_bot, connect, stores):
    async with open_bot(range(100, 101)) as bot:
        sandbox = await bot.create(ADA)
        client = await connect(bot, sandbox)
        await client.set("key", 1)
        await bot.destroy(ADA, sandbox.id)
        with pytest.raises((AuthenticationError, ConnectionError, redis.asyncio.ConnectionError)):
            await client.get("key")
        assert await keys_of(stores, 100) == []
        assert (await bot.create(ADA)).redis_database == 100


async def test_a_reset_empties_it_and_leaves_it_to_the_sandbox(bot, connect, stores):
    sandbox, other = await bot.create(ADA), await bot.create(ADA)
    client, beside = await connect(bot, sandbox), await connect(bot, other)
    await client.set("key", 1)
    await beside.set("key", 1)
    await bot.reset(ADA, sandbox.id)
    assert await client.keys() == []
    assert await beside.keys() == [b"key"]
    await client.set("again", 1)
    assert (await bot.get_by_id(sandbox.id)).redis_database == sandbox.redis_database


async def test_what_is_not_ours_is_skipped_named_and_never_flushed(open_bot, fill, stores, told):
    for number in (100, 101, 103):
        await fill(number)
    async with open_bot() as bot:
        sandbox = await bot.create(ADA)
        assert sandbox.redis_database == 102
        shared = await bot.create(ADA)
        assert shared.redis_database is None
        assert [len(await keys_of(stores, number)) for number in (100, 101, 103)] == [1, 1, 1]
        skipped = {extra["database"] for _, message, extra in told if "is skipped" in message}
        assert skipped == {100, 101, 103}
        assert await bot.access.databases.describe() == (4, 1, {100: 1, 101: 1, 103: 1})
        await bot.destroy(ADA, sandbox.id)
        await bot.destroy(ADA, shared.id)
    assert [len(await keys_of(stores, number)) for number in (100, 101, 103)] == [1, 1, 1]


async def test_where_none_is_free_a_sandbox_has_its_prefix_and_keeps_it(open_bot, connect, stores):
    async with open_bot(range(100, 101)) as bot:
        first, shared = await bot.create(ADA), await bot.create(ADA)
        assert (first.redis_database, shared.redis_database) == (100, None)
        client = await connect(bot, shared)
        await client.set(shared.redis_prefix + "key", 1)
        with pytest.raises(NoPermissionError):
            await client.keys()
        await bot.destroy(ADA, first.id)
        client = await connect(bot, shared, rotate=True)
        assert await client.get(shared.redis_prefix + "key") == b"1"
        health = await bot.get_health(shared.id)
        assert health.redis.summary == "1 key, by their prefix: when it was made there was no database of its own"
        await bot.destroy(ADA, shared.id)
        assert await keys_of(stores, 0) == []


async def test_one_of_the_version_before_keeps_its_prefix(open_bot, connect):
    async with open_bot(None, False) as before:
        sandbox = await before.create(ADA)
        old = await connect(before, sandbox)
        await old.set(sandbox.redis_prefix + "key", 1)
    async with open_bot() as bot:
        await bot.access.reconcile(timedelta(hours=1))
        assert await old.get(sandbox.redis_prefix + "key") == b"1"
        client = await connect(bot, sandbox, rotate=True)
        assert await client.get(sandbox.redis_prefix + "key") == b"1"
        assert (await bot.get_by_id(sandbox.id)).redis_database is None


async def test_a_rotation_ends_the_old_token_and_keeps_the_keys(bot, connect):
    sandbox = await bot.create(ADA)
    old = await connect(bot, sandbox)
    await old.set("key", 1)
    new = await connect(bot, sandbox, rotate=True)
    assert await new.get("key") == b"1"
    with pytest.raises((AuthenticationError, redis.asyncio.ConnectionError)):
        await old.get("key")


async def test_two_bots_never_give_the_same_one(open_bot):
    async with open_bot() as one, open_bot() as other:
        made = [await bot.create(ADA) for bot in (one, other, one, other, one)]
    numbers = [sandbox.redis_database for sandbox in made]
    assert sorted(filter(None, numbers)) == list(NUMBERS)
    assert numbers.count(None) == 1


async def test_another_installations_is_not_taken(open_bot, redis_client, pool):
    """On the same server and with the same numbers, which is a mistake."""
    stranger = uuid4()
    assert await RedisStore(redis_client).claim_database(100, stranger)
    async with open_bot(range(100, 101)) as bot:
        collector = OrphanCollector(pool, bot.schemas, RedisStore(redis_client), bot.streams, timedelta(0))
        assert (await bot.create(ADA)).redis_database is None
        (orphan,) = [found for found in await collector.find() if found.kind is OrphanKind.DATABASE]
        assert (orphan.proof, orphan.sandbox_id) == (Proof.NONE, stranger)
        assert await collector.drop(force=True) == []


async def test_nobody_is_let_into_one_that_has_become_somebody_elses(bot, connect, fill, redis_client, stores, told):
    """The registry and the keys are gone, as after a start without them, and somebody has written since."""
    sandbox = await bot.create(ADA)
    client = await connect(bot, sandbox)
    await redis_client.flushall()
    await fill(sandbox.redis_database)
    await bot.access.grant(sandbox.id, await bot.access.logins.look_up(sandbox.id))
    with pytest.raises((AuthenticationError, redis.asyncio.ConnectionError)):
        await client.get("of-somebody")
    assert any("not let into its database" in message for _, message, _ in told)
    await bot.destroy(ADA, sandbox.id)
    assert await keys_of(stores, sandbox.redis_database) == [b"of-somebody"]


async def test_after_a_start_without_keys_it_is_registered_anew(bot, connect, redis_client):
    sandbox = await bot.create(ADA)
    client = await connect(bot, sandbox)
    await redis_client.flushall()
    await redis_client.acl_deluser(names.redis_user(sandbox.id))
    bot.access._redis_run_id = None
    await bot.access.reconcile(timedelta(hours=1))
    await client.set("key", 1)
    assert await RedisStore(redis_client).list_databases() == (
        {sandbox.redis_database: sandbox.id},
        {0: 1, sandbox.redis_database: 1},
    )


async def test_numbers_that_the_server_has_not_are_named(open_bot):
    async with open_bot(range(100, 20_000)) as bot:
        assert bot.access.databases.hindrance == "the server has no database 19999 (its setting “databases”)"
        assert (await bot.create(ADA)).redis_database is None


async def test_a_check_without_trials_does_not_try(redis_client):
    store = RedisStore(redis_client, databases=NUMBERS)
    assert await store.find_databases(trial=False) == (range(0), "not known without a trial")


async def test_no_scripts_unless_they_are_wanted(open_bot, connect):
    async with open_bot(scripts=False) as bot:
        client = await connect(bot, await bot.create(ADA))
        await client.set("key", 1)
        with pytest.raises(NoPermissionError):
            await client.eval("return 1", 0)


async def test_a_value_has_its_limit(bot, connect):
    client = await connect(bot, await bot.create(ADA))
    with pytest.raises(ResponseError, match="exceeds maximum allowed size"):
        await client.setrange("key", 64 * 1024 * 1024, "x")


async def test_a_full_server_still_lets_sandboxes_end(bot, connect, redis_client):
    sandbox = await bot.create(ADA)
    client = await connect(bot, sandbox)
    await client.set("key", "x" * 1_000_000)
    before = (await redis_client.config_get("maxmemory"))["maxmemory"]
    assert int(before) == 2 * 1024**3
    await redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError, match="used memory"):
            await client.set("another", 1)
        await bot.reset(ADA, sandbox.id)
        await bot.destroy(ADA, sandbox.id)
    finally:
        await redis_client.config_set("maxmemory", before)
    assert await RedisStore(redis_client).list_databases() == ({}, {})
