"""The worker's Redis client: the sandbox's own keys and channels, under names without its prefix."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest
import redis.asyncio
from redis.exceptions import WatchError

from bot.stores.redis_acl import BY_PREFIX
from sandbox_worker import UnsupportedCommand
from sandbox_worker.prefixed_redis import PrefixedRedis
from sandbox_worker.redis_keys import SUPPORTED_COMMANDS, key_positions
from tests.service.workers import make_place

MARKED = "sandbox:x:"
WITHOUT_KEYS = set("discard echo exec multi ping unwatch".split())
CHANNELS = set("publish subscribe psubscribe unsubscribe punsubscribe".split())
OF_CONNECTIONS = {"auth", "select"}
EXAMPLES = {
    command.split()[0]: command.split()
    for command in (
        "xread count 2 block 5 streams a b 0 0",
        "xreadgroup group streams me noack streams a b > >",
        "zdiff 2 a b withscores",
        "zinter 2 a b",
        "zunion 2 a b weights 1 2",
        "zdiffstore d 2 a b",
        "zinterstore d 2 a b",
        "zunionstore d 2 a b aggregate max",
        "georadius a 1 2 3 m store b",
        "georadiusbymember store m 3 km STOREDIST b",
        "msetex 2 a 1 b 2 ex 60",
        "sintercard 2 a b limit 1",
        "zintercard 2 a b limit 1",
        "lmpop 2 a b left",
        "zmpop 2 a b min",
        "blmpop 0 2 a b left",
        "bzmpop 0 2 a b min",
        "xgroup create a g $",
        "xinfo stream a",
    )
}
"""Commands whose keys move with their other arguments, or which have commands of their own."""


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


@pytest.fixture
async def worker(place):
    async with place.worker() as sandbox:
        yield sandbox.redis


@pytest.fixture
async def keys(place, redis_client):
    """The sandbox's keys as they are."""

    async def read():
        prefix = place.sandbox.redis_prefix.encode()
        found = await redis_client.keys("*")
        assert all(key.startswith(prefix) for key in found)
        return sorted(key.removeprefix(prefix).decode() for key in found)

    return read


async def test_what_is_written_is_under_the_prefix_and_is_read_without_it(worker, keys):
    await worker.set("greeting", "hello", ex=60)
    await worker.mset({"a": 1, b"b": 2})
    assert await worker.get("greeting") == b"hello"
    assert await worker.mget("a", "b", "c") == [b"1", b"2", None]
    assert await worker.rename("a", "c")
    assert await keys() == ["b", "c", "greeting"]
    assert await worker.exists("b", "c", "greeting", "a") == 3
    assert await worker.delete("b", "c") == 2
    assert await worker.unlink("greeting") == 1
    assert await keys() == []


async def test_collections_work_with_all_of_their_keys(worker, keys):
    await worker.hset("h", mapping={"f": 1})
    await worker.sadd("s1", "x", "y")
    await worker.sadd("s2", "y")
    await worker.sinterstore("s3", ["s1", "s2"])
    await worker.zadd("z1", {"m": 1})
    await worker.zadd("z2", {"m": 2, "n": 5})
    await worker.zunionstore("z3", ["z1", "z2"], aggregate="MAX")
    await worker.rpush("l1", "one", "two")
    await worker.lmove("l1", "l2")
    await worker.pfadd("p1", "e")
    await worker.pfadd("p2", "e", "f")
    assert await worker.pfcount("p1", "p2") == 2
    await worker.setbit("b1", 1, 1)
    await worker.bitop("NOT", "b2", "b1")
    await worker.geoadd("g1", (13.4, 52.5, "berlin"))
    await worker.geosearchstore("g2", "g1", member="berlin", radius=1)
    await worker.georadius("g1", 13.4, 52.5, 10, store="g3")
    wanted = "b1 b2 g1 g2 g3 h l1 l2 p1 p2 s1 s2 s3 z1 z2 z3"
    assert await keys() == wanted.split()
    assert await worker.smembers("s3") == {b"y"}
    assert await worker.zunion(["z1", "z2"]) == [b"m", b"n"]
    assert await worker.zinter(["z1", "z2"]) == [b"m"]
    assert [field async for field in worker.hscan_iter("h")] == [(b"f", b"1")]


