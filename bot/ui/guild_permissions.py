"""Which Discord servers somebody manages, asked of Discord: the bot keeps no members."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import discord

from bot.client import Interaction, SandboxBot
from bot.errors import NotAllowed

_CANDIDATES = 40
_AT_ONCE = 8
_REMEMBER_S = 60.0
_ANSWER_WITHIN_S = 2.0


async def require_manage_guild(interaction: Interaction, server_id: int) -> str:
    """The server's name, if the bot is in it and the asker has Manage Server there; `NotAllowed` otherwise."""
    server = await find_guild(interaction.client, server_id)
    if server is None:
        raise NotAllowed("The bot is not in server {server}. Invite it there first.", server=server_id)
    if not await _manages(interaction, server):
        raise NotAllowed("You need “Manage Server” in {server} to bind it.", server=server.name)
    return server.name


async def find_guild(bot: SandboxBot, server_id: int) -> discord.Guild | None:
    """None if the bot is not in it."""
    cached = bot.get_guild(server_id)
    if cached is not None and not cached.unavailable:
        return cached
    try:
        return await bot.fetch_guild(server_id, with_counts=False)
    except (discord.NotFound, discord.Forbidden):
        return None


class ManagedGuilds:
    """The servers that somebody manages, remembered for a minute so that typing costs Discord no question a key."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[float, bool]] = {}
        self._listed: tuple[float, list[discord.Guild]] = (0.0, [])

    async def search(self, interaction: Interaction, typed: str, *, limit: int = 25) -> list[discord.Guild]:
        """Those whose name or id contains what is typed, the one where it is typed first."""
        matching = [server for server in await self.all(interaction.client) if _matches(server, typed)]
        matching.sort(key=lambda server: (server.id != interaction.guild_id, server.name.lower()))
        managed = await self._ask(interaction, matching[:_CANDIDATES])
        return [server for server in matching if server.id in managed][:limit]

    async def all(self, bot: SandboxBot) -> list[discord.Guild]:
        """Every server that the bot is in; a bot that went on with its last session has not been told of them."""
        if bot.is_ready():
            return list(bot.guilds)
        until, listed = self._listed
        if until < time.monotonic():
            listed = [server async for server in bot.fetch_guilds(limit=None, with_counts=False)]
            self._listed = (time.monotonic() + _REMEMBER_S, listed)
        return listed

    async def _ask(self, interaction: Interaction, servers: Iterable[discord.Guild]) -> set[int]:
        room = asyncio.Semaphore(_AT_ONCE)
        managed: set[int] = set()

        async def ask(server: discord.Guild) -> None:
            async with room:
                if await self._remembered(interaction, server):
                    managed.add(server.id)

        tasks = [asyncio.create_task(ask(server)) for server in servers]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_ANSWER_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return managed

    async def _remembered(self, interaction: Interaction, server: discord.Guild) -> bool:
        key, now = (interaction.user.id, server.id), time.monotonic()
        if len(self._known) > 10_000:
            self._known.clear()
        known = self._known.get(key)
        if known is None or known[0] < now:
            known = (now + _REMEMBER_S, await _manages(interaction, server))
            self._known[key] = known
        return known[1]


async def _manages(interaction: Interaction, server: discord.Guild) -> bool:
    user = interaction.user
    if server.owner_id is None:  # one of a list, which tells no more than its name
        server = await interaction.client.fetch_guild(server.id, with_counts=False)
    if server.owner_id == user.id:
        return True
    if interaction.guild_id == server.id:
        return interaction.permissions.manage_guild or interaction.permissions.administrator
    try:
        member = await server.fetch_member(user.id)
    except discord.HTTPException:
        return False
    return member.guild_permissions.manage_guild


def _matches(server: discord.Guild, typed: str) -> bool:
    return typed.strip().lower() in server.name.lower() or str(server.id).startswith(typed.strip())
