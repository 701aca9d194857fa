"""`examples/worker.py` as a developer runs it: a process, in a folder with the `.env` of `/sandbox connect`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.settings import Discord, Sandboxes, Settings
from bot.stores.embedded import EmbeddedStores
from sandbox_worker import Sandbox
from tests.conftest import store_settings
from tests.e2e.conftest import TICK
from tests.service.workers import OwnNats

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def servers(tmp_path, stores):
    async with EmbeddedStores(tmp_path / "nats", stores=frozenset({"nats"})) as own:
        yield OwnNats(stores, own)


@pytest.fixture
def settings_of(servers, dsn):
    def make(discord):
        return Settings(
            discord=Discord(token=discord.token, api_base=discord.api_base),
            sandboxes=Sandboxes(sweep_every=TICK),
            **store_settings(servers, dsn),
        )

    return make


@asynccontextmanager
async def example(folder):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "worker.py"),
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process):
    """Exit code and last words."""
    async with asyncio.timeout(20):
        words = (await process.stderr.read()).decode()
        return await process.wait(), words


@pytest.mark.long
async def test_the_example_receives_answers_keeps_its_own_and_survives(scene, servers, tmp_path):
    ada, lab = scene.ada, scene.lab
    await ada.command("sandbox create", channel=lab.general, name="blue", ttl="2h", bind_here=True)
    (attachment,) = (await ada.command("sandbox connect", channel=lab.general, sandbox="blue")).message.attachments
    (tmp_path / ".env").write_bytes(attachment.content)
    sandbox = await scene.sandbox("blue")
    pool, redis = scene.app.stores.pool, scene.app.stores.redis

    async def greeted(count):
        async def seen():
            return await redis.hget(f"{sandbox.redis_prefix}messages", "ada") == str(count).encode()

        await scene.until(seen, 40)
        assert await pool.fetchval(f"SELECT count(*) FROM {sandbox.schema_name}.greeted") == count

    await ada.send(lab.general, "before there was a worker")
    async with (
        Sandbox.from_env({}, dotenv=tmp_path / ".env") as colleague,
        colleague.subscribe("greeted") as heard,
        example(tmp_path) as process,
    ):
        await greeted(1)
        assert (await anext(heard)).data == b"ada"
        reply = await ada.use_foreign_command("score", channel=lab.general)
        await reply.wait_for(lambda reply: reply.message is not None)
        assert (reply.message.content, reply.message.ephemeral) == ("ada: 1 messages", True)

        await servers.kill(scene.app.stores.nats)
        for number in range(5):
            await ada.send(lab.general, f"after the crash: {number}")
        await greeted(6)

        await ada.command("sandbox extend", channel=lab.general, sandbox="blue", by="1h")
        await ada.send(lab.general, "after the extension")
        await greeted(7)
        process.send_signal(signal.SIGINT)
        code, words = await ended(process)
    assert (code, "Traceback" in words) == (0, False)

    async with example(tmp_path) as process:
        assert b"waiting for events" in await process.stderr.readline()
        question = (await ada.command("sandbox destroy", channel=lab.general, sandbox="blue")).message
        await ada.click(question, "Destroy")
        code, words = await ended(process)
    assert (code, "Traceback" in words) == (1, False)
    async with example(tmp_path) as process:
        code, words = await ended(process)
    assert (code, words.splitlines()[-1][:14]) == (1, "Sandbox “blue”")


async def test_the_example_says_what_it_misses(tmp_path):
    async with example(tmp_path) as process:
        code, words = await ended(process)
    assert code == 1
    assert words.startswith("Not set: SANDBOX_ID")
