"""Everything under a bot is killed in turn while numbered messages come: it hears each of them once, in their order."""

from __future__ import annotations

import asyncio
import os
import signal
from itertools import pairwise

import pytest
from redis.exceptions import RedisError

from bot import constants, names
from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Actor
from tests.conftest import running_stores
from tests.e2e.bot_process import addresses_of, base_environment
from tests.e2e.relay.processes import relay_process
from tests.e2e.relay.raw_bot import LivingBot

pytestmark = pytest.mark.long

RATE = 200
LONG = pytest.mark.long


@pytest.fixture(scope="module")
async def stores(tmp_path_factory):
    """Servers that only these tests use, for they kill them."""
    async with running_stores(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.fixture
async def sandbox(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])


@pytest.fixture
async def serving(scene, stores, dsn):
    """`sandbox-bot relay` as an operator runs it."""
    environment = base_environment(scene.discord) | addresses_of(stores, dsn)
    async with relay_process(environment, scene.discord) as relay:
        yield relay


async def environment_of(scene, sandbox, address):
    details = await scene.app.manager.issue_credentials(Actor(sandbox.owner_id, "ada"), sandbox.id)
    secret = details.environment["SANDBOX_NATS_URL"].split(":")[2].split("@")[0]
    return {
        "SANDBOX_BOT_TOKEN": make_bot_token(scene.discord.application_id, sandbox.id.hex[:8], secret),
        "SANDBOX_BOT_GATEWAY": address.replace("http", "ws", 1),
    }


class Messages:
    """Numbered ones in a server, at a steady rate."""

    def __init__(self, scene):
        self._scene, self.sent = scene, 0
        self.enough = asyncio.Event()

    async def pour(self, messages):
        """So many at least, and until there is `enough`."""
        started_at = asyncio.get_running_loop().time()
        while (number := self.sent) < messages or not self.enough.is_set():
            await asyncio.sleep(max(started_at + number / RATE - asyncio.get_running_loop().time(), 0))
            data = {"guild_id": str(self._scene.lab.id), "channel_id": "1", "content": "x" * 500, "number": number}
            await self._scene.discord.dispatch("MESSAGE_CREATE", data, guild_id=self._scene.lab.id)
            self.sent += 1

    async def reach(self, number):
        while self.sent < number:
            await asyncio.sleep(0.01)


async def kill_server(stores, name):
    killed = stores.pids[name]
    os.kill(killed, signal.SIGKILL)
    while stores.pids.get(name, killed) == killed:
        await asyncio.sleep(0.01)


async def saved(scene, bot):
    """Returns when Redis has the bot's session, perhaps again."""

    async def is_there():
        try:
            return await scene.app.stores.redis.exists(names.relay_session_key(bot.session_id))
        except (RedisError, OSError):
            return False

    await scene.until(is_there, 30)


async def kill_relay(relay):
    os.kill(relay.children[0], signal.SIGKILL)


@pytest.mark.timeout(600)  # a process of the relay takes seconds to start where the machine is busy
@pytest.mark.parametrize(("messages", "rounds"), [(600, 1), pytest.param(4000, 4, marks=LONG)])
async def test_a_bot_that_lives_hears_everything_once_and_in_order_whatever_is_killed(
    scene, sandbox, serving, stores, messages, rounds
):
    async with LivingBot(await environment_of(scene, sandbox, serving.address)) as bot:
        living = asyncio.create_task(bot.live())
        await bot.hears("GUILD_CREATE", seconds=60)
        numbered = Messages(scene)
        pouring = asyncio.create_task(numbered.pour(messages))
        kills = [
            lambda: kill_relay(serving),
            lambda: kill_server(stores, "nats"),
            lambda: kill_server(stores, "redis"),
            lambda: scene.discord.hang_up(),
        ] * rounds
        for turn, kill in enumerate(kills, start=1):
            await numbered.reach(turn * messages // (len(kills) + 1))
            await kill()
            sent = numbered.sent  # one thing at a time: what comes next is killed when this is mended
            await bot.until(lambda sent=sent: bot.numbers[-1] > sent, 40)
            await saved(scene, bot)
        numbered.enough.set()
        await pouring
        await bot.until(lambda: bot.numbers[-1] == numbered.sent - 1, 40)
        living.cancel()
        lost = set(range(numbered.sent)) - set(bot.numbers)
        doubled = len(bot.numbers) - len(set(bot.numbers))
        unsorted = sum(a > b for a, b in pairwise(bot.numbers))
        assert (len(lost), doubled, unsorted, bot.beginnings) == (0, 0, 0, 1)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("messages", "kills"), [(400, 2), pytest.param(4000, 10, marks=LONG)])
async def test_a_killed_bot_loses_at_most_what_was_in_its_process_and_its_next_hears_the_rest_once(
    scene, sandbox, relayed, messages, kills, monkeypatch
):
    monkeypatch.setattr(constants, "RELAY_IDENTIFY_EVERY_S", 0.2)
    environment = await relayed.environment(sandbox)
    numbered, heard, given = Messages(scene), [], set()
    numbered.enough.set()
    for turn in range(1, kills + 2):
        async with LivingBot(environment) as bot:
            living = asyncio.create_task(bot.live())
            if turn == 1:
                await bot.hears("GUILD_CREATE")
                pouring = asyncio.create_task(numbered.pour(messages))
            if turn <= kills:
                await numbered.reach(turn * messages // (kills + 1))
            else:
                await pouring
                await bot.until(lambda bot=bot: messages - 1 in bot.numbers, 20)
            living.cancel()
            (client,) = relayed.relay.gateway.clients
            await bot.cut()
            await client.gone.wait()
            heard += bot.numbers
            given |= set(range(client.sequence))  # the stream holds nothing but the messages, from its sequence 1 on
    lost = set(range(messages)) - set(heard)
    assert heard == sorted(set(heard))
    assert len(lost) <= 0.1 * RATE * kills
    assert lost <= given
