"""What bots and tools need, really running: embedded stores, a local Discord, the team's bot and its relay."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
from pydantic import SecretStr
from redis.asyncio import Redis

from bot import settings
from bot.app import App, open_app
from bot.relay.server import Relay
from bot.sandboxes.access.connection import ConnectionDetails
from bot.sandboxes.model import Actor
from local_discord import Guild, LocalDiscord, Person
from sandbox_worker import protocol, variables
from sandbox_worker.standard_names import DatabaseForm

_READY_WITHIN_S = 30.0


@dataclass(frozen=True)
class Home:
    """A server, what `/sandbox connect` tells of the sandbox that it is bound to, and how to bind more of them."""

    guild: Guild
    details: ConnectionDetails
    bind: Callable[[Guild], Awaitable[object]]

    @property
    def environment(self) -> dict[str, str]:
        """Of a bot that runs in the sandbox."""
        return {**self.details.environment, "GUILD_ID": str(self.guild.id)}


@dataclass
class Scene:
    """Ada and Bob are people; each library's bot and each tool gets a server and a sandbox of its own."""

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
    async def sandbox(self, name: str, form: DatabaseForm = DatabaseForm.POSTGRESQL) -> AsyncIterator[Home]:
        """With a server that Ada and Bob are in, and addresses under the names that tools look for."""
        guild = self.discord.add_guild(f"Home of {name}", owner=self.ada)
        guild.add_member(self.bob)
        guild.add_member(self.discord.bot_user, permissions=("manage_webhooks",))
        actor, manager = Actor(self.ada.id, self.ada.name), self.app.manager
        slug = re.sub(r"[^a-z0-9]+", "-", f"with {name.lower()}").strip("-")
        sandbox = await manager.create(actor, name=slug, guild_ids=[guild.id])
        try:
            details = await manager.issue_credentials(actor, sandbox.id, rotate=True)
            own = details.with_standard_names(form)
            yield Home(guild, own, lambda other: manager.register_guild(actor, sandbox.id, other.id))
        finally:
            await manager.destroy(actor, sandbox.id)

    async def is_acknowledged(self, home: Home) -> bool:
        """Whether all events that were handed to the sandbox's workers are, and there was one."""
        jetstream, stream = self.app.stores.nats.jetstream(), home.environment[variables.SANDBOX_NATS_STREAM]
        worker = await jetstream.consumer_info(stream, protocol.WORKER_CONSUMER)
        return bool(worker.ack_floor and worker.ack_floor.stream_seq and not worker.num_ack_pending)

    async def outside(self, details: ConnectionDetails, form: DatabaseForm) -> ConnectionDetails:
        """The same sandbox's schema and stream by the servers' own logins, which one job at a time may have."""
        addresses = self.app.stores.addresses
        assert addresses.embedded is not None
        postgres, redis = addresses.embedded.superuser_url(), f"{addresses.redis}/9"
        async with Redis.from_url(redis) as database:
            await database.flushdb()
        superuser = await asyncpg.connect(postgres)
        await superuser.execute(f"ALTER ROLE CURRENT_USER SET search_path = {details.sandbox.schema_name}")
        await superuser.close()
        own = {
            variables.SANDBOX_DATABASE_URL: postgres,
            variables.SANDBOX_REDIS_URL: redis,
            variables.SANDBOX_NATS_URL: addresses.nats,
        }
        return replace(details, environment={**details.environment, **own}).with_standard_names(form)


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
        embedded=settings.Embedded(folder=folder, durable=False, extensions=("vector",)),
        relay=settings.Relay(listen=f"fd:{listening.fileno()}", address=f"http://{host}:{port}"),
    )
