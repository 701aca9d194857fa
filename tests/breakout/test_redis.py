"""A's worker against Redis."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from bot import names
from bot.sandboxes.access.tokens import hash_token, new_credentials
from bot.stores.redis import RedisStore
from tests.breakout.conftest import try_all
from tests.breakout.redis_tries import SEQUENCES, TRIES

REFUSALS = (
    *("NOPERM", "no permissions", "WRONGPASS", "NOAUTH", "invalid username", "not allowed"),
    *("unknown command", "unknown subcommand"),
)
"""What Redis 6.2 and 7 and Valkey 9 say. What a server does not know it cannot do either."""


@pytest.fixture
def words(world):
    b = names.redis_prefix(world.b.sandbox.id)
    a = names.redis_prefix(world.a.sandbox.id)
    return {
        "a": a,
        "b": b,
        "a_user": names.redis_user(world.a.sandbox.id),
        "b_user": names.redis_user(world.b.sandbox.id),
        "a_token": world.a.token,
        "b_hash": hash_token(world.b.token),
        "b_upper": b.upper(),
        "a_wide": a[:-5],
        "a_cut": a[:-1],
    }


@pytest.fixture
async def settle(world):
    """Whatever was tried: no key and no user has changed."""
    before = await look(world)

    async def check():
        nonlocal before
        found, was = await look(world), before
        before = found
        assert found == was

    yield check
    assert await world.b.redis.ping()


async def look(world):
    """Every key with its value, and the users."""
    client = world.stores.redis
    keys = sorted(await client.keys())
    async with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.dump(key)
        pipe.acl_list()
        return keys, await pipe.execute()


class Session:
    """One connection of A's, for commands as they stand."""

    def __init__(self, client):
        self.client = client

    async def say(self, *command):
        await self.client.send_command(*command)
        return await self.client.read_response()

    async def say_all(self, commands):
        """One after the other, sent together; an answer may be an error."""
        await self.client.send_packed_command(self.client.pack_commands(commands))
        for _ in commands:
            with suppress(ResponseError):
                await self.client.read_response()


@asynccontextmanager
async def open_session(world):
    pool = redis.asyncio.ConnectionPool.from_url(world.a.urls["SANDBOX_REDIS_URL"], protocol=2, socket_timeout=5)
    connection = await pool.get_connection()
    yield Session(connection)
    await connection.disconnect()
    await pool.aclose()


def refused(error):
    return isinstance(error, NoPermissionError | AuthenticationError) or any(text in str(error) for text in REFUSALS)


async def test_redis_refuses_every_try(world, words, settle):
    async def attempt(command):
        async with open_session(world) as session:
            said = ["" if word == "_" else word.format(**words) for word in command]
            with pytest.raises(RedisError) as error:
                await session.say(*said)
        assert refused(error.value), error.value
        await settle()

    await try_all(TRIES, attempt)


async def test_redis_refuses_at_the_end_of_every_sequence(world, words, settle):
    async def attempt(commands):
        outcomes = []
        async with open_session(world) as session:
            for command in commands:
                try:
                    outcomes.append(await session.say(*(word.format(**words) for word in command)))
                except RedisError as error:
                    outcomes.append(error)
        last = outcomes[-2] if commands[-1] == ["EXEC"] else outcomes[-1]
        assert isinstance(last, ResponseError | AuthenticationError), outcomes
        if commands[-1] == ["EXEC"]:
            assert "EXECABORT" in repr(outcomes[-1]) or "Transaction discarded" in str(outcomes[-1])
        await settle()

    await try_all(SEQUENCES, attempt)


@pytest.fixture
def key(world):
    return lambda name: world.a.sandbox.redis_prefix + "own:" + name


async def test_the_ordinary_methods_of_redis_py_work(world, key):
    client = world.a.redis
    await client.set(key("s"), 1, ex=60)
    await client.incr(key("s"))
    await client.mset({key("m1"): 1, key("m2"): 2})
    assert await client.mget(key("m1"), key("m2")) == [b"1", b"2"]
    await client.hset(key("h"), mapping={"a": 1})
    assert [field async for field in client.hscan_iter(key("h"))] == [(b"a", b"1")]
    await client.rpush(key("l"), 1, 2)
    await client.lmove(key("l"), key("l2"))
    await client.sadd(key("set"), 1, 2)
    assert len([member async for member in client.sscan_iter(key("set"))]) == 2
    await client.sinterstore(key("set2"), key("set"), key("set"))
    await client.zadd(key("z"), {"a": 1})
    await client.zrange(key("z"), 0, -1, withscores=True)
    await client.geoadd(key("g"), (1, 1, "x"))
    await client.geosearch(key("g"), member="x", radius=1, unit="km")
    await client.pfadd(key("p"), 1)
    assert await client.pfcount(key("p")) == 1
    await client.setbit(key("b"), 1, 1)
    await client.bitop("NOT", key("b2"), key("b"))
    await client.expire(key("s"), 30)
    assert 0 < await client.ttl(key("s")) <= 30
    await client.persist(key("s"))
    await client.rename(key("s"), key("s2"))
    assert await client.exists(key("s2"))
    assert await client.type(key("s2")) == b"string"
    await client.unlink(key("s2"))
    await client.delete(key("h"), key("l"), key("l2"))
    assert await client.ping()
    assert await client.echo("x") == b"x"


