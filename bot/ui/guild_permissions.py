"""Which Discord servers somebody manages, asked of Discord: the bot keeps no members."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from enum import Enum, auto

import aiohttp
import discord

from bot import constants, request
from bot.client import Interaction, SandboxBot
from bot.discord_away import is_refusal
from bot.errors import NotAllowed

_NO_SUCH_PERSON = frozenset({10007, 10013})
"""Discord's codes for an unknown member and an unknown user. Any other 404 is about the server, or not Discord's."""


async def require_manage_guild(interaction: Interaction, guild_id: int) -> str:
    """The server's name, if the bot is in it and the asker has Manage Server there; `NotAllowed` otherwise.

    Where Discord gives no definite answer its error is raised.
    """
    with request.waiting_for("Discord"):
        try:
            guild = await find_guild(interaction.client, guild_id)
            manages = guild is not None and await _manages(interaction, guild)
        except (discord.NotFound, discord.Forbidden) as error:
            if not is_refusal(error):
                raise
            guild = None  # it was removed, and has not been told yet
    if guild is None:
        raise NotAllowed("The bot is not in server {server}. Invite it there first.", server=guild_id)
    if not manages:
        raise NotAllowed("You need “Manage Server” in {server} to bind it.", server=guild.name)
    return guild.name


def manages_here(interaction: Interaction, guild_id: int) -> bool:
    """Whether it is from that server, and Discord says with it that the asker has Manage Server there."""
    permissions = interaction.permissions
    return interaction.guild_id == guild_id and (permissions.manage_guild or permissions.administrator)


class Right(Enum):
    """What Discord says of somebody's Manage Server in a server. `UNKNOWN`: it says nothing definite."""

    HELD = auto()
    LOST = auto()
    UNKNOWN = auto()


async def read_right(bot: SandboxBot, guild_id: int, user_id: int) -> Right:
    """One request if it is held; before it counts as lost, owner, roles and member are all read afresh."""
    known = bot.get_guild(guild_id)
    if known is not None and known.unavailable:
        return Right.UNKNOWN
    try:
        async with asyncio.timeout(constants.BINDING_ANSWER_TIMEOUT_S):
            if known is not None and await _is_manager(known, user_id):
                return Right.HELD
            fresh = await bot.fetch_guild(guild_id, with_counts=False)
            return Right.HELD if await _is_manager(fresh, user_id) else Right.LOST
    except (discord.DiscordException, aiohttp.ClientError, OSError):
        return Right.UNKNOWN


async def find_guild(bot: SandboxBot, guild_id: int) -> discord.Guild | None:
    """None if the bot is not in it."""
    cached = bot.get_guild(guild_id)
    if cached is not None and not cached.unavailable:
        return cached
    try:
        return await bot.fetch_guild(guild_id, with_counts=False)
    except (discord.NotFound, discord.Forbidden) as error:
        if not is_refusal(error):
            raise
        return None


class ManagedGuilds:
    """The servers that somebody manages, for suggestions alone: what is remembered may be a minute old."""

    def __init__(self) -> None:
        self._manages: dict[tuple[int, int], tuple[float, bool]] = {}
        self._listed: tuple[float, list[discord.Guild]] = (0.0, [])

    async def search(self, interaction: Interaction, typed: str, *, limit: int) -> list[discord.Guild]:
        """Those whose name or id contains what is typed, the one where it is typed first.

        Of many, or when Discord is slow, some may be missing: what is answered late is no suggestion any more.
        """
        matching = [guild for guild in await self.all(interaction.client) if _matches(guild, typed)]
        matching.sort(key=lambda guild: (guild.id != interaction.guild_id, guild.name.lower()))
        managed = await self._filter_managed(interaction, matching[: constants.MANAGED_GUILD_CANDIDATES])
        return [guild for guild in matching if guild.id in managed][:limit]

    async def all(self, bot: SandboxBot) -> list[discord.Guild]:
        """Every server that the bot is in; a bot that went on with its last session has not been told of them."""
        if bot.is_ready():
            return list(bot.guilds)
        until, listed = self._listed
        if until < time.monotonic():
            listed = [guild async for guild in bot.fetch_guilds(limit=None, with_counts=False)]
            self._listed = (time.monotonic() + constants.GUILD_CACHE_S, listed)
        return listed

    async def _filter_managed(self, interaction: Interaction, guilds: Iterable[discord.Guild]) -> set[int]:
        """The ids of those that the asker manages, as far as Discord has answered in time."""
        slots = asyncio.Semaphore(constants.MANAGED_GUILD_CONCURRENCY)
        managed: set[int] = set()

        async def ask(guild: discord.Guild) -> None:
            async with slots:
                if await self._manages_cached(interaction, guild):
                    managed.add(guild.id)

        tasks = [asyncio.create_task(ask(guild)) for guild in guilds]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=constants.MANAGED_GUILD_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return managed

    async def _manages_cached(self, interaction: Interaction, guild: discord.Guild) -> bool:
        key, now = (interaction.user.id, guild.id), time.monotonic()
        if len(self._manages) > constants.GUILD_CACHE_ENTRIES:
            self._manages.clear()
        known = self._manages.get(key)
        if known is None or known[0] < now:
            known = (now + constants.GUILD_CACHE_S, await _manages(interaction, guild))
            self._manages[key] = known
        return known[1]


async def _manages(interaction: Interaction, guild: discord.Guild) -> bool:
    user = interaction.user
    if guild.owner_id is None:  # one of a list, which tells no more than its name
        guild = await interaction.client.fetch_guild(guild.id, with_counts=False)
    if guild.owner_id == user.id:
        return True
    if interaction.guild_id == guild.id:
        return manages_here(interaction, guild.id)
    return await _is_manager(guild, user.id)


async def _is_manager(guild: discord.Guild, user_id: int) -> bool:
    """Raises whatever is no definite answer."""
    if guild.owner_id == user_id:
        return True
    try:
        member = await guild.fetch_member(user_id)
    except discord.NotFound as error:
        if error.code in _NO_SUCH_PERSON:
            return False
        raise
    return member.guild_permissions.manage_guild


def _matches(guild: discord.Guild, typed: str) -> bool:
    return typed.strip().lower() in guild.name.lower() or str(guild.id).startswith(typed.strip())
