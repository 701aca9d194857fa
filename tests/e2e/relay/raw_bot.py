"""A client of the gateway that says just what a test wants, and notes what it is told."""

from __future__ import annotations

import asyncio
import zlib
from typing import NamedTuple

import aiohttp
import orjson
import zstandard

DEFAULT_INTENTS = (1 << 17) - 1 & ~(1 << 8)
"""All but presences."""


class Told(NamedTuple):
    number: int
    name: str
    data: dict


class Closed(Exception):
    """By the relay, with that code."""


class RawBot:
    """`sequence` and `session_id` are what it would resume with; they may be changed."""

    def __init__(self, environment, *, intents=DEFAULT_INTENTS, shard=None, compress=None):
        self.token, self._address = environment["SANDBOX_BOT_TOKEN"], environment["SANDBOX_BOT_GATEWAY"]
        self._intents, self._shard, self._compress = intents, shard, compress
        self.told, self.operations = [], []
        self.sequence = self.session_id = self.resume_address = None
        self.closed_with = None
        self._changed = asyncio.Condition()
        self._http = self._socket = self.transport = None
        self._reading = None

    async def __aenter__(self):
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_):
        await self.cut()
        await self._http.close()

    async def connect(self):
        query = f"/?v=10&encoding=json{f'&compress={self._compress}' if self._compress else ''}"
        self._socket = await self._http.ws_connect(self._address + query, max_msg_size=0, autoclose=True)
        self.transport, self.closed_with = self._socket._response.connection.transport, None
        self._reading = asyncio.create_task(self._read(self._socket, _decompressor(self._compress)))
        await self.until(lambda: 10 in self.operations, 30)
        return self

    async def identify(self):
        """Returns when it has READY and its guilds."""
        self.operations.clear()
        await self.connect()
        before = len(self.told)
        await self.say_identify()
        await self.until(lambda: len(self.told) > before)
        ready = self.told[before]
        await self.until(lambda: len(self.told) > before + len(ready.data["guilds"]))
        return self

    async def say_identify(self):
        data = {"token": self.token, "intents": self._intents, "properties": {"browser": "raw"}}
        await self.say(2, data | ({"shard": self._shard} if self._shard else {}))

    async def resume(self):
        """Returns when it is told that it has resumed, or has to identify."""
        self.operations.clear()
        await self.connect()
        before = self.count("RESUMED")
        await self.say(6, {"token": self.token, "session_id": self.session_id, "seq": self.sequence})
        await self.until(lambda: self.count("RESUMED") > before or 9 in self.operations)
        return self

    async def say(self, op, data=None):
        await self._socket.send_bytes(orjson.dumps({"op": op, "d": data}))

    async def cut(self):
        """As when the network fails: nothing is said, and what is unread is lost."""
        if self._socket is None:
            return
        self.transport.abort()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()

    async def until(self, condition, seconds=10.0):
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def hears(self, name, where=lambda told: True, seconds=10.0):
        """The first such event of all."""
        find = lambda: next((told for told in self.told if told.name == name and where(told)), None)  # noqa: E731
        await self.until(find, seconds)
        return find()

    async def is_closed(self, seconds=10.0):
        """The code that the relay has closed with."""
        await self.until(lambda: self.closed_with is not None, seconds)
        return self.closed_with

    def count(self, name):
        return sum(told.name == name for told in self.told)

    @property
    def numbers(self):
        """Of the numbered messages, in the order in which they came."""
        return [told.data["number"] for told in self.told if "number" in (told.data or {})]

    @property
    def contents(self):
        return [told.data["content"] for told in self.told if told.name == "MESSAGE_CREATE"]

    async def _read(self, socket, decompress):
        async for message in socket:
            text = decompress(message.data)
            await self._hear(orjson.loads(text))
        async with self._changed:
            self.closed_with = socket.close_code or 1006
            self._changed.notify_all()

    async def _hear(self, heard):
        async with self._changed:
            if heard["op"] == 0:
                self.sequence = heard["s"]
                self.told.append(Told(heard["s"], heard["t"], heard["d"]))
                if heard["t"] == "READY":
                    self.session_id = heard["d"]["session_id"]
                    self.resume_address = heard["d"]["resume_gateway_url"]
            else:
                self.operations.append(heard["op"])
            self._changed.notify_all()


class LivingBot(RawBot):
    """One that resumes, or begins anew, for as long as it lives. `beginnings` are its sessions."""

    beginnings = 0

    async def live(self):
        while True:
            try:
                await self._connect_once()
            except (aiohttp.ClientError, OSError, TimeoutError):
                await self.cut()
                await asyncio.sleep(0.05)

    async def _connect_once(self):
        self.operations.clear()
        await self.connect()
        if self.session_id is None:
            self.beginnings += 1
            await self.say_identify()
        else:
            await self.say(6, {"token": self.token, "session_id": self.session_id, "seq": self.sequence})
        await self.until(lambda: self.closed_with is not None or 9 in self.operations, 3600)
        if 9 in self.operations:
            self.session_id = None
        await self.cut()


def _decompressor(method):
    if method == "zlib-stream":
        return zlib.decompressobj().decompress
    if method == "zstd-stream":
        return zstandard.ZstdDecompressor().decompressobj().decompress
    return lambda data: data
