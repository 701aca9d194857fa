"""A's worker against others in Valkey, where each sandbox has a database of its own and nearly every command."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from bot import names
from bot.sandboxes.access.tokens import hash_token
from bot.stores import redis_acl
from tests.breakout.conftest import open_world, try_all
from tests.breakout.database_tries import SCRIPTS, SEQUENCES, TRIES
from tests.breakout.test_redis import OF_THE_CONNECTION, open_session, refused

NUMBERS = range(100, 102)  # for A and B, and for nobody else
REVIEWED = Path(__file__).with_name("valkey_commands.txt")


@pytest.fixture(scope="module")
async def world(stores):
    async with open_world(stores, databases=NUMBERS, scripts=True) as world:
        for worker in (world.a, world.b):
            await worker.redis.set("string", "secret")
            await worker.redis.set("mine", worker.sandbox.name)
            await worker.redis.rpush("list", "secret")
        yield world


@pytest.fixture
def words(world):
    a, b = world.a.sandbox, world.b.sandbox
    return {
        "n": a.redis_database,
        "m": b.redis_database,
        "a": a.redis_prefix,
        "b": b.redis_prefix,
        "a_user": names.redis_user(a.id),
        "b_user": names.redis_user(b.id),
        "b_hash": hash_token(world.b.token),
    }


async def look(world, *, but=None):
    """Every key of every database with its value, `but` for one, and the users."""
    client, found = world.stores.redis, {}
    for number in sorted((await client.info("keyspace")).keys()):
        if number == f"db{but}":
            continue
        async with redis.asyncio.from_url(f"{world.servers.redis_url}/{number.removeprefix('db')}") as reader:
            keys = sorted(await reader.keys())
            found[number] = {key: await reader.dump(key) for key in keys}
    return found, await client.acl_list()


def said(command, words):
    return ["" if word == "_" else word.format(**words) for word in command]


async def test_valkey_refuses_every_try(world, words):
    before = await look(world)

    async def attempt(command):
        async with open_session(world) as session:
            with pytest.raises(RedisError) as error:
                await session.say(*said(command, words))
        assert refused(error.value) or "permission" in str(error.value), error.value

    await try_all(TRIES, attempt)
    assert await look(world) == before
    assert await world.b.redis.ping()


async def test_valkey_refuses_at_the_end_of_every_sequence(world, words):
    before = await look(world)

    async def attempt(commands):
        outcomes = []
        async with open_session(world) as session:
            for command in commands:
                try:
                    outcomes.append(await session.say(*said(command, words)))
                except RedisError as error:
                    outcomes.append(error)
        assert isinstance(outcomes[-1], ResponseError | AuthenticationError), outcomes

    await try_all(SEQUENCES, attempt)
    assert await look(world) == before


async def test_no_script_gets_out(world, words):
    before = await look(world)

    async def attempt(script):
        with pytest.raises(ResponseError):
            await world.a.redis.eval(script.format(**words), 0)

    await try_all(SCRIPTS, attempt)
    assert await look(world) == before
    assert await world.b.redis.eval("return {tostring(rawget(_G, 'planted')), ('x'):rep(2)}", 0) == [b"nil", b"xx"]


async def test_what_a_script_sets_for_itself_ends_with_it(world):
    await world.a.redis.eval("redis.setresp(3) redis.replicate_commands() math.randomseed(1) return 1", 0)
    await world.b.redis.hset("hash", "field", "1")
    script = "local reply = redis.call('HGETALL', 'hash') return reply.map and 'map' or 'array'"
    assert await world.b.redis.eval(script, 0) == b"array"
    await world.b.redis.delete("hash")


async def test_a_script_of_bs_is_found_by_nobody_who_does_not_know_it(world):
    digest = await world.b.redis.script_load("return redis.call('GET', 'string') .. ' of whoever runs it'")
    await world.a.redis.set("string", "my own")
    assert await world.a.redis.evalsha(digest, 0) == b"my own of whoever runs it"
    await world.a.redis.set("string", "secret")


async def test_every_command_has_been_looked_at(world):
    """A new version of Valkey brings new ones."""
    given, denied = (set(part.split()) for part in REVIEWED.read_text().partition("[given]")[2].split("[refused]"))
    client = redis.asyncio.from_url(world.servers.redis_url, protocol=2)
    client.set_response_callback("COMMAND", lambda reply, **_: reply)
    listed = [name.decode() for name in await client.execute_command("COMMAND", "LIST")]
    whole = [name for name in listed if not any(other.startswith(name + "|") for other in listed)]
    assert set(whole) == given | denied, "look at what is new"
    facts = await client.execute_command("COMMAND", "INFO", *whole)
    rules = [rule for rule in redis_acl.of_a_database(0, "own:") if not rule.startswith("db=")] + redis_acl.SCRIPTS
    await client.execute_command("ACL", "SETUSER", "reviewed", "reset", *rules)
    may = set()
    for name, fact in zip(whole, facts, strict=True):
        parts = name.split("|")
        answer = await client.execute_command("ACL", "DRYRUN", "reviewed", *parts, *["1"] * (abs(fact[1]) - len(parts)))
        if b"permissions to run" not in answer:
            may.add(name)
    await client.acl_deluser("reviewed")
    await client.aclose()
    assert may == given
    assert not given & denied


async def test_no_command_changes_what_is_anothers_however_it_is_called(world, words):
    """Each with too few and too many arguments, in which B's database and keys are named."""
    commands = await world.stores.redis.command()
    tried = {name for name in commands if "subscribe" not in name} - OF_THE_CONNECTION
    tried -= {"wait", "waitaof"}  # which only wait
    before = await look(world, but=words["n"])
    parts = ("string", "mine", str(words["m"]), "DB", "1")
    forms = [form for count in range(3) for form in itertools.product(parts, repeat=count)]
    async with open_session(world) as session:
        for name in sorted(tried):
            lines = [(name, *form) for form in forms]
            if "blocking" in commands[name]["flags"]:  # in a transaction it doesn't wait
                lines = [each for line in lines for each in (("MULTI",), line, ("EXEC",))]
            with suppress(RedisError):
                await session.say_all(lines)
            if not session.client.is_connected:
                await session.client.connect()
    assert await look(world, but=words["n"]) == before
    assert await world.b.redis.get("string") == b"secret"
    for key in ("string", "mine"):
        await world.a.redis.set(key, "secret")


