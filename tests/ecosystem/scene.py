"""Everything that the bots need, really running: embedded stores, a local Discord, the team's bot and its relay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from bot import settings
from bot.app import App, open_app
from bot.relay.server import Relay
from bot.sandboxes.model import Actor
from local_discord import Guild, LocalDiscord, Person

_READY_WITHIN_S = 30.0


@dataclass(frozen=True)
class Home:
    """A server, what `/sandbox connect` tells of the sandbox that it is bound to, and how to bind more of them."""

    guild: Guild
    environment: dict[str, str]
    bind: Callable[[Guild], Awaitable[object]]


@dataclass
class Scene:
    """Ada and Bob are people; each library's bot gets a server and a sandbox of its own."""

    discord: LocalDiscord
    app: App
    ada: Person
    bob: Person

    @property
    def relay(self) -> Relay:
        """The team's, which serves."""
        assert self.app.relay is not None
        assert self.app.relay.relay is not None
        return self.app.relay.relay

    @asynccontextmanager
    async def sandbox(self, name: str) -> AsyncIterator[Home]:
        """With a server that Ada and Bob are in."""
        guild = self.discord.add_guild(f"Home of {name}", owner=self.ada)
        guild.add_member(self.bob)
        guild.add_member(self.discord.bot_user, permissions=("manage_webhooks",))
        actor, manager = Actor(self.ada.id, self.ada.name), self.app.manager
        slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        sandbox = await manager.create(actor, name=slug, guild_ids=[guild.id])
        try:
            details = await manager.issue_credentials(actor, sandbox.id, rotate=True)
            environment = {**details.environment, "GUILD_ID": str(guild.id)}
            yield Home(guild, environment, lambda other: manager.register_guild(actor, sandbox.id, other.id))
        finally:
            await manager.destroy(actor, sandbox.id)


@asynccontextmanager
async def open_scene(folder: Path) -> AsyncIterator[Scene]:
    """Until the context is left; `folder` holds the stores' files."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with LocalDiscord() as discord, open_app(_settings(discord, folder, listening)) as app:
            discord.settings.refuses_unknown_fields = False  # as Discord does: libraries send some of their own
            scene = Scene(discord, app, discord.add_person("ada"), discord.add_person("bob"))
            running, ready = asyncio.create_task(app.run()), asyncio.create_task(discord.wait_ready(_READY_WITHIN_S))
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                ready.cancel()
                running.result()
            await ready
            try:
                yield scene
            finally:
                app.stop.set()
                await running


def _settings(discord: LocalDiscord, folder: Path, listening: socket.socket) -> settings.Settings:
    host, port = listening.getsockname()
    return settings.Settings(
        discord=settings.Discord(token=SecretStr(discord.token), api_base=discord.api_base),
        embedded=settings.Embedded(folder=folder, durable=False),
        relay=settings.Relay(listen=f"fd:{listening.fileno()}", address=f"http://{host}:{port}"),
    )
