"""Power is cut under a whole bot on its embedded servers: what was acknowledged survives, comes again, or is marked."""

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime
from itertools import pairwise

import asyncpg
import nats
import pytest

from bot.stores.embedded import EmbeddedStores
from local_discord.errors import ApiError
from tests.e2e.bot_process import Bots
from tests.e2e.conftest import title
from tests.faults.power import LoopDisk, SyncedPages, processes_below

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

RATE = 300
DISKS = [
    pytest.param(
        disk,
        cuts,
        id=f"{disk.__name__}, {cuts} cuts",
        marks=pytest.mark.skipif(not disk.is_possible(), reason=f"{disk.__name__} cannot be had here"),
    )
    for disk, cuts in ((LoopDisk, 10), (SyncedPages, 3))
]
_NUMBER = re.compile(rb'"number":(\d+)')


class Load:
    """Events at a steady rate to the servers of all sandboxes, whatever becomes of the bot, and one sandbox more each
    second."""

    def __init__(self, discord, owner):
        self._discord, self._owner = discord, owner
        self.sent = {}
        """By the sandbox, when each number was sent (Unix time)."""
        self.unanswered = 0
        self._guilds = {}
        self._tasks = []

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(self._pour()), asyncio.create_task(self._create())]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if not isinstance(outcome, asyncio.CancelledError):
                raise outcome

    @property
    def total(self):
        return sum(map(len, self.sent.values()))

    async def _pour(self):
        began_at, sent = time.monotonic(), 0
        while True:
            while sent < (time.monotonic() - began_at) * RATE:
                if names := list(self._guilds):
                    self._send(names[sent % len(names)])
                sent += 1
            await asyncio.sleep(0.005)

    def _send(self, name):
        guild, numbers = self._guilds[name], self.sent[name]
        data = {"guild_id": str(guild.id), "number": len(numbers), "id": "1", "channel_id": "2", "content": "x" * 500}
        if self._discord.gateway.emit("MESSAGE_CREATE", data, guild_id=guild.id) is not None:
            numbers.append(time.time())

    async def _create(self):
        for number in range(10_000):
            name = f"made-{number}"
            guild = self._discord.add_guild(name, owner=self._owner)
            try:
                async with asyncio.timeout(4):
                    create = self._owner.command("sandbox create", channel=guild.general, name=name, bind_here=True)
                    reply = await create
                    was_made = reply.messages and title(reply.message) == f"Sandbox “{name}” is running"
            except (TimeoutError, ApiError):  # the bot is gone
                was_made = False
            if was_made:
                self.sent[name], self._guilds[name] = [], guild
            self.unanswered += not was_made
            await asyncio.sleep(0.7)


@pytest.fixture
async def run(tmp_path, discord):
    """Starts the bot on a data folder, as an operator would; it has its session when this returns."""
    chosen = {"BOT_SANDBOXES__MAX_PER_OWNER": "1000", "BOT_RELAY__LISTEN": "off"}
    async with Bots(discord, tmp_path, chosen) as bots:
        yield lambda folder: bots.start_connected(BOT_EMBEDDED__FOLDER=str(folder))


async def read_back(folder):
    """By sandbox the numbers in its stream, in their order, and its gaps; and the names that are running."""
    async with EmbeddedStores(folder) as stores:
        connection = await asyncpg.connect(stores.superuser_url())
        rows = await connection.fetch("SELECT id, name FROM sandbox_control.sandboxes WHERE status = 'running'")
        await connection.close()
        client = await nats.connect(stores.nats_url)
        found = {row["name"]: await _stored(client.jetstream(), row["id"]) for row in rows}
        await client.close()
        return found


async def _stored(jetstream, sandbox_id):
    stream = f"SANDBOX_{sandbox_id.hex[:8]}"
    left = (await jetstream.stream_info(stream)).state.messages
    events = await jetstream.subscribe(">", stream=stream, ordered_consumer=True)
    numbers, gaps = [], []
    for _ in range(left):
        message = await events.next_msg(timeout=10)
        if message.subject.endswith("GATEWAY_GAP"):
            gap = json.loads(message.data)["d"]
            gaps.append([datetime.fromisoformat(gap[end]).timestamp() if gap[end] else 0 for end in ("since", "until")])
        elif match := _NUMBER.search(message.data):
            numbers.append(int(match[1]))
    await events.unsubscribe()
    return numbers, gaps


def judge(sent, stored):
    """How many are lost with and without a mark, and doubled."""
    counts = Counter(lost=0, marked=0, doubled=0)
    for name, times in sent.items():
        numbers, gaps = stored[name]
        for number in set(range(len(times))) - set(numbers):
            is_marked = any(since - 1 <= times[number] <= until + 1 for since, until in gaps)
            counts["marked" if is_marked else "lost"] += 1
        counts["doubled"] += len(numbers) - len(set(numbers))
    return dict(counts)


@pytest.mark.parametrize(("make_disk", "cuts"), DISKS)
async def test_no_acknowledged_event_is_lost_with_the_power(tmp_path, discord, run, make_disk, cuts):
    discord.settings.kept_events = 1_000_000
    chance = random.Random(15)
    ada = discord.add_person("ada")
    with make_disk(tmp_path) as disk:
        folder = disk.mounted / "data"
        bot = await run(folder)
        async with Load(discord, ada) as load:
            for cut in range(cuts):
                await asyncio.sleep(chance.uniform(1, 6))
                await asyncio.to_thread(disk.cut, processes_below(bot.process.pid))
                await bot.process.wait()
                if cut == cuts // 2:
                    discord.forget_sessions()  # it cannot give again what is lost now
                bot = await run(folder)
            await asyncio.sleep(3)
        await until_all_is_stored(folder)
        code, _ = await bot.stop()
        assert code == 0
        stored = await read_back(folder)
    counts = judge(load.sent, stored)
    inversions = [(name, *pair) for name in load.sent for pair in pairwise(stored[name][0]) if pair[0] > pair[1]]
    made = f"{len(load.sent)} sandboxes, {load.unanswered} creates cut off"
    sys.stdout.write(f"{cuts} cuts, {load.total} events, {made}: {counts}, inversions: {inversions}\n")
    assert counts["lost"] == counts["doubled"] == 0
    assert inversions == []
    assert load.sent.keys() <= stored.keys()


async def until_all_is_stored(folder):
    """Nothing more is sent: until the streams hold no more than before."""
    secrets = json.loads((folder / "secrets.json").read_text())
    ports = json.loads((folder / "ports.json").read_text())
    client = await nats.connect(f"nats://sandbox-bot:{secrets['nats']}@127.0.0.1:{ports['nats']}")
    held = -1
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while (now := await _messages(client)) != held:
                held = now
                await asyncio.sleep(1)
    await client.close()


async def _messages(client):
    return sum([stream.state.messages for stream in await client.jetstream().streams_info()])