async def test_transactions_and_pipelines_work(world, key):
    async with world.a.redis.pipeline(transaction=True) as pipe:
        await pipe.watch(key("t"))
        pipe.multi()
        pipe.set(key("t"), 1)
        pipe.get(key("t"))
        assert await pipe.execute() == [True, b"1"]
    async with world.a.redis.pipeline(transaction=False) as pipe:
        pipe.set(key("t"), 2)
        pipe.delete(key("t"))
        assert await pipe.execute() == [True, 1]


async def test_streams_with_groups_work(world, key):
    client, stream = world.a.redis, key("x")
    await client.xgroup_create(stream, "g", mkstream=True)
    await client.xadd(stream, {"f": "v"}, maxlen=10)
    [[_, [(message_id, fields)]]] = await client.xreadgroup("g", "c", {stream: ">"}, block=1000)
    assert fields == {b"f": b"v"}
    await client.xautoclaim(stream, "g", "d", 0)
    assert await client.xack(stream, "g", message_id) == 1
    assert (await client.xinfo_stream(stream))["length"] == 1


@pytest.mark.parametrize("protocol", [2, 3])
async def test_publishing_and_blocking_work_over_both_protocols(world, key, protocol):
    client = redis.asyncio.from_url(world.a.urls["SANDBOX_REDIS_URL"], protocol=protocol, health_check_interval=1)
    async with client.pubsub() as channel:
        await channel.subscribe(key("c"))
        await channel.psubscribe(world.a.sandbox.redis_prefix + "*")  # no other pattern
        assert (await channel.get_message(timeout=2))["type"] == "subscribe"
        assert (await channel.get_message(timeout=2))["type"] == "psubscribe"
        await client.publish(key("c"), "x")
        assert (await channel.get_message(timeout=2))["data"] == b"x"
    popping: asyncio.Task[Any] = asyncio.create_task(client.blpop([key("q")], timeout=2))
    await world.a.redis.rpush(key("q"), "item")
    assert list(await popping) == [key("q").encode(), b"item"]
    await client.aclose()


async def test_a_database_other_than_the_first_works_and_no_third(servers):
    sandbox_id, credentials = uuid4(), new_credentials()
    url = f"redis://{names.redis_user(sandbox_id)}:{credentials.token}@{servers.redis_url.rpartition('@')[2]}"
    bot = redis.asyncio.from_url(servers.redis_url + "/3")
    await RedisStore(bot).set_user(sandbox_id, credentials.token_sha256)
    worker, stray = redis.asyncio.from_url(url + "/3"), redis.asyncio.from_url(url + "/2")
    await worker.set(names.redis_prefix(sandbox_id) + "x", 1)
    assert await RedisStore(bot).delete_keys(sandbox_id) == 1
    with pytest.raises(ResponseError):
        await stray.ping()
    await RedisStore(bot).delete_user(sandbox_id)
    for client in (worker, stray, bot):
        await client.aclose()


KINDS = ("string", "hll", "planted")
"""Of the foreign key: two that are there, and one that is not."""
OF_THE_CONNECTION = {"multi", "exec", "discard", "watch", "quit", "reset", "monitor", "hello", "auth", "psync", "sync"}
"""They would change what the commands after them mean; they, and what subscribes, are tried by name above."""


def arguments_with(key, own):
    """Everything of up to three parts that names the key, for an ACL may look for keys where the command doesn't."""
    for length in (1, 2, 3):
        for parts in itertools.product((key, own, "1"), repeat=length):
            if key in parts:
                yield parts


async def look_at_others(world):
    """Every key but A's, with its value."""
    own = world.a.sandbox.redis_prefix.encode()
    keys = [key for key in sorted(await world.stores.redis.keys()) if not key.startswith(own)]
    return keys, [await world.stores.redis.dump(key) for key in keys]


async def test_no_command_takes_a_foreign_key_however_it_is_called(world, words):
    """Each with too few and too many arguments. PFMERGE without sources checked no key at all."""
    commands = {name for name in await world.stores.redis.command() if "subscribe" not in name} - OF_THE_CONNECTION
    before = await look_at_others(world)
    async with world.a.redis.pipeline(transaction=False) as pipe:
        for name, kind in itertools.product(sorted(commands), KINDS):
            for parts in arguments_with(words["b"] + kind, words["a"] + kind):
                pipe.execute_command(name, *parts)
        answers = await pipe.execute(raise_on_error=False)
    assert len(answers) > 10_000
    assert await look_at_others(world) == before
    assert await world.b.redis.ping()


@pytest.mark.parametrize(
    "command", ["GEORADIUS {a}geo 13 52 9 km", "GEORADIUSBYMEMBER {a}geo secret 9 km"], ids=["centre", "member"]
)
@pytest.mark.parametrize("options", ["STORE {a}x STORE {b}planted", "STORE {b}planted STORE {a}x"], ids=["2nd", "1st"])
async def test_a_result_is_stored_in_no_foreign_key(world, words, settle, command, options):
    with suppress(ResponseError):
        await world.a.redis.execute_command(*f"{command} {options}".format(**words).split())
    await world.a.redis.delete(words["a"] + "x")
    await settle()


async def test_what_is_refused_fills_no_memory(world, words):
    """Redis keeps the names of refused keys, 128 of them, of up to half a gigabyte each."""
    before = (await world.stores.redis.info("memory"))["used_memory"]
    for number in range(20):
        with pytest.raises(NoPermissionError):
            await world.a.redis.get(f"{words['b']}{number}" + "x" * 1_000_000)
        with pytest.raises(NoPermissionError):
            await world.a.redis.publish(f"{words['b']}{number}" + "x" * 1_000_000, "")
    assert await world.stores.redis.acl_log() == []
    assert (await world.stores.redis.info("memory"))["used_memory"] < before + 10_000_000
