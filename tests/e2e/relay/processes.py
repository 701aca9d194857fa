"""`sandbox-bot relay` as an operator runs it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.e2e.bot_process import Process

RELAY = [sys.executable, "-m", "bot", "relay"]


class RelayProcess(Process):
    """With the address at which it serves."""

    def __init__(self, process, address):
        super().__init__(process)
        self.address = address

    @property
    def children(self):
        """The numbers of the processes that it has started."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in found.split()]

    async def serves(self, seconds=30, ssl=True):
        """Returns when it answers."""
        async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
            while True:
                assert self.process.returncode is None, "".join(self.lines)
                try:
                    async with session.get(f"{self.address}/api/v10/gateway", ssl=ssl) as response:
                        assert response.status == 200
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def environment_of(environment, discord):
    return environment | {"DISCORD_TOKEN": discord.token, "BOT_DISCORD__API_BASE": discord.api_base}


@asynccontextmanager
async def relay_process(environment, discord, *, ssl=True, scheme="http", port=None, seconds=30, **changes):
    """One that serves, on loopback if nothing is said."""
    port = port or free_port()
    chosen = {"BOT_RELAY__LISTEN": f"127.0.0.1:{port}"} | changes
    process = await asyncio.create_subprocess_exec(
        *RELAY, env=environment_of(environment, discord) | chosen, stderr=asyncio.subprocess.PIPE
    )
    relay = RelayProcess(process, f"{scheme}://127.0.0.1:{port}")
    try:
        await relay.serves(seconds, ssl=ssl)
        yield relay
    finally:
        if process.returncode is None:
            await relay.stop(signal.SIGTERM)
