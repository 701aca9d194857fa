"""The bot with its embedded stores, a relay with a certificate, people, events, and a Prometheus that watches."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import nats
from nats.aio.client import Client

from bot import certificates
from bot.stores.embedded import EmbeddedStores
from local_discord import Guild, LocalDiscord, Person
from tests.alerts.prometheus import Prometheus
from tests.alerts.rules import hasten, read_rules
from tests.chaos.service import Service
from tests.cluster.server import LOOPBACK, free_ports
from tests.e2e.conftest import environment_in, title

ROOT = Path(__file__).parents[2]
_OF_THE_BOT = ("BOT_", "DISCORD_", "DATABASE_", "REDIS_", "NATS_")
_STARTS_WITHIN_S = 120
_EVENTS_EVERY_S = 0.05
_DISK = "3g"


@dataclass(slots=True)
class Scene:
    """What can be broken, and what watches. `lab` is bound to the sandbox whose events come all the time, `attic` to
    one that may be taken down."""

    folder: Path
    discord: LocalDiscord
    person: Person
    lab: Guild
    attic: Guild
    service: Service
    stores: EmbeddedStores
    prometheus: Prometheus
    environment: dict[str, str]
    has_disk: bool
    """Whether the data folder is a file system of its own."""
    nats: Client = field(init=False)
    """As the bot."""
    bot_environment: dict[str, str] = field(init=False)
    """Of a developer's bot."""
    lab_id: UUID = field(init=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    async def sql(self, query: str) -> object:
        """The first value, as the superuser. On a connection of its own: servers end with the bot now and then."""
        connection = await asyncpg.connect(self.stores.superuser_url())
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def relayed(self, session: aiohttp.ClientSession, path: str) -> int:
        """The status of a GET by the developer's bot."""
        headers = {"Authorization": f"Bot {self.bot_environment['SANDBOX_BOT_TOKEN']}"}
        async with session.get(self.bot_environment["SANDBOX_BOT_API"] + path, headers=headers) as answer:
            await answer.read()
            return answer.status

    @asynccontextmanager
    async def relay_session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """For many requests at a time, to the relay's certificate."""
        trusted = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session


@asynccontextmanager
async def open_scene(folder: Path, log: Path, *, may_mount: bool) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(LocalDiscord())
        person = discord.add_person("ada")
        discord.add_to_team(person)
        lab, attic = (discord.add_guild(name, owner=person) for name in ("lab", "attic"))
        if may_mount:
            stack.enter_context(_disk(folder / "data"))
        certificates.write_certificates(folder / "certificates", [LOOPBACK])
        health, relay = free_ports(2)
        environment = _environment(discord, folder, health, relay)
        service = Service(folder, environment, log, module="tests.alerts.bot")
        await stack.enter_async_context(service)
        await discord.wait_ready(_STARTS_WITHIN_S)
        stores = await stack.enter_async_context(EmbeddedStores(folder / "data", share=True))
        rules, targets = hasten(read_rules()), [f"{LOOPBACK}:{health}"]
        prometheus = await stack.enter_async_context(Prometheus(folder / "prometheus", rules=rules, targets=targets))
        scene = Scene(folder, discord, person, lab, attic, service, stores, prometheus, environment, may_mount)
        await _connect(scene, stack)
        await _make_sandboxes(scene)
        pouring = asyncio.create_task(_pour(scene))
        stack.callback(pouring.cancel)
        yield scene


def _environment(discord: LocalDiscord, folder: Path, health: int, relay: int) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_BOT)}
    return own | {
        "PYTHONPATH": str(ROOT),
        "DISCORD_TOKEN": discord.token,
        "BOT_DISCORD__API_BASE": discord.api_base,
        "BOT_EMBEDDED__FOLDER": str(folder / "data"),
        "BOT_HEALTH__LISTEN": f"{LOOPBACK}:{health}",
        "BOT_RELAY__LISTEN": f"{LOOPBACK}:{relay}",
        "BOT_RELAY__CERTIFICATE": str(folder / "certificates" / "relay.pem"),
        "BOT_RELAY__KEY": str(folder / "certificates" / "relay.key"),
        "BOT_ROUTING__WINDOW": "64",
        "BOT_SANDBOXES__GRACE": "20s",
        "BOT_SANDBOXES__MEND_EVERY": "5s",
        "BOT_SANDBOXES__ORPHANS_EVERY": "5s",
    }


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """A file system in memory, which nobody else sees."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=700", "alerts", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def _connect(scene: Scene, stack: AsyncExitStack) -> None:
    async def ignore(_: Exception) -> None:
        """It is away now and then."""

    scene.nats = await nats.connect(scene.stores.nats_url, max_reconnect_attempts=-1, error_cb=ignore)
    stack.push_async_callback(scene.nats.close)


async def _make_sandboxes(scene: Scene) -> None:
    async with asyncio.timeout(_STARTS_WITHIN_S):
        while not any(command["name"] == "sandbox" for command in scene.discord.commands):
            await asyncio.sleep(0.1)
    for guild in (scene.lab, scene.attic):
        reply = await scene.person.command(
            "sandbox create", channel=guild.general, name=f"in-{guild.name}", bind_here=True
        )
        assert reply.message is not None
        assert title(reply.message), reply
    reply = await scene.person.command("sandbox connect", channel=scene.lab.general, sandbox="in-lab")
    scene.bot_environment = {name: value or "" for name, value in environment_in(reply).items()}
    scene.lab_id = UUID(scene.bot_environment["SANDBOX_ID"])


async def _pour(scene: Scene) -> None:
    """Events, all the time."""
    while True:
        data = {"guild_id": str(scene.lab.id), "channel_id": "1", "content": "x" * 200}
        with suppress(ConnectionError):
            scene.discord.gateway.emit("MESSAGE_CREATE", data, guild_id=scene.lab.id)
        await asyncio.sleep(_EVENTS_EVERY_S)
