"""A client's shards, each of which connects again by itself, until Discord refuses them for good.

By itself discord.py has all shards connect again one after the other, within a minute each, without a pause where a
RESUME is cut, and prints a traceback for every attempt that fails.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import discord
import discord.shard
from discord.shard import EventItem, EventType

from bot.routing import close_codes
from bot.routing.tap import Tap

taps: WeakKeyDictionary[discord.Client, Tap] = WeakKeyDictionary()
"""The clients whose events are routed. Any other has discord.py's own behaviour."""


class SupervisedShard(discord.shard.Shard):
    """A shard whose pauses keep no other shard waiting: it connects again in a task of its own."""

    async def reidentify(self, exc: discord.gateway.ReconnectWebSocket) -> None:
        """In place of discord.py's own. Whether it resumes or begins anew, the tap knows best."""
        await (self.reconnect() if self._client in taps else super().reidentify(exc))

    async def reconnect(self) -> None:
        """In place of discord.py's own; returns at once."""
        if self._client not in taps:
            await super().reconnect()
            return
        self._cancel_task()
        self._dispatch("disconnect")
        self._dispatch("shard_disconnect", self.id)
        self._task = asyncio.create_task(self._connect_again())

    async def _connect_again(self) -> None:
        try:
            self.ws = await discord.shard.DiscordWebSocket.from_client(self._client, shard_id=self.id)
        except Exception as error:  # nothing that a later attempt would mend
            self._queue_put(EventItem(EventType.terminate, self, error))
        else:
            await self.worker()


async def serve(client: discord.AutoShardedClient) -> None:
    """Keep the client's shards connected until it is closed.

    `SettingsError`: Discord refuses one of them for good, be it while others still connect.
    """
    refused = taps[client].refused
    connecting = asyncio.create_task(client.connect())
    ended: set[asyncio.Future[Any]] = {connecting, refused}
    try:
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        if refused.done():
            raise close_codes.explain(refused.result())
        connecting.result()
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
