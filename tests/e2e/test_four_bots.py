"""Four bots share the shards and the upkeep: one is killed, others stand still, and nothing is lost or done twice."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack

import asyncpg
import nats.js.errors
import pytest

from local_discord import LocalDiscord
from tests.e2e.bot_process import BOT_WITH_SHORT_LEASES, Bots, addresses_of, says
from tests.e2e.two_bots import Load
from tests.streams import sandbox_streams

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SHARDS = 4
UPKEEP = "this bot does the upkeep"


@pytest.fixture
async def discord():
    async with LocalDiscord(shards=SHARDS) as discord:
        yield discord


@pytest.fixture
async def bots(discord, tmp_path, stores, dsn, nats_client, redis_client):
    bots = Bots(discord, tmp_path, addresses_of(stores, dsn), BOT_WITH_SHORT_LEASES)
    bots.environment["BOT_DISCORD__SHARD_COUNT"] = str(SHARDS)
    yield bots
    await bots.end()


async def start(bots, shards, *, waits):
    """One that may run these shards, and has them or is their standby."""
    bot = await bots.start(BOT_DISCORD__SHARD_IDS=json.dumps(shards))
    await bots.until(lambda: says(bot, "standby" if waits else "took over shards"), bot)
    return bot


async def stored(client):
    """The numbers of each guild's events in their order; no gap is marked."""
    found: dict[int, list[int]] = {}
    for stream in await sandbox_streams(client.jetstream()):
        events = await client.jetstream().subscribe(">", stream=stream.config.name, ordered_consumer=True)
        for _ in range(stream.state.messages):
            message = await events.next_msg(timeout=10)
            assert not message.subject.endswith("GATEWAY_GAP")
            if message.subject.endswith("TYPING_START"):
                data = json.loads(message.data)["d"]
                found.setdefault(int(data["guild_id"]), []).append(data["n"])
        await events.unsubscribe()
    return found


async def until_all_stored(client, loads):
    async with asyncio.timeout(30):
        while {load.guild.id: list(range(len(load.sent))) for load in loads} != await stored(client):
            await asyncio.sleep(0.2)


async def until_made_again(client, stream):
    """The workers' consumer, which is deleted: a mend of the one with the upkeep."""
    await client.jetstream().delete_consumer(stream, "worker")
    async with asyncio.timeout(15):
        while True:
            try:
                await client.jetstream().consumer_info(stream, "worker")
                return
            except nats.js.errors.NotFoundError:
                await asyncio.sleep(0.05)


async def lives(dsn):
    """How long each sandbox lives beyond its first hours, in minutes."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT name, expires_at - created_at AS life FROM sandboxes")
        return {row["name"]: round(row["life"].total_seconds() / 60) - 24 * 60 for row in rows}
    finally:
        await connection.close()


async def test_one_is_killed_and_each_other_that_matters_stands_still(bots, discord, dsn, nats_client):
    ada = discord.add_person("ada")
    guilds = [discord.add_guild(f"Guild {shard}", owner=ada) for shard in range(SHARDS)]  # each on the next shard
    killed = await start(bots, [0, 1], waits=False)
    await bots.until(lambda: says(killed, UPKEEP), killed)
    pair = {
        "low": await start(bots, [0, 1], waits=True),
        "high": await start(bots, [2, 3], waits=False),
        "spare": await start(bots, [2, 3], waits=True),
    }
    await discord.wait_ready(30)
    for shard, guild in enumerate(guilds):
        await ada.command("sandbox create", channel=guild.general, name=f"box-{shard}", bind_here=True)
    (stream, *_) = [info.config.name for info in await sandbox_streams(nats_client.jetstream())]
    async with AsyncExitStack() as stack:
        loads = [Load(discord, ada, guild, sandbox=f"box-{shard}") for shard, guild in enumerate(guilds)]
        for load in loads:
            await stack.enter_async_context(load)
        await loads[0].until_sent(100)
        await killed.stop(signal.SIGKILL)
        await bots.until(lambda: says(pair["low"], "took over shards"), *pair.values())
        await bots.until(lambda: any(says(bot, UPKEEP) for bot in pair.values()), *pair.values())
        await until_made_again(nats_client, stream)

        await loads[0].until_sent(100)
        pair["last"] = await start(bots, [0, 1], waits=True)
        for frozen in {next(bot for bot in pair.values() if says(bot, UPKEEP)), pair["high"]}:
            await stands_still(bots, pair, frozen, nats_client, stream)
            await loads[0].until_sent(100)
    await until_all_stored(nats_client, loads)
    told_failed = sum(load.told_failed for load in loads)
    done, extended = sum(len(load.extensions) for load in loads), sum((await lives(dsn)).values())
    assert done <= extended <= done + told_failed
    assert told_failed <= 2 * 3 * SHARDS  # a lease outlives its bot as long as Discord waits for an answer
    assert discord.identifies == SHARDS
    for bot in bots.all:
        assert not says(bot, "Traceback"), "".join(bot.lines)


async def stands_still(bots, pair, frozen, client, stream):
    """Until others have all that it had; awake again, it finds that out and touches nothing of it."""
    others = [bot for bot in pair.values() if bot is not frozen]
    had_upkeep = says(frozen, UPKEEP) > says(frozen, "lost the upkeep")
    had_shards = says(frozen, "took over shards") > says(frozen, "lost shards")
    shards, upkeep = (sum(says(bot, what) for bot in others) for what in ("took over shards", UPKEEP))
    frozen.process.send_signal(signal.SIGSTOP)
    if had_shards:
        await bots.until(lambda: sum(says(bot, "took over shards") for bot in others) > shards, *others)
    if had_upkeep:
        await bots.until(lambda: sum(says(bot, UPKEEP) for bot in others) > upkeep, *others)
        await until_made_again(client, stream)
    frozen.process.send_signal(signal.SIGCONT)
    await bots.until(lambda: says(frozen, "lost shards") or not had_shards, *pair.values())
    await bots.until(lambda: says(frozen, "lost the upkeep") or not had_upkeep, *pair.values())
