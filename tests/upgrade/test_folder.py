"""A data folder of the last release, and the code of today."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import asyncpg
import nats
import pytest
import redis.asyncio
from pydantic import SecretStr
from redis.exceptions import AuthenticationError

from bot.app import open_app
from bot.settings import Discord, Embedded, Settings
from local_discord import LocalDiscord
from sandbox_worker import Sandbox
from tests.e2e.conftest import running

pytestmark = pytest.mark.timeout(120)  # two versions of everything are started

ADA, GUILD = "100000000000000001", "200000000000000001"
SERVE = """
import asyncio, json, sys
from pathlib import Path
from bot.stores.embedded import EmbeddedStores

async def serve():
    async with EmbeddedStores(Path("data")) as stores:
        print(json.dumps({"redis": stores.redis_url, "nats": stores.nats_url}), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(serve())
"""
"""Keeps the release's servers until standard input ends, so that its commands need not start them each."""


@asynccontextmanager
async def served(release, folder):
    """The bot's own addresses of Redis and NATS, while the release's servers run."""
    pipe = asyncio.subprocess.PIPE
    process = await release.start("-c", SERVE, cwd=folder, env={}, stdin=pipe, stdout=pipe)
    try:
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.fixture
async def environment(release_with_stores, tmp_path):
    """Of a worker whose sandbox has a row, a key and an event, in the folder that the release has left."""
    async with served(release_with_stores, tmp_path) as addresses:
        await release_with_stores.data(
            *("create", "blue", "--owner", ADA, "--guild", GUILD, "--json"), cwd=tmp_path, env={}
        )
        environment = await release_with_stores.data("env", "blue", "--format", "json", cwd=tmp_path, env={})
        await _furnish(environment, addresses)
    return environment


async def _furnish(environment, addresses):
    connection = await asyncpg.connect(environment["SANDBOX_DATABASE_URL"])
    await connection.execute("INSERT INTO communities (guild_id, name) VALUES (1, 'kept')")
    await connection.close()
    async with redis.asyncio.from_url(environment["SANDBOX_REDIS_URL"]) as keys:
        await keys.set(environment["SANDBOX_REDIS_PREFIX"] + "word", "kept")
    client = await nats.connect(addresses["nats"])
    event = {"op": 0, "t": "MESSAGE_CREATE", "s": 1, "d": {"guild_id": GUILD, "content": "kept"}}
    subject = environment["SANDBOX_NATS_PREFIX"] + "events.MESSAGE_CREATE"
    await client.jetstream().publish(subject, json.dumps(event).encode())
    await client.close()


async def test_what_was_in_the_folder_is_there_for_the_worker_and_its_credentials(environment, tmp_path):
    async with LocalDiscord() as discord:
        settings = Settings(
            discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base),
            embedded=Embedded(folder=tmp_path / "data"),
        )
        async with open_app(settings) as app, running(app, discord):
            (sandbox,) = await app.manager.list()
            assert (sandbox.name, sandbox.status, sandbox.guild_ids) == ("blue", "running", (int(GUILD),))
            assert (await app.manager.get_health(sandbox.id)).ok
            async with Sandbox.from_env(environment) as worker, asyncio.timeout(20):
                assert await worker.pg.fetchval("SELECT name FROM communities") == "kept"
                await _until_owner(worker.pg)
                await worker.pg.execute(
                    f"ALTER TABLE communities ADD x int; CREATE SCHEMA {sandbox.schema_name}_x; CREATE TEMP TABLE t ()"
                )
                assert await _kept_word(worker) == b"kept"
                event = await anext(worker.events())
                assert event.data["content"] == "kept"
                await event.ack()


async def _until_owner(connection):
    """Handed over by the bot, soon after its start, while this connection is there."""
    owner = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'communities'::regclass"
    while not await connection.fetchval(owner):
        await asyncio.sleep(0.02)


async def _kept_word(worker):
    """Redis keeps no users over its restart: the bot makes them again, soon after its own."""
    while True:
        try:
            return await worker.redis.get("word")
        except AuthenticationError:
            await asyncio.sleep(0.02)
