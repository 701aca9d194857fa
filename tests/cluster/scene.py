"""An installation on more than one machine: the cluster, two bots with split shards, relays, and those who use it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import nats
from nats.aio.client import Client

from bot import names
from bot.sandboxes.access.tokens import make_bot_token
from local_discord import LocalDiscord, Person
from tests.chaos.service import Service
from tests.cluster.commands import Commands, Place, is_done
from tests.cluster.credentials import Credentials
from tests.cluster.events import Load, StreamReader
from tests.cluster.relayed import RelayedBot, relayed_bot
from tests.cluster.server import LOOPBACK, free_ports
from tests.cluster.servers import Cluster
from tests.cluster.worker import Worker
from tests.e2e.conftest import environment_in

BOTS = 2
ROOT = Path(__file__).parents[2]
_STARTS_WITHIN_S = 60
_OF_THE_BOT = ("BOT_", "DISCORD_", "DATABASE_", "REDIS_", "NATS_")
_KEPT_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of a run, and where it has its files and its logs."""

    folder: Path
    logs: Path
    rate: float = 1000
    relays: int = 2
    replicas: int = 3


@dataclass(slots=True)
class Scene:
    """Everything runs, and nothing is sent yet. `places` are all sandboxes: those that are busy, those with a bot on a
    relay, one with a worker and one whose credentials are replaced."""

    order: Order
    cluster: Cluster
    discord: LocalDiscord
    person: Person
    nats: Client
    bots: dict[str, Service]
    places: Sequence[Place]
    load: Load
    commands: Commands
    credentials: Credentials
    worker: Worker
    relayed: dict[str, RelayedBot] = field(default_factory=dict)
    """By sandbox."""
    readers: dict[str, StreamReader] = field(default_factory=dict)
    """By sandbox."""


@asynccontextmanager
async def open_scene(order: Order) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(order.folder / "stores", nats_tls=True, sentinels=3))
        discord = await stack.enter_async_context(LocalDiscord(shards=BOTS))
        discord.settings.kept_events = _KEPT_EVENTS
        person = discord.add_person("ada")
        places = _places(discord, person, order.relays)
        environment = bot_environment(order, cluster, discord)
        bots = {f"bot-{shard}": _bot(order, environment, shard) for shard in range(BOTS)}
        for bot in bots.values():
            await stack.enter_async_context(bot)
        await _until_in_service(discord)
        commands = Commands(person)
        await _create(person, places)
        scene = Scene(
            order=order,
            cluster=cluster,
            discord=discord,
            person=person,
            nats=await _connect(stack, cluster),
            bots=bots,
            places=places,
            load=Load(discord, _rates(order, places)),
            commands=commands,
            credentials=Credentials(cluster, person, commands, _named(places, "keys")),
            worker=Worker(await _worker_environment(cluster, person, _named(places, "worker"))),
        )
        await _open_readers(scene)
        await _open_relays(scene, stack, environment)
        yield scene


