"""A client of the relay's that does only what it is told: for what libraries would do by themselves."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp

INTENTS = 1 << 0 | 1 << 9 | 1 << 15
"""Guilds, messages, and their content."""


class Wire:
    """A WebSocket of the gateway's, and requests with the same token."""

    def __init__(self, session, socket, address, token):
        self.session, self.socket, self.address, self.token = session, socket, address, token
        self.sequence, self.session_id = None, None

    async def receive(self, wanted, seconds=10.0):
        """The data of the next event of that name, or of the next message with that opcode."""
        async with asyncio.timeout(seconds):
            while True:
                message = json.loads(await self.socket.receive_str())
                self.sequence = message["s"] or self.sequence
                if wanted in (message["t"], message["op"]):
                    return message["d"]

    async def close_code(self, seconds=5.0):
        """With which it is closed by the other side."""
        async with asyncio.timeout(seconds):
            while not (message := await self.socket.receive()).type.name.startswith("CLOS"):
                pass
        return self.socket.close_code if message.type.name != "CLOSE" else message.data

    async def send(self, op, data):
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def identify(self, library="wire", shard=(0, 1)):
        properties = {"os": "linux", "browser": library, "device": library}
        await self.send(2, {"token": self.token, "intents": INTENTS, "properties": properties, "shard": shard})
        ready = await self.receive("READY")
        self.session_id = ready["session_id"]
        for _ in ready["guilds"]:
            await self.receive("GUILD_CREATE")

    async def resume(self, earlier):
        await self.send(6, {"token": self.token, "session_id": earlier.session_id, "seq": earlier.sequence})

    async def request(self, method, path, **options):
        """The status."""
        headers = {"Authorization": f"Bot {self.token}"}
        url = f"{self.address}/api/v10{path}"
        async with self.session.request(method, url, headers=headers, **options) as response:
            return response.status

    async def answer(self, interaction, data):
        """The status of a callback."""
        path = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
        return await self.request("POST", path, json=data)


@asynccontextmanager
async def connected(address, token, *, ssl=True):
    """Up to HELLO."""
    gateway = f"{address.replace('http', 'ws', 1)}/?v=10&encoding=json"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ssl)) as session,
        session.ws_connect(gateway) as socket,
    ):
        wire = Wire(session, socket, address, token)
        await wire.receive(10)
        yield wire


@asynccontextmanager
async def identified(address, token, **named):
    """Up to READY."""
    async with connected(address, token) as wire:
        await wire.identify(**named)
        yield wire
