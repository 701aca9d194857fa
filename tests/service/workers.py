"""What the tests of the worker kit share."""

from __future__ import annotations

import asyncio
import json
import os
import signal

from sandbox_worker import Sandbox
from tests.service.conftest import ADA

GUILD = 300_000_000_000_000_001


def dispatch(name, **data):
    """A gateway event as it comes over the wire."""
    return json.dumps({"op": 0, "t": name, "s": 1, "d": {"guild_id": str(GUILD), **data}}).encode()


class Place:
    """A sandbox, the bot's side of its stream, and its worker's environment."""

    def __init__(self, manager, nats_client, sandbox, environment):
        self.manager, self.nats, self.sandbox, self.environment = manager, nats_client, sandbox, environment

    def worker(self, **changes):
        return Sandbox.from_env({**self.environment, **changes})

    async def send(self, name="MESSAGE_CREATE", *, headers=None, raw=None, **data):
        subject = f"{self.sandbox.nats_prefix}events.{name}"
        payload = dispatch(name, **data) if raw is None else raw
        return (await self.nats.jetstream().publish(subject, payload, headers=headers)).seq

    async def send_many(self, count, start=0):
        """Messages with the contents `start`, `start` + 1, …"""
        subject = f"{self.sandbox.nats_prefix}events.MESSAGE_CREATE"
        for number in range(start, start + count):
            await self.nats.publish(subject, dispatch("MESSAGE_CREATE", content=str(number)))
        await self.nats.flush()

    async def waiting(self):
        """Events that are stored and not settled."""
        stats = await self.manager.streams.stats(self.sandbox.id)
        return stats.waiting

    async def is_left(self):
        """Whether the server knows that no worker waits for events: what it sends to one that is just lost comes again
        after 30 seconds only."""
        return (await self.manager.streams.stats(self.sandbox.id)).workers == 0

    async def until(self, condition, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.02)

    async def until_settled(self, left=0):
        async def settled():
            return await self.waiting() == left

        await self.until(settled)


class Gate:
    """A way to a server on 127.0.0.1 that can be shut, which cuts off what is on it, or stand still."""

    def __init__(self, url):
        self._target = int(url.rpartition(":")[2])
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._moves = asyncio.Event()
        self._moves.set()
        self.port = 0

    def of(self, url):
        """The address through the gate."""
        return f"{url.rpartition(':')[0]}:{self.port}"

    async def open(self):
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def is_used(self):
        """Whether somebody is on it."""
        return bool(self._writers)

    def freeze(self):
        """Nothing passes any more, and nobody is told."""
        self._moves.clear()

    async def shut(self):
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()
        await self._server.wait_closed()

    async def _pass(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader, writer):
        self._writers.add(writer)
        try:
            while data := await reader.read(65536):
                await self._moves.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class OwnNats:
    """The session's stores, but for a NATS server that a test may kill. The guardian starts it again."""

    def __init__(self, stores, own):
        self._own = own
        self.redis_url, self.nats_url, self.nats_callout = stores.redis_url, own.nats_url, own.nats_callout

    async def kill(self, client):
        """Returns when it runs again and the client is connected."""
        pid = self._own.pids["nats"]
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(15):
            while self._own.pids.get("nats", pid) == pid or not client.is_connected:
                await asyncio.sleep(0.02)


async def make_place(manager, nats_client, **order):
    sandbox = await manager.create(ADA, **order)
    details = await manager.issue_credentials(ADA, sandbox.id)
    return Place(manager, nats_client, sandbox, dict(details.environment))


async def take(events, count, *, seconds=15.0):
    """The next so many events, acknowledged."""
    found = []
    async with asyncio.timeout(seconds):
        async for event in events:
            await event.ack()
            found.append(event)
            if len(found) == count:
                break
    return found
