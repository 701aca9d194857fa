"""One application's shards in two processes on the same stores."""

import asyncio
import json
import signal

import pytest

from local_discord import LocalDiscord
from tests.e2e.bot_process import BOT_WITH_SHORT_LEASES, Bots, addresses_of
from tests.streams import sandbox_streams


@pytest.fixture
async def discord():
    async with LocalDiscord(shards=2) as discord:
        yield discord


@pytest.fixture
async def start(tmp_path, discord, stores, dsn, nats_client, redis_client):
    """Starts the process of one shard and waits for its session."""
    addresses = addresses_of(stores, dsn) | {"BOT_DISCORD__SHARD_COUNT": "2"}
    async with Bots(discord, tmp_path, addresses, BOT_WITH_SHORT_LEASES) as bots:

        async def run(shard):
            bot = await bots.start(BOT_DISCORD__SHARD_IDS=str(shard))
            await bots.until(lambda: any(session.is_ready for session in discord.gateway.live(shard)), bot)
            return bot

        yield run


@pytest.mark.long
async def test_each_process_runs_its_shard_and_ones_death_does_not_touch_the_others(discord, start, nats_client):
    ada = discord.add_person("ada")
    guilds = [discord.add_guild(f"Guild {number}", owner=ada) for number in range(2)]
    first, second = await asyncio.gather(start(0), start(1))
    for number, guild in enumerate(guilds):
        await ada.command("sandbox create", channel=guild.general, name=f"box-{number}", bind_here=True)

    async def has_come(*expected):
        async with asyncio.timeout(10):
            while (found := await stored(nats_client)) != set(expected):
                assert found <= set(expected)
                await asyncio.sleep(0.02)

    for number, guild in enumerate(guilds):
        await ada.send(guild.general, f"hello {number}")
    await has_come(("0", "hello 0"), ("1", "hello 1"))
    (session,) = discord.gateway.live(0)

    await second.stop(signal.SIGKILL)
    await ada.send(guilds[1].general, "missed")
    await ada.send(guilds[0].general, "still here")
    await has_come(("0", "hello 0"), ("1", "hello 1"), ("0", "still here"))
    assert discord.gateway.live(0) == [session]
    await start(1)
    await has_come(("0", "hello 0"), ("1", "hello 1"), ("0", "still here"), ("1", "missed"))
    assert (discord.identifies, discord.resumes) == (2, 1)
    assert (await first.stop())[0] == 0


async def stored(client):
    """Shard and text of every message in the sandboxes' streams."""
    jetstream = client.jetstream()
    found = set()
    for stream in await sandbox_streams(jetstream):
        for sequence in range(1, stream.state.last_seq + 1):
            message = await jetstream.get_msg(stream.config.name, sequence)
            found.add((message.headers["Nats-Msg-Id"].split(":")[1], json.loads(message.data)["d"].get("content")))
    return found
