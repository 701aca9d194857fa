"""An independent battery: what an attacker tries with one sandbox's user of Valkey or Redis."""

from __future__ import annotations

import asyncio
import random

import pytest
import redis.asyncio
import redis.exceptions

from tests.breakout.conftest import BOB, until
from tests.breakout.raw import open_raw
from tests.breakout.sessions import until_async

REFUSED = [
    # another's keys, by every kind of command that names one
    "GET {b_key}string",
    "GETDEL {b_key}string",
    "GETEX {b_key}string PERSIST",
    "MGET {a_key}string {b_key}string",
    "SUBSTR {b_key}string 0 -1",
    "STRLEN {b_key}string",
    "LCS {a_key}string {b_key}string",
    "SET {b_key}string x",
    "SET {b_key}new x GET",
    "SETNX {b_key}new x",
    "MSET {a_key}new x {b_key}new x",
    "MSETNX {a_key}new x {b_key}new x",
    "APPEND {b_key}string x",
    "SETRANGE {b_key}string 0 x",
    "SETBIT {b_key}string 0 1",
    "BITOP NOT {b_key}new {a_key}string",
    "BITOP OR {a_key}new {b_key}string",
    "BITFIELD {b_key}string GET u8 0",
    "BITFIELD_RO {b_key}string GET u8 0",
    "INCR {b_key}counter",
    "DEL {b_key}string",
    "DEL {a_key}none {b_key}string",
    "UNLINK {b_key}string",
    "EXISTS {a_key}string {b_key}string",
    "TYPE {b_key}string",
    "TTL {b_key}string",
    "TOUCH {b_key}string",
    "EXPIRE {b_key}string 0",
    "PERSIST {b_key}string",
    "RENAME {b_key}string {a_key}stolen",
    "RENAME {a_key}string {b_key}string",
    "RENAMENX {a_key}string {b_key}planted",
    "COPY {b_key}string {a_key}stolen",
    "MOVE {a_key}string 1",
    "HGETALL {b_key}hash",
    "HRANDFIELD {b_key}hash",
    "HSCAN {b_key}hash 0",
    "HEXPIRE {b_key}hash 0 FIELDS 1 field",
    "LRANGE {b_key}list 0 -1",
    "LMOVE {b_key}list {a_key}stolen LEFT LEFT",
    "LMOVE {a_key}list {b_key}list LEFT LEFT",
    "RPOPLPUSH {b_key}list {a_key}stolen",
    "LMPOP 2 {a_key}none {b_key}list LEFT",
    "BLMPOP 0.01 2 {a_key}none {b_key}list LEFT",
    "BLPOP {a_key}none {b_key}list 0.01",
    "SINTER {a_key}set {b_key}set",
    "SINTERCARD 2 {a_key}set {b_key}set",
    "SUNIONSTORE {a_key}stolen {b_key}set",
    "SDIFFSTORE {b_key}set {a_key}set",
    "SMOVE {a_key}set {b_key}set secret",
    "SSCAN {b_key}set 0",
    "ZRANGE {b_key}zset 0 -1",
    "ZRANGESTORE {a_key}stolen {b_key}zset 0 -1",
    "ZUNION 2 {a_key}zset {b_key}zset",
    "ZUNIONSTORE {a_key}stolen 2 {a_key}zset {b_key}zset",
    "ZDIFFSTORE {b_key}zset 1 {a_key}zset",
    "ZMPOP 1 {b_key}zset MIN",
    "BZPOPMIN {b_key}zset 0.01",
    "GEORADIUS {a_key}geo 0 0 1 m STORE {b_key}geo",
    "GEOSEARCH {b_key}geo FROMLONLAT 13 52 BYRADIUS 999 km ASC",
    "GEOSEARCHSTORE {b_key}geo {a_key}geo FROMLONLAT 13 52 BYRADIUS 999 km ASC",
    "PFCOUNT {a_key}hll {b_key}hll",
    "PFADD {b_key}hll x",
    "PFDEBUG GETREG {a_key}hll",
    "PFSELFTEST",
    "XRANGE {b_key}stream - +",
    "XADD {b_key}stream * f v",
    "XREAD STREAMS {a_key}stream {b_key}stream 0 0",
    "XREADGROUP GROUP group me STREAMS {b_key}stream >",
    "XAUTOCLAIM {b_key}stream group me 0 0",
    "XGROUP DESTROY {b_key}stream group",
    "XINFO STREAM {b_key}stream",
    "WATCH {b_key}string",
    "SORT {a_key}list BY nosort GET {b_key}string",
    "SORT_RO {a_key}list GET {b_key}string",
    "OBJECT ENCODING {b_key}string",
    "OBJECT HELP",
    "DUMP {b_key}string",
    "DUMP {a_key}string",
    "RESTORE {a_key}new 0 x",
    "MIGRATE 127.0.0.1 1 {a_key}string 0 100",
    "MEMORY USAGE {b_key}string",
    # names that only look like one's own
    "GET sandbox:{a_id}",
    "GET {a_key_upper}string",
    "GET sandbox:*:string",
    "GET sandbox:?:string",
    "GET sandbox-bot:session:1:1:0",
    # names of others' keys, and the whole server
    "KEYS *",
    "SCAN 0",
    "SCAN 0 MATCH {a_key}*",
    "RANDOMKEY",
    "DBSIZE",
    "SELECT 1",
    "SWAPDB 0 1",
    "FLUSHDB",
    "FLUSHALL ASYNC",
    "INFO",
    "CONFIG GET requirepass",
    "CONFIG SET dir /tmp",
    "CONFIG REWRITE",
    "CONFIG RESETSTAT",
    "MONITOR",
    "SAVE",
    "BGSAVE",
    "BGREWRITEAOF",
    "LASTSAVE",
    "SHUTDOWN NOSAVE",
    "REPLICAOF 127.0.0.1 1",
    "PSYNC ? -1",
    "SYNC",
    "FAILOVER ABORT",
    "ROLE",
    "WAIT 0 1",
    "WAITAOF 0 0 1",
    "DEBUG SLEEP 0",
    "DEBUG OBJECT {a_key}string",
    "LATENCY RESET",
    "LATENCY HISTOGRAM",
    "SLOWLOG GET",
    "COMMANDLOG GET 1 slow",
    "MEMORY STATS",
    "MEMORY DOCTOR",
    "MODULE LIST",
    "MODULE LOAD /tmp/x.so",
    "TIME",
    "LOLWUT",
    "COMMAND",
    "COMMAND GETKEYS GET x",
    "CLUSTER INFO",
    "ASKING",
    "READONLY",
    # code
    "EVAL return#1 0",
    "EVAL_RO return#1 0",
    "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
    "SCRIPT LOAD return#1",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "FCALL f 0",
    "FUNCTION LIST",
    "FUNCTION FLUSH",
    "FUNCTION DUMP",
    # users and connections
    "ACL WHOAMI",
    "ACL LIST",
    "ACL GETUSER {b_user}",
    "ACL SETUSER {b_user} on",
    "ACL SETUSER default on nopass",
    "ACL DELUSER {b_user}",
    "ACL LOG",
    "ACL CAT",
    "ACL GENPASS",
    "ACL DRYRUN {b_user} GET x",
    "AUTH {b_user} x",
    "AUTH default x",
    "AUTH x",
    "HELLO 3 AUTH {b_user} x",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 1000",
    "CLIENT UNPAUSE",
    "CLIENT UNBLOCK 1",
    "CLIENT TRACKING ON BCAST",
    "CLIENT NO-EVICT ON",
    "CLIENT REPLY SKIP",
    "CLIENT SETNAME {b_user}",
    "CLIENT ID",
    "CLIENT CAPA redirect",
    # channels
    "PUBLISH {b_key}channel x",
    "PUBLISH __sentinel__:hello x",
    "SPUBLISH {a_key}channel x",
    "SSUBSCRIBE {b_key}channel",
    "SUBSCRIBE {b_key}channel",
    "SUBSCRIBE {a_key}channel {b_key}channel",
    "SUBSCRIBE __keyspace@0__:{b_key}string",
    "SUBSCRIBE __redis__:invalidate",
    "PSUBSCRIBE *",
    "PSUBSCRIBE sandbox:*",
    "PSUBSCRIBE {a_key_open}*",
    "PSUBSCRIBE __key*__:*",
    "PUBSUB CHANNELS",
    "PUBSUB NUMSUB {b_key}channel",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDCHANNELS",
]
"""A `#` stands for a blank inside an argument."""


