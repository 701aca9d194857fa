"""Replaces two bots and two relays one after the other, under load, as a deploy does, and counts what is lost by it.

    python -m tests.cluster.rolling [--cluster] [--rate 500]

A new bot is started beside the one that it follows, which is stopped when the new one is its standby; a relay is
stopped and started anew on its port. Ends with 1 unless nothing is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path

import nats
from loguru import logger

from local_discord import Guild, LocalDiscord, Person
from tests.cluster.servers import Cluster
from tests.conftest import TEMPLATE, address, create_database, running_stores
from tests.e2e.bot_process import Bots, Process, addresses_of, says
from tests.e2e.conftest import environment_in
from tests.e2e.relay.processes import RelayProcess, free_port, relay_process
from tests.e2e.relay.raw_bot import LivingBot
from tests.streams import sandbox_streams

SHARDS = 4
_BETWEEN_S = 2.0
_PATIENCE_S = 120.0
_COMMAND_EVERY_S = 0.2


@asynccontextmanager
async def single(folder: Path) -> AsyncIterator[dict[str, str]]:
    """One server of each kind, which bots come to as to their operator's own."""
    async with running_stores(folder) as stores:
        await create_database(stores, "rolling", TEMPLATE)
        callout = stores.nats_callout
        yield addresses_of(stores, address(stores, "rolling")) | {
            "NATS_AUTH_URL": callout.auth_url,
            "NATS_SYSTEM_URL": callout.system_url,
            "NATS_ACCOUNT_SEED": callout.account_seed,
        }


@asynccontextmanager
async def clustered(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Three nodes of NATS, two of PostgreSQL and of Valkey."""
    async with Cluster(folder) as cluster:
        valkey = cluster.valkey.url(await cluster.valkey.master())
        yield cluster.nats.environment | {"DATABASE_URL": cluster.postgres.url(), "REDIS_URL": valkey}


class Client(LivingBot):
    """A developer's bot behind a balancer: it comes to another relay each time."""

    def __init__(self, token: str, addresses: list[str]) -> None:
        super().__init__({"SANDBOX_BOT_TOKEN": token, "SANDBOX_BOT_GATEWAY": addresses[0]})
        self._addresses = cycle(addresses)

    async def connect(self) -> None:
        """To the next one."""
        self._address = next(self._addresses)
        await super().connect()


@dataclass
class Load:
    """Numbered messages of each guild, and commands that are each answered."""

    discord: LocalDiscord
    person: Person
    guilds: list[Guild]
    rate: int
    sent: dict[int, int] = field(default_factory=dict)
    answered: list[bool] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self) -> None:
        started_at, count = time.monotonic(), 0
        while not self.enough.is_set():
            while count < (time.monotonic() - started_at) * self.rate:
                await self._send_one(self.guilds[count % len(self.guilds)].id)
                count += 1
            await asyncio.sleep(0.005)

    async def _send_one(self, guild_id: int) -> None:
        number = self.sent.get(guild_id, 0)
        self.sent[guild_id] = number + 1
        data = {"guild_id": str(guild_id), "channel_id": "1", "id": "1", "content": "x" * 500, "number": number}
        await self.discord.dispatch("MESSAGE_CREATE", data, guild_id=guild_id)

    async def command(self) -> None:
        for guild in cycle(self.guilds):
            if self.enough.is_set():
                return
            try:
                reply = await self.person.command(
                    "sandbox extend", channel=guild.general, sandbox=name_of(guild), by="1m"
                )
                failed = reply.failed or reply.message is None or "❌" in str(reply.message.embeds)
                self.answered.append(not failed)
            except TimeoutError:
                self.answered.append(False)
            await asyncio.sleep(_COMMAND_EVERY_S)


def name_of(guild: Guild) -> str:
    """Of the sandbox that it is bound to."""
    return f"box-{guild.id}"


class Fleet:
    """Two bots, each with half of the shards, and two relays."""

    def __init__(self, discord: LocalDiscord, folder: Path, environment: dict[str, str], stack: AsyncExitStack) -> None:
        self._bots = Bots(discord, folder, environment)
        self._bots.environment["BOT_DISCORD__SHARD_COUNT"] = str(SHARDS)
        self._discord, self._stack = discord, stack
        stack.push_async_callback(self._bots.end)
        self.bots: dict[tuple[int, ...], Process] = {}
        self._ports = [free_port(), free_port()]
        self.relays: dict[int, RelayProcess] = {}

    async def start(self) -> None:
        for shards in ((0, 1), (2, 3)):
            await self._start_bot(shards, "took over shards")
        for port in self._ports:
            await self._start_relay(port)
        await self._discord.wait_ready(_PATIENCE_S)

    @property
    def addresses(self) -> list[str]:
        """Of the relays."""
        return [relay.address.replace("http", "ws", 1) for relay in self.relays.values()]

    async def roll(self) -> AsyncIterator[tuple[str, float]]:
        """What was replaced, and within how many seconds."""
        for shards, old in list(self.bots.items()):
            started_at = time.monotonic()
            new = await self._start_bot(shards, "standby")
            await self._stop(old)
            await self._bots.until(lambda new=new: says(new, "took over shards"), new, seconds=_PATIENCE_S)
            yield f"the bot of shards {shards}", time.monotonic() - started_at
        for port, relay in list(self.relays.items()):
            started_at = time.monotonic()
            await self._stop(relay)
            await self._start_relay(port)
            yield f"the relay on port {port}", time.monotonic() - started_at

    async def _start_bot(self, shards: tuple[int, ...], until: str) -> Process:
        told = f"http://127.0.0.1:{self._ports[0]}"
        bot: Process = await self._bots.start(BOT_DISCORD__SHARD_IDS=json.dumps(shards), BOT_RELAY__ADDRESS=told)
        self.bots[shards] = bot
        await self._bots.until(lambda: says(bot, until), bot, seconds=_PATIENCE_S)
        return bot

    async def _start_relay(self, port: int) -> None:
        serving = relay_process(self._bots.environment, self._discord, port=port, seconds=_PATIENCE_S)
        self.relays[port] = await self._stack.enter_async_context(serving)

    @staticmethod
    async def _stop(process: Process) -> None:
        code, _ = await process.stop(seconds=_PATIENCE_S)
        assert code == 0, "".join(process.lines)


