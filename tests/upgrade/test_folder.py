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
from sandbox_worker import Sandbox
from tests.e2e.conftest import environment_in, running

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


@asynccontextmanager
async def today(folder, discord):
    """The bot of today on the folder."""
    settings = Settings(
        discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base),
        embedded=Embedded(folder=folder / "data"),
    )
    async with open_app(settings) as app, running(app, discord):
        yield app


async def test_what_was_in_the_folder_is_there_for_the_worker_and_its_credentials(environment, discord, tmp_path):
    async with today(tmp_path, discord) as app:
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


@pytest.mark.long
async def test_the_gateway_session_of_before_goes_on_and_its_worker_misses_nothing(
    release_with_stores, discord, tmp_path
):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    async with release_with_stores.running(discord, tmp_path):
        await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
        environment = environment_in(await ada.command("sandbox connect", channel=lab.general, sandbox="blue"))
        await ada.send(lab.general, "before")
    await ada.send(lab.general, "in between")
    async with today(tmp_path, discord), Sandbox.from_env(environment) as worker, asyncio.timeout(20):
        await ada.send(lab.general, "after")
        assert await messages(worker, until="after") == ["before", "in between", "after"]
    assert (discord.identifies, discord.resumes) == (1, 1)


@pytest.mark.long
async def test_what_the_first_version_has_stored_reaches_a_worker_that_has_credentials_now(
    first_version_with_stores, discord, tmp_path
):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    async with first_version_with_stores.running(discord, tmp_path):
        await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
        for number in range(3):
            await ada.send(lab.general, f"before {number}")
        environment = environment_in(await ada.command("sandbox connect", channel=lab.general, sandbox="blue"))
        await _use_without_credentials(tmp_path / "data", environment)
    async with today(tmp_path, discord) as app:
        (sandbox,) = await app.manager.list()
        assert (await app.manager.get_health(sandbox.id)).ok
        reply = await ada.command("sandbox connect", channel=lab.general, sandbox="blue")
        assert "legacy belongs to postgres" in reply.message.attachments[0].content.decode()
        async with Sandbox.from_env(environment_in(reply)) as worker, asyncio.timeout(20):
            await ada.send(lab.general, "after")
            assert await messages(worker, until="after") == ["before 1", "before 2", "after"]
            assert await worker.pg.fetchval("SELECT name FROM communities") == "kept"
            assert await _kept_word(worker) == b"kept"
    assert not (tmp_path / "data" / "nats" / "jetstream" / "$G").exists()


async def messages(worker, *, until):
    """The texts of messages that are handed out and acknowledged, up to that one."""
    found, events = [], worker.events()
    while until not in found:
        event = await anext(events)
        await event.ack()
        if event.name == "MESSAGE_CREATE":
            found.append(event.data["content"])
    return found


async def _use_without_credentials(folder, environment):
    """With the bot's own and the superuser's passwords: a row, a key, a table; and the first message acknowledged."""
    secrets, ports = (json.loads((folder / f"{name}.json").read_text()) for name in ("secrets", "ports"))
    login, at = f"postgres:{secrets['postgres']}", f"127.0.0.1:{ports['postgres']}"
    connection = await asyncpg.connect(f"postgresql://{login}@{at}/sandboxes")
    await connection.execute(f"SET search_path = {environment['SANDBOX_SCHEMA']}; CREATE TABLE legacy ()")
    await connection.execute("INSERT INTO communities (guild_id, name) VALUES (1, 'kept')")
    await connection.close()
    async with redis.asyncio.from_url(f"redis://:{secrets['redis']}@127.0.0.1:{ports['redis']}") as keys:
        await keys.set(environment["SANDBOX_REDIS_PREFIX"] + "word", "kept")
    client = await nats.connect(f"nats://sandbox-bot:{secrets['nats']}@127.0.0.1:{ports['nats']}")
    worker = await client.jetstream().pull_subscribe_bind("worker", environment["SANDBOX_NATS_STREAM"])
    text = ""
    while text != "before 0":
        (message,) = await worker.fetch(1)
        text = json.loads(message.data)["d"].get("content")
        await message.ack_sync()
    await client.close()


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