@pytest.fixture
async def alone(world):
    """A connection of A's for one try: some leave it in another state."""
    client = redis.asyncio.from_url(world.a.urls["SANDBOX_REDIS_URL"], single_connection_client=True)
    yield client
    await client.aclose()


@pytest.mark.parametrize("command", REFUSED)
async def test_redis_refuses(world, alone, command):
    known = world.names
    known |= {"a_key_upper": known["a_key"].upper(), "a_key_open": known["a_key"].removesuffix(":")}
    arguments = [part.format(**known).replace("#", " ") for part in command.split()]
    with pytest.raises(redis.exceptions.RedisError) as refusal:
        await alone.execute_command(*arguments)
    expected = ("no permissions", "unknown", "wrongpass", "invalid username-password", "syntax error", "not allowed")
    assert any(words in str(refusal.value).lower() for words in expected), str(refusal.value)
    assert await world.b.redis.get(world.b.sandbox.redis_prefix + "string") == b"secret"


SENT = {
    "a command in a transaction": [b"MULTI", b"GET %(b)sstring", b"EXEC"],
    "a command behind a wrong one": [b"WATCH %(a)sx", b"MULTI", b"SET %(b)sstring x", b"EXEC"],
    "the third protocol": [b"HELLO 3", b"GET %(b)sstring"],
    "a name like another's": [b"HELLO 3 SETNAME %(user)s", b"GET %(b)sstring"],
    "the login of another, failing": [b"AUTH %(user)s x", b"GET %(b)sstring"],
    "a key with a NUL": [b'GET "%(a)s\\x00"', b'GET "%(b)sstring\\x00"'],
    "a key that begins with its own": [b"GET %(b)sstring%(a)s"],
    "a key in capitals": [b"get %(b)sSTRING", b"GeT %(b)sstring"],
    "a connection that is reset": [b"RESET", b"GET %(b)sstring"],
    "a subscriber that goes on": [b"SUBSCRIBE %(a)sc", b"SUBSCRIBE %(b)sc", b"GET %(b)sstring"],
}


