"""Redis 6.2.14 falls to commands that every sandbox has elsewhere. `make breakout` brings that server."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoPermissionError, RedisError

from bot import names
from bot.sandboxes.access.tokens import new_credentials
from bot.stores.redis import RedisStore
from bot.stores.redis_flaws import Server
from tests.breakout.by_hand import free_port, until_listening

PROGRAM = os.environ.get("OLD_REDIS_SERVER", "")

pytestmark = pytest.mark.skipif(not PROGRAM, reason="no Redis 6.2.14 here (make breakout)")

SPARSE_HEADER = b"HYLL\x01\x00\x00\x00" + bytes(7) + b"\x80"
CRAFTED = SPARSE_HEADER + b"\x7f\xff" * 170_000 + b"\xff"
"""So many registers are skipped that their number overflows; then one is written."""
ENDLESS = "*a" * 100_000
MEMBER = "a" * 100_000

ATTACKS = {
    "count": [("SET", "{a}x", CRAFTED), ("PFCOUNT", "{a}x", "{a}x")],
    "merge": [("SET", "{a}x", CRAFTED), ("PFMERGE", "{a}y", "{a}x")],
    "sscan": [("SADD", "{a}s", MEMBER), ("SSCAN", "{a}s", "0", "MATCH", ENDLESS)],
    "hscan": [("HSET", "{a}h", MEMBER, "x"), ("HSCAN", "{a}h", "0", "MATCH", ENDLESS)],
    "zscan": [("ZADD", "{a}z", "1", MEMBER), ("ZSCAN", "{a}z", "0", "MATCH", ENDLESS)],
}
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@dataclass
class Old:
    """The server, with the bot's client and a sandbox's."""

    process: asyncio.subprocess.Process
    store: RedisStore
    bot: Any
    worker: Any
    prefix: str

    async def attack(self, commands):
        for command in commands:
            said = [part.format(a=self.prefix) if isinstance(part, str) else part for part in command]
            await self.worker.execute_command(*said)


@pytest.fixture
async def old(tmp_path):
    async with open_old(tmp_path) as server:
        yield server


@asynccontextmanager
async def open_old(folder):
    port = free_port()
    argv = [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "pw"]
    process = await asyncio.create_subprocess_exec(*argv, cwd=folder, stdout=subprocess.DEVNULL)
    await until_listening(port)
    sandbox_id, credentials = uuid4(), new_credentials()
    bot = redis.asyncio.from_url(f"redis://:pw@127.0.0.1:{port}", socket_timeout=5, retry=None)
    store = RedisStore(bot)
    await store.set_user(sandbox_id, credentials.token_sha256)
    url = f"redis://{names.redis_user(sandbox_id)}:{credentials.token}@127.0.0.1:{port}"
    worker = redis.asyncio.from_url(url, socket_timeout=5, retry=None)
    try:
        yield Old(process, store, bot, worker, names.redis_prefix(sandbox_id))
    finally:
        await worker.aclose()
        await bot.aclose()
        if process.returncode is None:
            process.kill()
        await process.wait()


@attacks
async def test_what_has_fallen_is_taken_out(old, attack):
    with pytest.raises(NoPermissionError):
        await old.attack(attack)
    assert old.process.returncode is None
    await old.bot.set("of:another", 1)


@attacks
async def test_with_the_command_the_server_falls(tmp_path, monkeypatch, attack):
    """Otherwise the test above would prove nothing."""
    monkeypatch.setattr(Server, "withdrawn", [])
    async with open_old(tmp_path) as server:
        with pytest.raises((Disconnected, TimeoutError)):
            await server.attack(attack)
        async with asyncio.timeout(10):
            assert await server.process.wait() != 0


async def test_it_is_not_called_enforced(old):
    assert await old.store.probe() is None
    assert await old.store.describe_server() == "Redis 6.2.14"
    weakness = await old.store.weakness()
    assert weakness is not None
    assert "CVE-2025-32023, CVE-2024-31228" in weakness


async def test_everything_else_works_there(old):
    await old.worker.set(old.prefix + "s", 1)
    await old.worker.hset(old.prefix + "h", "f", 1)
    await old.worker.geoadd(old.prefix + "g", (1, 1, "x"))
    assert await old.worker.hgetall(old.prefix + "h") == {b"f": b"1"}
    with pytest.raises(RedisError):
        await old.worker.set("of:another", 1)


async def test_it_gets_no_scripts_however_much_they_are_wanted(old):
    sandbox_id, credentials = uuid4(), new_credentials()
    await RedisStore(old.bot, scripts=True).set_user(sandbox_id, credentials.token_sha256)
    host = old.bot.connection_pool.connection_kwargs
    url = f"redis://{names.redis_user(sandbox_id)}:{credentials.token}@127.0.0.1:{host['port']}"
    async with redis.asyncio.from_url(url) as client:
        for command in ("EVAL return(1) 0", "EVALSHA x 0", "SCRIPT LOAD return(1)"):
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command.split())


async def test_it_has_no_databases_for_sandboxes(old):
    numbers, reason = await RedisStore(old.bot, databases=range(2, 9)).find_databases()
    assert (list(numbers), reason) == ([], "the server's ACL knows no databases: Valkey from 9.1 on does")
