"""A scene with the relay, and unmodified bots as processes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.relay.server import Relay, RelayStores, serve_relay
from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Actor
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
    """Serves a relay on the scene's stores, on a socket that may be handed from one to the next."""

    @asynccontextmanager
    async def serve_(listening=None):
        stores = scene.app.stores
        nats = await open_nats(stores.addresses.nats, name="sandbox-relay")
        listening = listening or socket.create_server(("127.0.0.1", 0))
        try:
            async with (
                Supervisor() as supervisor,
                serve_relay(
                    RelayStores(stores.pool, stores.redis, nats),
                    supervisor,
                    scene.app.settings,
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