@pytest.mark.parametrize("name", SENT)
async def test_by_hand_redis_shows_no_secret_to(world, name):
    connection = await open_raw(world.a.urls["SANDBOX_REDIS_URL"])
    user = f"sandbox-{world.a.sandbox.id}"
    assert await connection.authenticate(user, world.a.token)
    known = {
        b"a": world.a.sandbox.redis_prefix,
        b"b": world.b.sandbox.redis_prefix,
        b"user": f"sandbox-{world.b.sandbox.id}",
    }
    lines = [line % {key: value.encode() for key, value in known.items()} for line in SENT[name]]
    connection.writer.write(b"\r\n".join([*lines, b"PING last", b""]))
    async with asyncio.timeout(5):
        answer = b""
        while b"last" not in answer and b"NOAUTH" not in answer:
            answer += await connection.reader.read(4096)
    assert b"secret" not in answer
    assert b"NOPERM" in answer or b"NOAUTH" in answer or b"$-1" in answer or b"_\r\n" in answer
    assert await world.b.redis.get(world.b.sandbox.redis_prefix + "string") == b"secret"
    await connection.close()


async def test_bytes_at_random_break_nobodys_connection(world):
    random_bytes = random.Random(11)
    for _ in range(20):
        connection = await open_raw(world.a.urls["SANDBOX_REDIS_URL"])
        assert await connection.authenticate(f"sandbox-{world.a.sandbox.id}", world.a.token)
        connection.writer.write(b"*" + random_bytes.randbytes(500) + b"\r\n")
        await connection.writer.drain()
        await connection.close()
    assert await world.b.redis.ping()