async def test_blocking_pops_wait_and_name_the_list_without_the_prefix(worker):
    waiting = asyncio.create_task(worker.blpop(["empty", "jobs"], timeout=5))
    await worker.rpush("jobs", "first", "second")
    assert await waiting == (b"jobs", b"first")
    assert await worker.brpop("jobs", timeout=1) == (b"jobs", b"second")
    assert await worker.blpop("jobs", timeout=0.01) is None
    await worker.zadd("scores", {"low": 1, "high": 9})
    assert await worker.bzpopmax("scores", timeout=1) == (b"scores", b"high", 9.0)
    assert await worker.bzpopmin(["none", "scores"], timeout=1) == (b"scores", b"low", 1.0)


async def test_streams_are_read_by_names_without_the_prefix(worker, keys):
    first = await worker.xadd("log", {"k": "v"})
    await worker.xadd("other", {"k": "w"})
    read = await worker.xread({"log": 0, "other": 0})
    assert [(stream, [fields for _, fields in entries]) for stream, entries in read] == [
        (b"log", [{b"k": b"v"}]),
        (b"other", [{b"k": b"w"}]),
    ]
    await worker.xgroup_create("log", "readers", id="0")
    ((stream, entries),) = await worker.xreadgroup("readers", "me", {"log": ">"})
    assert (stream, entries[0][0]) == (b"log", first)
    assert await worker.xack("log", "readers", first) == 1
    assert (await worker.xinfo_stream("log"))["length"] == 1
    assert await worker.xread({"log": "$"}, block=10) == []
    assert await keys() == ["log", "other"]


async def test_pipelines_and_transactions_are_prefixed_too(worker, keys):
    async with worker.pipeline(transaction=False) as pipe:
        pipe.set("a", 1).rpush("jobs", "x").blpop("jobs", timeout=1)
        assert await pipe.execute() == [True, 1, (b"jobs", b"x")]
    async with worker.pipeline() as pipe:
        pipe.incr("a").rpush("jobs", "y").blpop("jobs", timeout=1)
        assert await pipe.execute() == [2, 1, (b"jobs", b"y")]
    async with worker.pipeline() as pipe:
        await pipe.watch("a")
        await worker.set("a", 7)
        pipe.multi()
        pipe.set("a", 8)
        with pytest.raises(WatchError):
            await pipe.execute()
    assert await worker.get("a") == b"7"
    assert await keys() == ["a"]


async def test_channels_and_patterns_are_the_sandboxes_own(worker, place, redis_client):
    async with worker.pubsub() as pubsub:
        await pubsub.subscribe("news")
        await pubsub.psubscribe("*")
        confirmed = [await pubsub.get_message(timeout=5) for _ in range(2)]
        assert [(message["type"], message["channel"]) for message in confirmed] == [
            ("subscribe", b"news"),
            ("psubscribe", b"*"),
        ]
        assert await redis_client.pubsub_channels() == [f"{place.sandbox.redis_prefix}news".encode()]
        await worker.publish("news", "hi")
        await worker.publish("log", "detail")
        heard = [await pubsub.get_message(timeout=5) for _ in range(3)]
        assert [(message["channel"], message["pattern"], message["data"]) for message in heard] == [
            (b"news", None, b"hi"),
            (b"news", b"*", b"hi"),
            (b"log", b"*", b"detail"),
        ]
        await pubsub.ping()
        assert (await pubsub.get_message(timeout=5))["type"] == "pong"
        await pubsub.unsubscribe("news")
        assert (await pubsub.get_message(timeout=5))["channel"] == b"news"
        assert "news" not in pubsub.channels


