"""What libraries send, from a sandbox with a database of its own and from one with a prefix in a shared one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError, ResponseError

from bot import names
from bot.sandboxes.access.tokens import hash_token
from bot.stores.embedded import EmbeddedStores, Programs
from bot.stores.redis import RedisStore
from tests.service.servers import INSTALLED_REDIS, REDIS, needs_redis

ON_KEYS = """
SET {p}string text|GET {p}string|GETDEL {p}string|RPUSH {p}list a b c|BLPOP {p}list 1|BRPOP {p}list 1
BRPOPLPUSH {p}list {p}list2 1|BLMOVE {p}list2 {p}list LEFT RIGHT 1|LMPOP 1 {p}list LEFT|ZADD {p}zset 1 a 2 b
BZPOPMIN {p}zset 1|SADD {p}set 1 2|SSCAN {p}set 0|HSET {p}hash field value|HSCAN {p}hash 0|ZSCAN {p}zset 0
XADD {p}stream * field value|XGROUP CREATE {p}stream group 0|XREADGROUP GROUP group one STREAMS {p}stream >
XAUTOCLAIM {p}stream group two 0 0|XPENDING {p}stream group|XTRIM {p}stream MAXLEN 1|RENAME {p}hash {p}hash2
WATCH {p}string|MULTI|EXEC|PUBLISH {p}channel text
"""
SCRIPTS = """
EVAL return(redis.call('SET',KEYS[1],ARGV[1])) 1 {p}string text|EVALSHA {sha} 1 {p}string|SCRIPT LOAD return(1)
SCRIPT EXISTS {sha}
"""
ON_A_DATABASE = """
SCAN 0|KEYS *|DBSIZE|RANDOMKEY|INFO|TIME|WAIT 0 1|OBJECT ENCODING {p}set|MEMORY USAGE {p}set|COPY {p}set {p}set2
SORT {p}set|CLIENT SETNAME name|CLIENT SETINFO LIB-NAME lib|CLIENT ID|CLIENT INFO|CLIENT GETNAME|SELECT {n}|FLUSHDB
"""
REFUSED = "CONFIG GET maxmemory|COMMAND DOCS GET|CLUSTER INFO"

RETURNS_KEY = "return redis.call('GET', KEYS[1])"


@dataclass
class Form:
    """A server, and how a sandbox is let into it."""

    url: str
    database: int | None
    store: RedisStore
    sandbox_id: UUID

    @property
    def withdrawn(self) -> list[str]:
        """What the version falls to."""
        assert self.store._server is not None
        return self.store._server.withdrawn

    def open(self, **options: Any) -> redis.asyncio.Redis:
        host = self.url.rpartition("@")[2]
        user = names.redis_user(self.sandbox_id)
        return redis.asyncio.from_url(f"redis://{user}:token@{host}/{self.database or 0}", **options)


@pytest.fixture(scope="module")
async def redis_7(tmp_path_factory):
    if not INSTALLED_REDIS.exists():
        yield ""
        return
    folder = tmp_path_factory.mktemp("redis-7")
    async with EmbeddedStores(
        folder, stores=REDIS, durable=False, programs=Programs(valkey=INSTALLED_REDIS)
    ) as running:
        yield running.redis_url


@pytest.fixture(
    params=["valkey-database", "valkey-prefix", pytest.param("redis-7-prefix", marks=needs_redis)],
)
async def form(request, stores, redis_7):
    url = redis_7 if request.param.startswith("redis") else stores.redis_url
    number = 55 if request.param.endswith("database") else None
    bot, sandbox_id = redis.asyncio.from_url(url), uuid4()
    store = RedisStore(bot, databases=range(50, 60), scripts=True)
    if number is not None:
        assert await store.claim_database(number, sandbox_id)
    await store.set_user(sandbox_id, hash_token("token"), database=number)
    yield Form(url, number, store, sandbox_id)
    await store.delete_user(sandbox_id)
    await bot.flushall()
    await bot.aclose()


def split(lines):
    return [command for line in lines.split("\n") for command in line.split("|") if command]


async def send(client, lines, form):
    """All of them on one connection; those that were refused."""
    digest = await client.script_load(RETURNS_KEY)
    facts = {"p": names.redis_prefix(form.sandbox_id), "n": form.database or 0, "sha": digest}
    refused = []
    for command in split(lines):
        try:
            await client.execute_command(*command.format(**facts).split())
        except ResponseError as error:
            if not isinstance(error, NoPermissionError) and "unknown subcommand" not in str(error):
                raise
            refused.append(command)
    return refused


async def test_what_libraries_send_is_allowed(form):
    async with form.open(protocol=2) as pool, pool.client() as client:
        flawed = [command for command in split(ON_KEYS) if f"-{command.split()[0].lower()}" in form.withdrawn]
        assert await send(client, ON_KEYS + SCRIPTS, form) == flawed
        beyond = [] if form.database else split(ON_A_DATABASE)
        assert await send(client, ON_A_DATABASE, form) == beyond
        assert await send(client, REFUSED, form) == REFUSED.split("|")


async def test_channels_under_the_prefix_are_its_own(form):
    prefix = names.redis_prefix(form.sandbox_id)
    async with form.open() as client, client.pubsub() as channel:
        await channel.subscribe(prefix + "channel")
        await channel.psubscribe(prefix + "*")
        for _ in range(2):
            await channel.get_message(timeout=2)
        await client.publish(prefix + "channel", "text")
        assert (await channel.get_message(timeout=2))["data"] == b"text"


async def test_locks_and_names_of_redis_py_work_as_they_are(form):
    prefix = names.redis_prefix(form.sandbox_id)
    name = "worker" if form.database else None
    async with form.open(client_name=name) as client:
        async with client.lock(prefix + "lock", timeout=5):
            assert await client.exists(prefix + "lock")
        assert not await client.exists(prefix + "lock")
        assert await client.register_script(RETURNS_KEY)(keys=[prefix + "nothing"]) is None


async def test_a_script_has_no_more_rights_than_its_user(form):
    stranger = names.redis_prefix(uuid4()) + "x"
    async with form.open() as client:
        for script in ("return redis.call('CONFIG', 'GET', 'dir')", "return redis.call('ACL', 'LIST')", "planted = 1"):
            with pytest.raises(ResponseError):
                await client.eval(script, 0)
        if form.database is None:  # where it has one of its own, the name is nobody's
            for command in ("GET", "DEL", "INCR"):
                with pytest.raises(ResponseError):
                    await client.eval(f"return redis.call('{command}', '{stranger}')", 0)


async def test_without_the_right_to_scripts_everything_else_goes_on(form):
    await form.store.set_user(form.sandbox_id, hash_token("token"), database=form.database, scripts=False)
    prefix = names.redis_prefix(form.sandbox_id)
    async with form.open() as client:
        await client.set(prefix + "x", 1)
        for command in ("EVAL return(1) 0", "SCRIPT LOAD return(1)", "EVALSHA x 0", "EVAL_RO return(1) 0"):
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command.split())


@needs_redis
async def test_redis_7_has_no_databases_for_sandboxes(redis_7):
    async with redis.asyncio.from_url(redis_7) as bot:
        found = await RedisStore(bot, databases=range(50, 60)).find_databases()
    assert found == (range(0), "the server's ACL knows no databases: Valkey from 9.1 on does")


@needs_redis
async def test_scripts_that_a_version_falls_to_are_given_by_order_alone(redis_7):
    """Debian has mended its 7.0.15 and not changed the number: whoever runs it may say that it is sound."""
    async with redis.asyncio.from_url(redis_7) as bot:
        sandbox_id, weaknesses = uuid4(), list[str]()
        for scripts, expected in ((None, False), (True, True)):
            store = RedisStore(bot, scripts=scripts)
            await store.set_user(sandbox_id, hash_token("token"))
            facts = str(await bot.acl_getuser(names.redis_user(sandbox_id)))
            assert ("'+eval'" in facts) is expected
            weaknesses.append(await store.weakness() or "")
        await store.delete_user(sandbox_id)
    assert not any("CVE-2025-49844" in weakness for weakness in weaknesses[:1])
    assert "CVE-2025-49844" in weaknesses[1]
