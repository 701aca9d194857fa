"""What the health of a sandbox is read from outside the control plane: the router's table, and Discord over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress

import aiohttp
import discord

from bot import constants, names
from bot.clock import elapsed
from bot.concurrency import failures, gather_bounded
from bot.discord_away import is_refusal
from bot.errors import ServiceUnavailable
from bot.routing.gateway import set_api_base
from bot.routing.table import RouteTable
from bot.sandboxes.health import GuildPresence, InspectGuilds, Routes
from bot.sandboxes.model import Sandbox
from bot.settings import Settings, SettingsError
from bot.supervisor import State, Supervisor

_UNREACHABLE = (discord.HTTPException, aiohttp.ClientError, OSError)


class RoutesInForce:
    """The routes by which the router of this process goes."""

    def __init__(self, table: RouteTable, supervisor: Supervisor, withheld: Mapping[str, int]) -> None:
        """`withheld`: how many private answers were not forwarded, by a sandbox's prefix."""
        self._table, self._supervisor, self._withheld = table, supervisor, withheld

    async def read(self, sandbox: Sandbox) -> Routes:
        """A `ReadRoutes`. They may be stale while the part that follows PostgreSQL fails."""
        prefix, now = names.event_subject_prefix(sandbox.id), elapsed()
        routes = {guild_id: self._table.lookup(guild_id, now) for guild_id in sandbox.guild_ids}
        part = self._supervisor.parts.get("routes")
        stale = part.last_error if part is not None and part.state is State.FAILING else None
        in_force = frozenset(guild_id for guild_id, route in routes.items() if route and route.prefix == prefix)
        return Routes(in_force, stale, withheld=self._withheld.get(prefix, 0))


class StorageTrouble:
    """Why the events of this process are not stored."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def read(self) -> str:
        """For an operator; empty if they are."""
        part = self._supervisor.parts.get("storage")
        return part.last_error or "" if part is not None and part.state is State.FAILING else ""


class GuildInspector:
    """Asks Discord where the bot is and what it sees there: the same for the bot's process and the command line."""

    def __init__(self, get_client: Callable[[], Awaitable[discord.Client]]) -> None:
        """`get_client` gives one that is logged in, or raises `ServiceUnavailable`. It needs no gateway."""
        self._get_client = get_client

    async def inspect(self, guild_ids: Collection[int]) -> Mapping[int, GuildPresence]:
        """An `InspectGuilds`: of the first `NAMED_GUILDS`, what Discord answers in `GUILD_INSPECTION_TIMEOUT_S`."""
        found: dict[int, GuildPresence] = {}

        async def ask(guild_id: int) -> None:
            found[guild_id] = await _presence(client, guild_id)

        with suppress(TimeoutError):
            async with asyncio.timeout(constants.GUILD_INSPECTION_TIMEOUT_S):
                client = await self._get_client()
                asked = list(guild_ids)[: constants.NAMED_GUILDS]
                outcomes = await gather_bounded(asked, ask, limit=constants.GUILD_INSPECTION_CONCURRENCY)
                for failure in failures(outcomes):
                    if not isinstance(failure, _UNREACHABLE):
                        raise failure
        return found


class RememberedGuilds:
    """Asks about the same guilds only every so often; meanwhile what was told last holds, be it a failure."""

    def __init__(self, inspect: InspectGuilds, every_s: float) -> None:
        self._inspect, self._every_s = inspect, every_s
        self._ask_at = 0.0  # of elapsed()
        self._asked: frozenset[int] = frozenset()
        self._told: Mapping[int, GuildPresence] = {}
        self._failure: str | None = None

    async def inspect(self, guild_ids: Collection[int]) -> Mapping[int, GuildPresence]:
        """An `InspectGuilds`."""
        if elapsed() >= self._ask_at or not self._asked.issuperset(guild_ids):
            self._ask_at, self._asked = elapsed() + self._every_s, frozenset(guild_ids)
            self._told, self._failure = {}, None
            try:
                self._told = await self._inspect(guild_ids)
            except ServiceUnavailable as error:
                self._failure = error.detail
        if self._failure is not None:
            raise ServiceUnavailable("Discord", self._failure)
        return {guild_id: self._told[guild_id] for guild_id in guild_ids if guild_id in self._told}


@asynccontextmanager
async def open_inspector(settings: Settings) -> AsyncIterator[InspectGuilds | None]:
    """With a client of its own, which logs in when it is first needed, and bounded for whoever asks again and again;
    None if no token is configured."""
    token = settings.discord.token.get_secret_value().strip()
    if not token:
        yield None
        return
    set_api_base(settings.discord.api_base)
    clients: list[discord.Client] = []

    async def get_client() -> discord.Client:
        if not clients or clients[-1].user is None:
            clients.append(http_client())
            await _login(clients[-1], token)
        return clients[-1]

    try:
        yield RememberedGuilds(GuildInspector(get_client).inspect, constants.GUILDS_INSPECTED_EVERY_S).inspect
    finally:
        for client in clients:
            await client.close()


def http_client(trace: aiohttp.TraceConfig | None = None) -> discord.Client:
    """For Discord's HTTP API alone; without the intent for guilds discord.py would warn."""
    return discord.Client(intents=discord.Intents(guilds=True), http_trace=trace or aiohttp.TraceConfig())


async def log_in(client: discord.Client, settings: Settings) -> None:
    """To Discord's HTTP API. `SettingsError`: the token is refused; `ServiceUnavailable`: no good answer."""
    try:
        await client.login(settings.require_token())
    except discord.LoginFailure:
        raise SettingsError("discord.token: Discord refuses it; set DISCORD_TOKEN to the bot's token.") from None
    except _UNREACHABLE as error:
        raise ServiceUnavailable("Discord", f"{settings.discord.api_base}: {error}") from error


async def _login(client: discord.Client, token: str) -> None:
    try:
        await client.login(token)
    except discord.LoginFailure:
        raise ServiceUnavailable("Discord", "it refuses the token") from None
    except _UNREACHABLE as error:
        raise ServiceUnavailable("Discord", str(error)) from error


async def _presence(client: discord.Client, guild_id: int) -> GuildPresence:
    try:
        guild = await client.fetch_guild(guild_id, with_counts=False)
    except (discord.NotFound, discord.Forbidden) as error:
        if not is_refusal(error):
            raise
        return GuildPresence(False)
    assert client.user is not None
    channels, member = await asyncio.gather(guild.fetch_channels(), guild.fetch_member(client.user.id))
    return GuildPresence(True, guild.name, tuple(channel.name for channel in channels if is_hidden(channel, member)))


def is_hidden(channel: discord.abc.GuildChannel, member: discord.Member) -> bool:
    """A category has nothing to see but its channels, which may be open where it is not."""
    is_category = isinstance(channel, discord.CategoryChannel)
    return not is_category and not channel.permissions_for(member).view_channel
