"""Frees the servers that the bot has been removed from, also while it was away. An outage is no removal."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp
import discord
from discord.ext import commands

from bot import constants
from bot.client import SandboxBot
from bot.discord_away import is_refusal
from bot.errors import ServiceUnavailable
from bot.supervisor import Part


class GuildRemovals(commands.Cog):
    """Believes Discord's word that the bot was removed. What is merely not there it asks for over HTTP first: after a
    resume across a restart Discord names no guild at all."""

    def __init__(self, bot: SandboxBot) -> None:
        self._bot = bot
        self._removed: dict[int, str] = {}
        self._connected = False
        self._wake = asyncio.Event()

    @commands.Cog.listener()
    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Discord says that the bot was removed: discord.py calls this for no outage."""
        self._removed[guild.id] = guild.name
        self._wake.set()

    @commands.Cog.listener()
    async def on_shard_ready(self, _: int) -> None:
        """Discord has named every guild of a new session. Of several shards other processes may have some."""
        self._session_is_known()

    @commands.Cog.listener()
    async def on_shard_resumed(self, _: int) -> None:
        """What happened meanwhile has been replayed, but a session of an earlier process names no guild again."""
        self._session_is_known()

    @commands.Cog.listener()
    async def on_socket_event_type(self, event: str) -> None:
        """discord.py drops the removal from a server that it was not told of."""
        if event == "GUILD_DELETE":
            self._wake.set()

    async def run(self, part: Part) -> None:
        """For ever: checks when an event gives a reason to, and now and then without one."""
        while True:
            part.running()
            with suppress(TimeoutError):
                async with asyncio.timeout(constants.GUILD_REMOVAL_CHECK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.check()
            except BaseException as error:
                self._wake.set()  # for the next try
                if isinstance(error, (discord.HTTPException, aiohttp.ClientError, OSError)):
                    raise ServiceUnavailable("Discord", repr(error)) from error
                raise

    async def check(self) -> None:
        """Free what the bot was removed from, and what it turns out to be in no more."""
        for guild_id, name in tuple(self._removed.items()):
            await self._bot.manager.release_guild(guild_id, name)
            self._removed.pop(guild_id, None)
        if not self._connected:
            return
        for guild_id in await self._bot.manager.list_bound_guilds():
            if self._is_missing(guild_id) and await self._has_left(guild_id):
                await self._bot.manager.release_guild(guild_id)

    def _session_is_known(self) -> None:
        """Guilds with an outage are among those of a session; what is not is asked for."""
        self._connected = True
        self._wake.set()

    def _is_missing(self, guild_id: int) -> bool:
        """Whether a shard of this process should know it and does not."""
        shard = (guild_id >> 22) % (self._bot.shard_count or 1)
        return shard in self._bot.connected_shards and self._bot.get_guild(guild_id) is None

    async def _has_left(self, guild_id: int) -> bool:
        try:
            await self._bot.fetch_guild(guild_id, with_counts=False)
        except (discord.NotFound, discord.Forbidden) as error:
            if not is_refusal(error):
                raise
            return True
        return False
