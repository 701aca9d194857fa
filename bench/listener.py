"""Clients of the relay's gateway, as cheap as they can be: they count frames, and note how old these are."""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import zstandard

from bench import processes
from bench.meter import Meter
from bench.processes import Json

_STAMP = re.compile(r'"nonce":"(\d+\.\d+)"')
_INTENTS = (1 << 17) - 1 & ~(1 << 8)


class Listeners:
    """All are one sandbox's."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address.replace("http", "ws", 1), token
        self._http = aiohttp.ClientSession()
        self._reading: set[asyncio.Task[None]] = set()
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._sessions: list[tuple[str, int]] = []
        self._latencies_ms: list[float] | None = None
        self._progress = asyncio.Event()
        self.frames = 0

    async def connect(self, count: int, compress: str = "") -> Json:
        """Milliseconds from IDENTIFY to the last guild, of each, one after the other."""
        return {"ms": [await self._connect_one(compress) for _ in range(count)]}

    async def leave(self, resumably: bool = False) -> Json:
        """All of them, for good or until `resume`."""
        for socket in self._sockets:
            await socket.close(code=4000 if resumably else 1000)
        await asyncio.gather(*self._reading)
        self._sockets, self._reading = [], set()
        if not resumably:
            self._sessions = []
        return {}

    async def resume(self, compress: str = "") -> Json:
        """All that have left, at the beginning of their sessions, and without waiting for what they have missed."""
        for session_id, sequence in self._sessions:
            socket = await self._open(compress)
            self._follow(socket)
            session = {"token": self._token, "session_id": session_id, "seq": sequence}
            await socket.send_str(json.dumps({"op": 6, "d": session}))
        return {}

    async def latencies(self, events: int) -> Json:
        """Milliseconds from sending to receiving of the next so many events, sorted."""
        found: list[float] = []
        self._latencies_ms = found
        async with asyncio.timeout(60):
            while len(found) < events:
                self._progress.clear()
                await self._progress.wait()
        self._latencies_ms = None
        return {"ms": sorted(found)}

    async def close(self) -> None:
        await self.leave()
        await self._http.close()

    async def _connect_one(self, compress: str) -> float:
        socket = await self._open(compress)
        read = _reader(compress)
        read((await socket.receive()).data)
        identify = {"token": self._token, "intents": _INTENTS, "properties": {"browser": "bench"}}
        started_at = time.perf_counter()
        await socket.send_str(json.dumps({"op": 2, "d": identify}))
        ready = json.loads(read((await socket.receive()).data))["d"]
        for _ in ready["guilds"]:
            await socket.receive()
        took = time.perf_counter() - started_at
        self._sessions.append((ready["session_id"], 1 + len(ready["guilds"])))
        self._follow(socket)
        return took * 1000

    async def _open(self, compress: str) -> aiohttp.ClientWebSocketResponse:
        query = f"/?v=10&encoding=json{compress and f'&compress={compress}'}"
        return await self._http.ws_connect(self._address + query, max_msg_size=0)

    def _follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._sockets.append(socket)
        self._reading.add(asyncio.create_task(self._read(socket)))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.frames += 1
            if self._latencies_ms is not None and (stamp := _STAMP.search(message.data)):
                self._latencies_ms.append((time.monotonic() - float(stamp[1])) * 1000)
                self._progress.set()


def _reader(compress: str) -> Callable[[Any], bytes]:
    """Of the connection's first frames; afterwards they are only counted."""
    if compress == "zlib-stream":
        return zlib.decompressobj().decompress
    if compress == "zstd-stream":
        return zstandard.ZstdDecompressor().decompressobj().decompress
    return lambda data: data


async def main() -> None:
    config = processes.config()
    listeners = Listeners(config["address"], config["token"])
    meter = Meter(lambda: listeners.frames)
    await processes.serve(
        {
            "connect": listeners.connect,
            "leave": listeners.leave,
            "resume": listeners.resume,
            "latencies": listeners.latencies,
            "expect": meter.expect,
            "measure": meter.measure,
        }
    )
    await listeners.close()


if __name__ == "__main__":
    asyncio.run(main())
