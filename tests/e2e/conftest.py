"""The whole bot against the local Discord and real stores."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr

from bot.app import App, open_app
from bot.settings import Discord, Log, Relay, Routing, Sandboxes, Settings
from local_discord import Guild, LocalDiscord, Person
from tests.conftest import store_settings
from tests.faults.operations import addresses
from tests.faults.wires import Gate, wired

TICK = timedelta(milliseconds=200)


@dataclass
class Scene:
    """A running bot, two developers with a server each, and a server that nobody binds."""

    discord: LocalDiscord
    app: App
    ada: Person
    bob: Person
    lab: Guild
    arcade: Guild
    lobby: Guild

    @property
    def jetstream(self):
        return self.app.stores.nats.jetstream()

    async def sandbox(self, name):
        return await self.app.manager.get_by_name(name)

    async def stored(self, sandbox):
        """Every event in the sandbox's stream: (subject, payload, headers)."""
        await self.app.publisher.drain(5)
        state = (await self.jetstream.stream_info(sandbox.stream)).state
        found = []
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            message = await self.jetstream.get_msg(sandbox.stream, sequence)
            found.append((message.subject, message.data, message.headers))
        return found

    async def until(self, condition, seconds=10.0):
        """Waits for what the bot does by itself."""
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.02)


@pytest.fixture
def settings_of(stores, dsn):
    """Settings of a bot on the session's stores and this test's database."""

    def make(discord, *, sandboxes=None, routing=None, relay=None, redis=None, **of_discord):
        return Settings(
            discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base, **of_discord),
            sandboxes=Sandboxes(**{"sweep_every": TICK, **(sandboxes or {})}),
            **store_settings(stores, dsn, **(redis or {})),
            routing=Routing(**(routing or {})),
            relay=Relay(**(relay or {})),
            log=Log(),
        )

    return make


@pytest.fixture
async def wires(stores, dsn):
    """A wire to each store, and the sections of settings by which a bot reaches the stores by them."""
    callout = stores.nats_callout
    async with wired(addresses(stores, dsn), Gate()) as (detours, wires):
        callout = SimpleNamespace(
            auth_url=detours["nats_auth"], system_url=detours["nats_system"], account_seed=callout.account_seed
        )
        detoured = SimpleNamespace(redis_url=detours["redis"], nats_url=detours["nats"], nats_callout=callout)
        yield SimpleNamespace(lines=wires, sections=store_settings(detoured, detours["postgres"]))


@asynccontextmanager
async def running(app, discord):
    """The bot from its READY to its clean end."""
    task = asyncio.create_task(app.run())
    ready = asyncio.create_task(discord.wait_ready(30))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        ready.cancel()
        task.result()
    await ready
    try:
        yield app
    finally:
        app.stop.set()
        await task


@pytest.fixture
async def discord():
    async with LocalDiscord() as discord:
        yield discord


@pytest.fixture
def open_scene(discord, settings_of, nats_client, redis_client):
    """Raises the curtain; `sandboxes=`, `routing=`, `relay=`, `redis=` and Discord's settings may be changed."""

    @asynccontextmanager
    async def open_(**changes):
        ada, bob = discord.add_person("ada"), discord.add_person("bob")
        lab, arcade = discord.add_guild("Ada's Lab", owner=ada), discord.add_guild("Bob's Arcade", owner=bob)
        lobby = discord.add_guild("Lobby", owner=discord.owner)
        for guild, guest in ((lab, bob), (arcade, ada), (lobby, ada), (lobby, bob)):
            guild.add_member(guest)
        async with open_app(settings_of(discord, **changes)) as app, running(app, discord):
            yield Scene(discord, app, ada, bob, lab, arcade, lobby)

    return open_


@pytest.fixture
async def scene(open_scene):
    async with open_scene() as scene:
        yield scene


def title(message):
    return message.embeds[0].get("title", "") if message.embeds else ""


def text(reply):
    """All that an answer says."""
    message = reply.message
    assert message is not None
    parts = [message.content or ""]
    for embed in message.embeds:
        parts += [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
        parts += [f"{field['name']}: {field['value']}" for field in embed.get("fields", ())]
    return "\n".join(parts)


def environment_in(reply):
    """What the attached `.env` file sets."""
    (attachment,) = reply.message.attachments
    return dotenv_values(stream=io.StringIO(attachment.content.decode()))
