"""A's scripts against B's keys where both share a database, each with its prefix: on Valkey, and on Redis 7."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest
import redis.asyncio
from redis.exceptions import ResponseError

from bot import names
from bot.sandboxes.access.tokens import hash_token
from bot.stores.embedded import EmbeddedStores, Programs
from bot.stores.redis import RedisStore
from tests.breakout.conftest import furnish_redis, try_all
from tests.breakout.database_tries import SCRIPTS
from tests.breakout.redis_tries import TRIES
from tests.service.servers import INSTALLED_REDIS, REDIS, needs_redis

CALLS = {
    "call": "return redis.call(unpack(ARGV))",
    "pcall": "return redis.pcall(unpack(ARGV))",
}
HARMLESS = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "SCRIPT", "AUTH", "HELLO", "RESET", "QUIT"}
"""Of the tries: what is allowed now, or takes no rights of a script's."""


@pytest.fixture(scope="module", params=["valkey", pytest.param("redis-7", marks=needs_redis)])
async def scene(request, stores, tmp_path_factory):
    programs = Programs(valkey=INSTALLED_REDIS) if request.param == "redis-7" else None
    folder = tmp_path_factory.mktemp("server")
    async with EmbeddedStores(folder, stores=REDIS, durable=False, programs=programs) as server:
        bot = redis.asyncio.from_url(server.redis_url)
        store = RedisStore(bot, scripts=True)
        a, b = [await add(store, server) for _ in range(2)]
        for worker in (a, b):
            await furnish_redis(SimpleNamespace(sandbox=worker.sandbox, redis=bot))
        yield SimpleNamespace(bot=bot, a=a, b=b)
        for client in (a.redis, b.redis, bot):
            await client.aclose()


async def add(store, server):
    sandbox_id = uuid4()
    await store.set_user(sandbox_id, hash_token("token"))
    url = f"redis://{names.redis_user(sandbox_id)}:token@{server.redis_url.rpartition('@')[2]}"
    facts = SimpleNamespace(id=sandbox_id, redis_prefix=names.redis_prefix(sandbox_id))
    return SimpleNamespace(sandbox=facts, redis=redis.asyncio.from_url(url))


@pytest.fixture
def words(scene):
    a, b = scene.a.sandbox, scene.b.sandbox
    return {
        "a": a.redis_prefix,
        "b": b.redis_prefix,
        "a_user": names.redis_user(a.id),
        "b_user": names.redis_user(b.id),
        "a_token": "token",
        "b_hash": hash_token("token"),
        "b_upper": b.redis_prefix.upper(),
        "a_wide": a.redis_prefix[:-5],
        "a_cut": a.redis_prefix[:-1],
        "m": 1,
        "n": 0,
    }


async def look(scene):
    """Every key with its value but A's own, and the users."""
    own = scene.a.sandbox.redis_prefix.encode()
    keys = sorted(key for key in await scene.bot.keys() if not key.startswith(own))
    return keys, [await scene.bot.dump(key) for key in keys], await scene.bot.acl_list()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_no_script_reaches_what_its_user_does_not(scene, words, call):
    before = await look(scene)

    async def attempt(command):
        said = ["" if word == "_" else word.format(**words) for word in command]
        with pytest.raises(ResponseError):
            await scene.a.redis.eval(call, 0, *said)

    await try_all({name: command for name, command in TRIES.items() if command[0] not in HARMLESS}, attempt)
    assert await look(scene) == before
    assert await scene.b.redis.ping()


async def test_no_script_changes_what_is_there_for_the_next(scene, words):
    async def attempt(script):
        with pytest.raises(ResponseError):
            await scene.a.redis.eval(script.format(**words), 0)

    await try_all(SCRIPTS, attempt)
    assert await scene.b.redis.eval("return {tostring(rawget(_G, 'planted')), ('x'):rep(2)}", 0) == [b"nil", b"xx"]


async def test_a_foreign_key_is_refused_declared_or_not(scene, words):
    for keys in ([], [words["b"] + "string"], [words["a"] + "string", words["b"] + "string"]):
        with pytest.raises(ResponseError):
            await scene.a.redis.eval(f"return redis.call('GET', '{words['b']}string')", len(keys), *keys)
    assert await scene.a.redis.eval("return redis.call('GET', KEYS[1])", 1, words["a"] + "string") == b"secret"