REMAINS = {
    "a key that expires later": ["SET", "{key}x", "y", "EX", "100000"],
    "a hash": ["HSET", "{key}h", "f", "v"],
    "a stream with a group": ["XGROUP", "CREATE", "{key}s", "g", "$", "MKSTREAM"],
    "a list": ["RPUSH", "{key}l", "1"],
    "a key of a kilobyte": ["SET", "{key}" + "x" * 1000, "y"],
    "a key with stars": ["SET", "{key}*?[a-z]\\", "y"],
    "a key with a blank": ["SET", "{key} \r\n", "y"],
    "an empty name": ["SET", "{key}", "y"],
    "a large value": ["SETRANGE", "{key}big", "1000000", "x"],
}


async def test_nothing_of_a_destroyed_sandbox_stays_in_redis(world):
    worker = await world.add(BOB)
    prefix, owner = worker.sandbox.redis_prefix, redis.asyncio.from_url(world.servers.redis_url)
    for command in REMAINS.values():
        await worker.redis.execute_command(*(part.format(key=prefix) for part in command))
    await world.manager.destroy(BOB, worker.sandbox.id)
    assert [key async for key in owner.scan_iter(match=prefix + "*")] == []
    assert f"sandbox-{worker.sandbox.id}" not in str(await owner.acl_users())
    with pytest.raises((redis.exceptions.ConnectionError, redis.exceptions.AuthenticationError)):
        await worker.redis.set(prefix + "again", "x")
    await owner.aclose()
    await worker.close()


async def test_a_worker_that_writes_all_the_time_is_reset_all_the_same(world):
    worker = await world.add(BOB)
    prefix = worker.sandbox.redis_prefix

    async def write():
        number = 0
        while True:
            number += 1
            await worker.redis.mset({f"{prefix}{number}-{part}": "x" for part in range(50)})

    writing = asyncio.create_task(write())
    async with asyncio.timeout(10):
        await world.manager.reset(BOB, worker.sandbox.id)
        writing.cancel()
        await world.manager.destroy(BOB, worker.sandbox.id)
    owner = redis.asyncio.from_url(world.servers.redis_url)
    assert [key async for key in owner.scan_iter(match=prefix + "*")] == []
    await owner.aclose()
    await worker.close()


async def test_commands_that_wait_end_with_their_sandbox(world):
    worker = await world.add(BOB)
    waiting = [
        asyncio.create_task(worker.redis.execute_command(*command))
        for command in (
            ("BLPOP", worker.sandbox.redis_prefix + "none", 0),
            ("BZPOPMIN", worker.sandbox.redis_prefix + "none", 0),
            ("XREAD", "BLOCK", 0, "STREAMS", worker.sandbox.redis_prefix + "none", "$"),
            ("BLMOVE", worker.sandbox.redis_prefix + "none", worker.sandbox.redis_prefix + "n", "LEFT", "LEFT", 0),
        )
    ]
    owner = redis.asyncio.from_url(world.servers.redis_url)

    async def are_blocked():
        return (await owner.info("clients"))["blocked_clients"] >= len(waiting)

    await until_async(are_blocked)
    await world.manager.destroy(BOB, worker.sandbox.id)
    await until(lambda: all(task.done() for task in waiting))
    assert all(isinstance(task.exception(), redis.exceptions.RedisError) for task in waiting)
    await owner.aclose()
    await worker.close()
