"""An unmodified discord.py bot, connected to a local Discord: what the tests of the latter share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands
from discord.ext import commands
from yarl import URL

from local_discord import Guild, LocalDiscord, Person

Setup = Callable[["ProbeBot"], None]
DEFAULT_INTENTS = discord.Intents.default()


class ProbeBot(commands.AutoShardedBot):
    """Keeps what it hears, so that tests can wait for it."""

    def __init__(self, setup: Setup | None, intents: discord.Intents, **options: Any) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            intents=intents,
            guild_ready_timeout=0.2,
            enable_debug_events=True,
            **options,
        )
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self.raw: list[str] = []
        self.errors: list[BaseException] = []
        self._heard_more = asyncio.Event()
        self._setup = setup
        self.tree.error(self._keep_error)

    async def setup_hook(self) -> None:
        if self._setup is not None:
            self._setup(self)
            await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the wait of five seconds."""

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        super().dispatch(event, *args, **kwargs)
        if event == "socket_raw_receive":
            self.raw.append(args[0])
        self.heard.append((event, args))
        self._heard_more.set()

    async def hears(self, event: str, wanted: Callable[..., bool] = lambda *_: True, *, timeout: float = 15) -> Any:
        """The first argument of the first such event, past or to come."""
        async with asyncio.timeout(timeout):
            while True:
                for name, args in self.heard:
                    if name == event and wanted(*args):
                        return args[0] if args else None
                self._heard_more.clear()
                await self._heard_more.wait()

    def count(self, event: str) -> int:
        return sum(name == event for name, _ in self.heard)

    async def _keep_error(self, interaction: discord.Interaction[Any], error: app_commands.AppCommandError) -> None:
        self.errors.append(error.__cause__ or error)
        self.dispatch("kept_error", error.__cause__ or error)


@asynccontextmanager
async def running(bot: commands.Bot | ProbeBot, local: LocalDiscord) -> AsyncIterator[None]:
    """The bot is logged in and connected to every shard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discord.http.Route, "BASE", local.api_base)
        patch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", URL(local.gateway_url))
        life = asyncio.create_task(bot.start(local.token))
        try:
            ready = asyncio.create_task(local.wait_ready())
            await asyncio.wait({life, ready}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                ready.cancel()
                await life
            await ready
            yield
        finally:
            await bot.close()
            await asyncio.gather(life, return_exceptions=True)
            await local.wait_until_gone()


@asynccontextmanager
async def connected(
    setup: Setup | None = None, *, shards: int = 1, intents: discord.Intents = DEFAULT_INTENTS, **options: Any
) -> AsyncIterator[tuple[LocalDiscord, ProbeBot]]:
    async with LocalDiscord(shards=shards) as local:
        bot = ProbeBot(setup, intents, **options)
        async with running(bot, local):
            yield local, bot


@asynccontextmanager
async def lab(
    *permissions: str, intents: discord.Intents = DEFAULT_INTENTS
) -> AsyncIterator[tuple[LocalDiscord, ProbeBot, Guild, Person]]:
    """A guild of Ada's that the bot knows, and where it has these permissions beside everybody's."""
    async with LocalDiscord() as local:
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        guild.add_member(local.bot_user, permissions=permissions)
        bot = ProbeBot(None, intents)
        async with running(bot, local):
            await bot.hears("ready")
            yield local, bot, guild, ada


def text_channel(bot: ProbeBot, guild: Guild) -> discord.TextChannel:
    """The guild's first, as the bot knows it."""
    channel = bot.get_channel(guild.general.id)
    assert isinstance(channel, discord.TextChannel)
    return channel


class Api:
    """Plain requests, as other libraries send them."""

    def __init__(self, local: LocalDiscord, session: aiohttp.ClientSession) -> None:
        self.local, self.session = local, session
        self.ada = local.add_person("ada")
        self.guild = local.add_guild("Lab", owner=self.ada)
        self.messages = f"/channels/{self.guild.general.id}/messages"

    async def __call__(self, method: str, path: str, *, base: str = "/api/v10", **options: Any) -> tuple[int, Any]:
        status, body, _ = await self.whole(method, path, base=base, **options)
        return status, body

    async def whole(self, method: str, path: str, *, base: str = "/api/v10", **options: Any) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bot {self.local.token}", **options.pop("headers", {})}
        url = self.local.api_base.removesuffix("/api/v10") + base + path
        async with self.session.request(method, url, headers=headers, **options) as response:
            body = await response.json() if response.status != 204 else None
            return response.status, body, response.headers


@asynccontextmanager
async def plain(*permissions: str) -> AsyncIterator[Api]:
    """Requests of a bot that has these permissions beside everybody's, in a guild of Ada's."""
    async with LocalDiscord() as local, aiohttp.ClientSession() as session:
        api = Api(local, session)
        api.guild.add_member(local.bot_user, permissions=permissions)
        yield api