def bot_environment(order: Order, cluster: Cluster, discord: LocalDiscord) -> dict[str, str]:
    """Of every process of the bot: the same settings, but for the shards."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_BOT)}
    return own | {
        **cluster.environment,
        "PYTHONPATH": str(ROOT),
        "DISCORD_TOKEN": discord.token,
        "BOT_DISCORD__API_BASE": discord.api_base,
        "BOT_DISCORD__SHARD_COUNT": str(BOTS),
        "BOT_NATS__STREAM_REPLICAS": str(order.replicas),
        "BOT_NATS__STREAM_MAX_MESSAGES": "1000000",
        "BOT_SANDBOXES__MAX_PER_OWNER": "10",
        "BOT_RELAY__LISTEN": "off",
    }


async def _until_in_service(discord: LocalDiscord) -> None:
    """Each shard has its session, and people see the commands."""
    async with asyncio.timeout(_STARTS_WITHIN_S):
        await discord.wait_ready(_STARTS_WITHIN_S)
        while not any(command["name"] == "sandbox" for command in discord.commands):
            await asyncio.sleep(0.05)


def _bot(order: Order, environment: dict[str, str], shard: int) -> Service:
    own = {"BOT_DISCORD__SHARD_IDS": str(shard)}
    return Service(order.folder, environment | own, order.logs / f"bot-{shard}.log")


def _places(discord: LocalDiscord, person: Person, relays: int) -> list[Place]:
    """By turns on the one shard and on the other."""
    called = ["busy-0", "busy-1", "worker", "keys", *(f"relayed-{number}" for number in range(relays))]
    return [Place(name, discord.add_guild(name, owner=person)) for name in called]


def _rates(order: Order, places: Sequence[Place]) -> dict[int, float]:
    """Those who parse what they hear get one event in twenty each."""
    share = order.rate / 20
    quiet = {place.guild.id: share for place in places if not place.sandbox.startswith("busy")}
    rest = (order.rate - sum(quiet.values())) / (len(places) - len(quiet))
    return {place.guild.id: quiet.get(place.guild.id, rest) for place in places}


def _named(places: Sequence[Place], name: str) -> Place:
    return next(place for place in places if place.sandbox == name)


async def _create(person: Person, places: Sequence[Place]) -> None:
    async with asyncio.TaskGroup() as group:
        made = [
            group.create_task(
                person.command("sandbox create", channel=place.guild.general, name=place.sandbox, bind_here=True)
            )
            for place in places
        ]
    for task in made:
        assert is_done(task.result()), task.result().message and task.result().message.embeds


async def _connect(stack: AsyncExitStack, cluster: Cluster) -> Client:
    """As the bot's own user, which reads every stream."""

    async def ignore(_: Exception) -> None:
        """Servers end all the time."""

    client = await nats.connect(
        cluster.nats.url().split(","),
        tls=cluster.client_tls,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        ping_interval=1,
        error_cb=ignore,
    )
    stack.push_async_callback(client.close)
    return client


async def _open_readers(scene: Scene) -> None:
    rows = await scene.cluster.postgres.fetch("SELECT name, id FROM sandboxes")
    jetstream = scene.nats.jetstream()
    for row in rows:
        scene.readers[row["name"]] = StreamReader(jetstream, names.stream_name(row["id"]))


async def _open_relays(scene: Scene, stack: AsyncExitStack, environment: dict[str, str]) -> None:
    for number, port in enumerate(free_ports(scene.order.relays)):
        own = {"BOT_RELAY__LISTEN": f"{LOOPBACK}:{port}"}
        log = scene.order.logs / f"relay-{number}.log"
        relay = Service(scene.order.folder, environment | own, log, command="relay")
        scene.bots[f"relay-{number}"] = await stack.enter_async_context(relay)
        place = _named(scene.places, f"relayed-{number}")
        token = _bot_token(scene.discord, await _credentials(scene.person, place))
        bot = await stack.enter_async_context(relayed_bot(token, f"ws://{LOOPBACK}:{port}"))
        scene.relayed[place.sandbox] = bot


async def _credentials(person: Person, place: Place) -> dict[str, str]:
    """Those that are shown once."""
    reply = await person.command("sandbox connect", channel=place.guild.general, sandbox=place.sandbox)
    return {name: value for name, value in environment_in(reply).items() if value is not None}


async def _worker_environment(cluster: Cluster, person: Person, place: Place) -> dict[str, str]:
    return {**await _credentials(person, place), "SANDBOX_TLS_CA": f"{cluster.certificates}/ca.pem"}


def _bot_token(discord: LocalDiscord, environment: dict[str, str]) -> str:
    """Which `/sandbox connect` shows only when it knows of a relay."""
    short_id = names.short_id(UUID(environment["SANDBOX_ID"]))
    return make_bot_token(discord.application_id, short_id, environment["SANDBOX_NATS_PASSWORD"])