async def test_info_holds_nothing_of_anothers_but_its_number(world, words):
    told = (await world.a.redis.execute_command("INFO", "everything")) | (await world.a.redis.info())
    for secret in (str(world.b.sandbox.id), world.b.sandbox.short_id, world.b.token, world.b.sandbox.name, "secret"):
        assert secret not in str(told)
    assert f"db{words['m']}" in told
    clients = await world.a.redis.client_info()
    assert clients["user"] == words["a_user"]


async def test_keyspace_events_of_its_own_come_and_no_others(world, words):
    async with world.a.redis.pubsub() as channel:
        await channel.psubscribe(f"__keyspace@{words['n']}__:*")
        assert (await channel.get_message(timeout=2))["type"] == "psubscribe"
        await world.b.redis.set("string", "secret")
        await world.a.redis.set("mine", 1)
        message = await channel.get_message(timeout=2)
        assert message["channel"] == f"__keyspace@{words['n']}__:mine".encode()
        await channel.subscribe(f"/{words['n']}.celery.pidbox", words["a"] + "channel")


async def test_celery_s_workers_hear_what_is_said_in_their_own_database(world, words):
    async with world.a.redis.pubsub() as channel:
        await channel.psubscribe(
            *(f"/{words['n']}.{name}" for name in ("celery.pidbox", "celeryev/*", "celeryev/worker.*"))
        )
        assert [(await channel.get_message(timeout=2))["type"] for _ in range(3)] == ["psubscribe"] * 3
        await world.a.redis.publish(f"/{words['n']}.celery.pidbox", "ping")
        assert (await channel.get_message(timeout=2))["data"] == b"ping"


async def test_blocked_commands_wait_for_their_own_database(world):
    async with world.a.redis.client() as waiting:
        popping = asyncio.create_task(waiting.blpop(["queue"], timeout=2))
        await world.b.redis.rpush("queue", "of b")
        await world.a.redis.rpush("queue", "of a")
        assert list(await popping) == [b"queue", b"of a"]
    assert await world.b.redis.lpop("queue") == b"of b"


async def test_a_watch_is_of_the_own_database(world):
    async with world.a.redis.pipeline(transaction=True) as pipe:
        await pipe.watch("string")
        await world.b.redis.set("string", "secret")
        pipe.multi()
        pipe.ping()
        assert await pipe.execute() == [True]


async def test_sorting_and_scanning_find_the_own_keys_alone(world):
    await world.a.redis.delete("ids")
    await world.a.redis.rpush("ids", "1")
    await world.b.redis.set("weight_1", "secret")
    assert await world.a.redis.sort("ids", get="weight_*") == [None]
    found = [key async for key in world.a.redis.scan_iter()]
    assert sorted(found) == sorted(await world.a.redis.keys())
    assert b"weight_1" not in found
    assert await world.a.redis.dbsize() == len(found)
    assert await world.a.redis.memory_usage("weight_1") is None
    await world.b.redis.delete("weight_1")


async def test_flushing_empties_the_own_database_alone(world, words):
    before = await look(world, but=words["n"])
    await world.a.redis.flushdb()
    assert await world.a.redis.dbsize() == 0
    assert await look(world, but=words["n"]) == before
    await world.a.redis.set("mine", 1)
    await world.a.redis.set("string", "secret")


async def test_a_worker_without_its_number_reaches_nothing(world):
    """It has left the number out of its address, or has another one's."""
    for number in ("", "/0", f"/{world.b.sandbox.redis_database}"):
        url = world.a.urls["SANDBOX_REDIS_URL"].rpartition("/")[0] + number
        async with redis.asyncio.from_url(url, retry=None) as client:
            with pytest.raises(NoPermissionError):
                await client.set("planted", 1)
            with pytest.raises(NoPermissionError):
                await client.eval("return 1", 0)


async def test_a_sandbox_without_a_database_keeps_its_scripts_to_its_prefix(world, words):
    """On the same server, where none was free."""
    shared = await world.add()
    assert shared.sandbox.redis_database is None
    async with redis.asyncio.from_url(shared.urls["SANDBOX_REDIS_URL"]) as client:
        own = shared.sandbox.redis_prefix + "x"
        assert await client.eval("return redis.call('SET', KEYS[1], 1)", 1, own) == b"OK"
        for script in (
            "return redis.call('GET', 'sandbox-bot:databases')",
            f"return redis.call('HGETALL', '{names.REDIS_DATABASES_KEY}')",
            f"return redis.call('SELECT', {words['m']})",
            "return redis.call('KEYS', '*')",
            "return redis.call('SCAN', 0)",
        ):
            with pytest.raises(ResponseError):
                await client.eval(script, 0)
        with pytest.raises(NoPermissionError):
            await client.select(words["m"])
    await shared.close()
