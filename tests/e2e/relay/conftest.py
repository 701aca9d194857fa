"""A scene with the relay, and unmodified bots as processes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.relay.server import Relay, RelayStores, serve_relay
from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Actor
from bot.settings import Relay as RelaySettings
from bot.stores.nats_client import close_nats, open_nats
from bot.supervisor import Supervisor

HERE = Path(__file__).parent


class Bot:
    """A bot in a process of its own; `heard` are the lines that it has said."""

    def __init__(self, process):
        self.process, self.heard = process, []
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stdout:
            async with self._changed:
                self.heard.append(line.decode().rstrip())
                self._changed.notify_all()

    async def says(self, line, seconds=15.0, times=1):
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.heard.count(line) >= times)

    async def end(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading


@dataclass
class RelayScene:
    """The relay beside a running bot, with a sandbox of Ada's and its token."""

    scene: Any
    relay: Relay
    listening: socket.socket

    async def token(self, sandbox):
        details = await self.scene.app.manager.issue_credentials(
            Actor(sandbox.owner_id, "ada"), sandbox.id, rotate=True
        )
        secret = details.environment["SANDBOX_NATS_URL"].split(":")[2].split("@")[0]
        return make_bot_token(self.scene.discord.application_id, sandbox.id.hex[:8], secret)

    async def environment(self, sandbox):
        return {
            "SANDBOX_BOT_TOKEN": await self.token(sandbox),
            "SANDBOX_BOT_API": f"{self.relay.address}/api/v10",
            "SANDBOX_BOT_GATEWAY": self.relay.address.replace("http", "ws", 1),
        }


@pytest.fixture
async def start_bot():
    bots = []

    async def start(environment, script="plain_discord_py.py"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, HERE / script, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
        )
        bots.append(bot := Bot(process))
        return bot

    yield start
    for bot in bots:
        await bot.end()


@pytest.fixture
def serve(scene):
    """Serves a relay on the scene's stores, on a socket that may be handed from one to the next, with other settings of
    [relay] if some are given."""

    @asynccontextmanager
    async def serve_(listening=None, **changes):
        stores = scene.app.stores
        nats = await open_nats(stores.addresses.nats, name="sandbox-relay")
        listening = listening or socket.create_server(("127.0.0.1", 0))
        try:
            async with (
                Supervisor() as supervisor,
                serve_relay(
                    RelayStores(stores.pool, stores.redis, nats),
                    supervisor,
                    scene.app.settings.model_copy(update={"relay": RelaySettings(**changes)}),
                    listening=listening,
                    address="http://{}:{}".format(*listening.getsockname()),
                ) as relay,
            ):
                yield RelayScene(scene, relay, listening)
        finally:
            await close_nats(nats)

    return serve_


@pytest.fixture
async def relayed(serve):
    async with serve() as relayed:
        yield relayed


@dataclass
class Caller:
    """Asks the relay's HTTP API, as the bot of a sandbox or as nobody."""

    session: aiohttp.ClientSession
    base: str
    sandbox: Any = None

    async def __call__(self, method, path, json=None, status=200, **options):
        async with self.session.request(method, self.base + path, json=json, **options) as response:
            self.headers = response.headers
            body = await response.json() if response.content_type == "application/json" else await response.read()
            assert response.status == status, (method, path, response.status, body)
            return body


@pytest.fixture
async def calling():
    """Whoever asks a relay as a sandbox's bot (None: without saying who he is)."""
    async with AsyncExitStack() as stack:

        async def make(relayed, sandbox=None):
            headers = {"Authorization": f"Bot {await relayed.token(sandbox)}"} if sandbox is not None else {}
            session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
            return Caller(session, f"{relayed.relay.address}/api/v10", sandbox)

        yield make


@pytest.fixture
async def adas(scene, relayed, calling):
    """The bot of a sandbox of Ada's, which has her lab."""
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    scene.lab.add_member(scene.discord.bot_user, permissions=["administrator"])
    return await calling(relayed, sandbox)


@pytest.fixture
async def bobs(scene, relayed, calling):
    """The bot of a sandbox of Bob's, which has his arcade."""
    sandbox = await scene.app.manager.create(Actor(scene.bob.id, "bob"), name="bobs", guild_ids=[scene.arcade.id])
    scene.arcade.add_member(scene.discord.bot_user, permissions=["administrator"])
    return await calling(relayed, sandbox)
