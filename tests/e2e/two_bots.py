"""A local Discord that sends without a pause while bots come and go, and what came of it."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from tests.streams import sandbox_streams

EVENTS_PER_S = 300


class Load:
    """Events of one guild at a steady rate, and commands that each make a sandbox live a known time longer."""

    def __init__(self, discord, person, guild, *, commands=True, sandbox="blue"):
        self._does = (self._send, self._extend) if commands else (self._send,)
        self._discord, self._person, self.guild, self._sandbox = discord, person, guild, sandbox
        self.sent = []
        self.extensions = []
        """Of each that Discord took for accepted, whether it was answered with a success."""
        self.told_failed = 0
        """How many commands Discord has given up, and told the person so: no bot said within three seconds that it
        had them."""
        self._enough = asyncio.Event()

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(do()) for do in self._does]
        return self

    async def __aexit__(self, *_):
        self._enough.set()
        await asyncio.gather(*self._tasks)

    async def until_sent(self, more):
        goal = len(self.sent) + more
        while len(self.sent) < goal:
            await asyncio.sleep(0.01)

    async def _send(self):
        started_at, guild_id = time.monotonic(), self.guild.id
        while not self._enough.is_set():
            due = int((time.monotonic() - started_at) * EVENTS_PER_S)
            while len(self.sent) < due:
                event = {"guild_id": str(guild_id), "n": len(self.sent)}
                self.sent.append(await self._discord.dispatch("TYPING_START", event, guild_id=guild_id))
            await asyncio.sleep(0.005)

    async def _extend(self):
        while not self._enough.is_set():
            try:
                reply = await self._person.command(
                    "sandbox extend", channel=self.guild.general, sandbox=self._sandbox, by="1m"
                )
                if reply.failed:
                    self.told_failed += 1
                else:
                    self.extensions.append(reply.message is not None and "❌" not in str(reply.message.embeds))
            except TimeoutError:  # acknowledged by one that was killed then
                self.extensions.append(False)
            await asyncio.sleep(0.2)


async def stored_in(client, count):
    """The events of the one stream, all `count` of them, in their order."""
    events = await client.jetstream().subscribe("sandbox.*.events.TYPING_START", ordered_consumer=True)
    stored = [(await events.next_msg(timeout=10)).data.decode() for _ in range(count)]
    assert await count_stored(client) == count
    return stored


async def count_stored(client):
    """How many of the load's events are in the one stream, in which no gap is marked."""
    (stream,) = await sandbox_streams(client.jetstream())
    state = (await client.jetstream().stream_info(stream.config.name, subjects_filter=">")).state
    by_event = {subject.rpartition(".")[2]: count for subject, count in (state.subjects or {}).items()}
    assert "GATEWAY_GAP" not in by_event
    return by_event.get("TYPING_START", 0)


async def expiry(dsn):
    """When the one sandbox ends."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT expires_at FROM sandboxes")
    finally:
        await connection.close()