async def test_handlers_of_channels_are_called_and_subscriptions_outlive_a_connection(worker, place, redis_client):
    heard: list[dict] = []
    async with worker.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(news=heard.append)
        await pubsub.get_message(timeout=5)
        await redis_client.execute_command("CLIENT", "KILL", "USER", f"sandbox-{place.sandbox.id}")
        async with asyncio.timeout(10):
            while not await worker.publish("news", "again"):
                await pubsub.get_message(timeout=0.05)
            while not heard:
                await pubsub.get_message(timeout=0.05)
    assert (heard[0]["channel"], heard[0]["data"]) == (b"news", b"again")


async def test_decoded_replies_lose_the_prefix_too(place):
    url = place.environment["SANDBOX_REDIS_URL"] + "?decode_responses=true"
    async with PrefixedRedis(url, place.sandbox.redis_prefix) as client:
        await client.rpush("jobs", "x")
        assert await client.blpop("jobs", timeout=1) == ("jobs", "x")
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("news")
            assert (await pubsub.get_message(timeout=5))["channel"] == "news"


@pytest.mark.parametrize(
    "command", ["KEYS *", "SCAN 0", "FLUSHALL", "EVAL return(1) 0", "DBSIZE", "SORT a", "NEWEST x"]
)
async def test_a_command_whose_keys_are_not_known_is_not_sent(worker, redis_client, command):
    await worker.ping()
    name, *arguments = command.split()
    before = (await redis_client.info("commandstats")).keys()
    with pytest.raises(UnsupportedCommand, match=f"{name} is not for sandboxes"):
        await worker.execute_command(name, *arguments)
    async with worker.pipeline() as pipe:
        pipe.set("a", 1).execute_command(name, *arguments)
        with pytest.raises(UnsupportedCommand):
            await pipe.execute()
    assert (await redis_client.info("commandstats")).keys() - before <= {"cmdstat_info"}
    assert await worker.get("a") is None


async def test_the_table_of_key_positions_is_the_servers(stores):
    async with redis.asyncio.from_url(stores.redis_url) as client:
        await _compare(client)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no other Redis is installed")
async def test_the_table_of_key_positions_is_that_of_an_installed_redis_too(tmp_path):
    async with _installed_redis(tmp_path) as client:
        await _compare(client)


async def _compare(client):
    """The table has what a sandbox may use on that server, and its keys where the server finds them."""
    client.response_callbacks.clear()
    infos = await client.execute_command("COMMAND", "INFO", *sorted(SUPPORTED_COMMANDS))
    there = {name: info[1] for name, info in zip(sorted(SUPPORTED_COMMANDS), infos, strict=True) if info}
    allowed = await _allowed(client)
    assert there.keys() - OF_CONNECTIONS == allowed
    for name in sorted(allowed - WITHOUT_KEYS - CHANNELS):
        count = there[name] if there[name] > 0 else 4 - there[name]  # negative: at least so many
        arguments = EXAMPLES.get(name) or [name, *(f"argument{n}" for n in range(1, count))]
        found = await client.execute_command("COMMAND", "GETKEYS", *arguments)
        assert sorted(arguments[position].encode() for position in key_positions(arguments)) == sorted(found), arguments


async def _allowed(client):
    """What the sandbox's rules come to on that server."""
    allowed: set[str] = set()
    for rule in BY_PREFIX:
        sign, what = rule[0], rule[1:]
        names = await client.execute_command("ACL", "CAT", what[1:]) if what.startswith("@") else [what.encode()]
        commands = {name.decode().partition("|")[0] for name in names if sign == "+" or b"|" not in name}
        allowed = allowed | commands if sign == "+" else allowed - commands
    return allowed


@asynccontextmanager
async def _installed_redis(folder):
    path = folder / "redis.sock"
    server = await asyncio.create_subprocess_exec(
        "redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.02)
        async with redis.asyncio.Redis(unix_socket_path=str(path)) as client:
            yield client
    finally:
        server.terminate()
        await server.wait()