async def roll(folder: Path, environment: dict[str, str], rate: int) -> dict[str, int]:
    """What is wrong, by what it is: all should be 0."""
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(LocalDiscord(shards=SHARDS))
        discord.settings.kept_events = 100_000
        ada = discord.add_person("ada")
        guilds = [discord.add_guild(f"Guild {shard}", owner=ada) for shard in range(SHARDS)]
        fleet = Fleet(discord, folder, environment, stack)
        await fleet.start()
        clients = [
            await stack.enter_async_context(Client(token, fleet.addresses[place % 2 :] + fleet.addresses[: place % 2]))
            for place, token in enumerate([await open_sandbox(ada, guild) for guild in guilds])
        ]
        living = [asyncio.create_task(client.live()) for client in clients]
        for client in clients:
            await client.hears("GUILD_CREATE", seconds=_PATIENCE_S)
        load = Load(discord, ada, guilds, rate)
        loading = [asyncio.create_task(work) for work in (load.send(), load.command())]
        await asyncio.sleep(_BETWEEN_S)
        async for what, took_s in fleet.roll():
            print(f"replaced {what} in {took_s:.1f} s, {sum(load.sent.values())} events sent", flush=True)  # noqa: T201
            await asyncio.sleep(_BETWEEN_S)
        load.enough.set()
        await asyncio.gather(*loading)
        heard = await all_heard(clients, guilds, load)
        stored = await all_stored(environment["NATS_URL"], load)
        for task in living:
            task.cancel()
        print(f"{sum(load.sent.values())} events, {len(load.answered)} commands, {len(clients)} sessions")  # noqa: T201
        return (
            wrong("events in streams", load.sent, stored)
            | wrong("events at the relays' clients", load.sent, heard)
            | {
                "commands lost": load.answered.count(False),
                "sessions of the bots lost": discord.identifies - SHARDS,
                "sessions of the relays lost": sum(client.beginnings - 1 for client in clients),
            }
        )


async def open_sandbox(person: Person, guild: Guild) -> str:
    """For that guild; what its own bot logs in with."""
    await person.command("sandbox create", channel=guild.general, name=name_of(guild), bind_here=True)
    reply = await person.command("sandbox connect", channel=guild.general, sandbox=name_of(guild))
    return str(environment_in(reply)["SANDBOX_BOT_TOKEN"])


async def all_heard(clients: list[Client], guilds: list[Guild], load: Load) -> dict[int, list[int]]:
    """What each guild's client has heard, when that is enough or nothing more comes."""
    for client, guild in zip(clients, guilds, strict=True):
        try:
            await client.until(lambda client=client, guild=guild: len(client.numbers) >= load.sent[guild.id], 20)
        except TimeoutError:
            continue
    return {guild.id: client.numbers for client, guild in zip(clients, guilds, strict=True)}


async def all_stored(urls: str, load: Load) -> dict[int, list[int]]:
    """The numbers of each guild's events, when they are enough or nothing more comes."""
    client = await nats.connect(urls.split(","))
    found: dict[int, list[int]] = {}
    deadline = time.monotonic() + 20
    while sum(map(len, found.values())) < sum(load.sent.values()) and time.monotonic() < deadline:
        found = {}
        for stream in await sandbox_streams(client.jetstream()):
            events = await client.jetstream().subscribe(">", stream=str(stream.config.name), ordered_consumer=True)
            for _ in range(stream.state.messages):
                data = json.loads((await events.next_msg(timeout=10)).data)["d"]
                if "number" in data:
                    found.setdefault(int(data["guild_id"]), []).append(data["number"])
            await events.unsubscribe()
    await client.close()
    return found


def wrong(what: str, sent: dict[int, int], found: dict[int, list[int]]) -> dict[str, int]:
    numbers = [found.get(guild_id, []) for guild_id in sent]
    lost = sum(len(set(range(count)) - set(found.get(guild_id, []))) for guild_id, count in sent.items())
    return {
        f"{what} lost": lost,
        f"{what} doubled": sum(len(each) - len(set(each)) for each in numbers),
        f"{what} out of order": sum(a > b for each in numbers for a, b in pairwise(each)),
    }


async def run(rate: int, *, cluster: bool) -> dict[str, int]:
    with tempfile.TemporaryDirectory(prefix="rolling-") as folder:
        async with (clustered if cluster else single)(Path(folder, "stores")) as environment:
            return await roll(Path(folder), environment, rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", action="store_true", help="with three nodes of NATS, two of the others")
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    chosen = parser.parse_args()
    logger.remove()
    logging.disable()
    found = asyncio.run(run(chosen.rate, cluster=chosen.cluster))
    for what, count in found.items():
        print(f"{count:6} {what}")  # noqa: T201
    print(f"rolling: {sum(found.values())} lost")  # noqa: T201
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
