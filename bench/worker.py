"""A worker of every sandbox, which notes how long ago what it receives was sent."""

from __future__ import annotations

import asyncio
import json
import re
import time
from uuid import UUID

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench import processes
from bench.processes import Json
from bot import names
from sandbox_worker import protocol

_STAMP = re.compile(rb'"nonce":"(\d+\.\d+)"')
_AT_A_TIME = 20_000


class Worker:
    """Asks each stream's durable consumer once for all that will come, so that nothing waits for a question."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._latencies_ms: list[float] = []
        self._progress = asyncio.Event()

    async def watch(self, sandboxes: list[str]) -> Json:
        inbox = self._client.new_inbox()
        await self._client.subscribe(inbox, cb=self._receive)
        request = json.dumps({"batch": _AT_A_TIME, "expires": 600 * 10**9}).encode()
        for sandbox in sandboxes:
            stream = names.stream_name(UUID(sandbox))
            await self._client.publish(protocol.pull_subject(stream), request, reply=inbox)
        await self._client.flush()
        return {}

    async def latencies(self, events: int) -> Json:
        """Milliseconds from sending to receiving of the next so many events, sorted."""
        async with asyncio.timeout(60):
            while len(self._latencies_ms) < events:
                self._progress.clear()
                await self._progress.wait()
        found, self._latencies_ms = self._latencies_ms, []
        return {"ms": sorted(found)}

    async def _receive(self, message: Msg) -> None:
        stamp = _STAMP.search(message.data)
        if stamp and float(stamp[1]):
            self._latencies_ms.append((time.monotonic() - float(stamp[1])) * 1000)
            self._progress.set()
        await message.ack()


async def main() -> None:
    client = await nats.connect(processes.config()["nats"])
    worker = Worker(client)
    await processes.serve({"watch": worker.watch, "latencies": worker.latencies})
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
