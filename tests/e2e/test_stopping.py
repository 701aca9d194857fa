"""SIGTERM ends the bot in time, whatever is away, frozen or half-way there; a second signal ends it at once."""

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import pytest

from tests.e2e.bot_process import Bots, addresses_of
from tests.faults.wires import Gate, wired
from tests.streams import sandbox_streams

WITHIN_S = 5.0


@pytest.fixture
def lines(stores, dsn, discord, nats_client, redis_client, monkeypatch):
    """A wire to each server by the name of its variable, one to the gateway, and the environment of a bot on them."""

    @asynccontextmanager
    async def open_():
        urls = addresses_of(stores, dsn, callout=True)
        seed = urls.pop("NATS_ACCOUNT_SEED")
        urls |= {"BOT_DISCORD__API_BASE": discord.api_base, "GATEWAY": discord.gateway_url}
        async with wired(urls, Gate()) as (detours, wires):
            gateway = detours.pop("GATEWAY")
            monkeypatch.setattr(type(discord._core), "gateway_url", property(lambda _: gateway))
            yield detours | {"NATS_ACCOUNT_SEED": seed}, wires

    return open_


@asynccontextmanager
async def bot_process(discord, folder, environment):
    async with Bots(discord, folder, environment) as bots:
        yield await bots.start()


async def until(condition, bot):
    async with asyncio.timeout(20):
        while not condition():
            assert bot.process.returncode is None, "".join(bot.lines)
            await asyncio.sleep(0.02)


def is_connected(discord):
    return any(session.is_ready for session in discord.gateway.live())


async def stop(bot):
    """SIGTERM ends it in time, in good order and without a traceback."""
    code, took = await bot.stop()
    log = "".join(bot.lines)
    assert (code, took < WITHIN_S) == (0, True), f"{took:.1f} s:\n{log}"
    after = log[log.index("stopping") :]
    assert "Traceback" not in after, after
    assert "never retrieved" not in after, after


FROZEN = {
    "PostgreSQL": ("DATABASE_URL",),
    "Valkey": ("REDIS_URL",),
    "NATS": ("NATS_URL", "NATS_AUTH_URL", "NATS_SYSTEM_URL"),
    "Discord's HTTP": ("BOT_DISCORD__API_BASE",),
    "gateway": ("GATEWAY",),
    "everything": ("DATABASE_URL", "REDIS_URL", "NATS_URL", "NATS_AUTH_URL", "NATS_SYSTEM_URL", "GATEWAY"),
}


@pytest.mark.long
@pytest.mark.parametrize("names", FROZEN.values(), ids=FROZEN)
async def test_what_is_frozen_delays_no_stop(tmp_path, discord, lines, names):
    async with lines() as (environment, wires), bot_process(discord, tmp_path, environment) as bot:
        await until(lambda: is_connected(discord), bot)
        for name in names:
            wires[name].freeze()
        await stop(bot)


@pytest.mark.long
@pytest.mark.parametrize("names", FROZEN.values(), ids=FROZEN)
async def test_nor_does_what_is_half_open(tmp_path, discord, lines, names):
    async with lines() as (environment, wires), bot_process(discord, tmp_path, environment) as bot:
        await until(lambda: is_connected(discord), bot)
        for name in names:
            wires[name].halve()
        await stop(bot)


@pytest.mark.long
async def test_nor_does_a_nats_that_takes_nothing_and_the_next_start_gets_what_waits_at_discord(
    tmp_path, discord, lines, nats_client
):
    """Two starts of a process, and two seconds in which NATS might take the rest."""
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    said = [str(number) for number in range(20)]
    async with lines() as (environment, wires):
        small = environment | {"BOT_ROUTING__WINDOW": "5"}
        async with bot_process(discord, tmp_path, small) as bot:
            await until(lambda: is_connected(discord), bot)
            await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)
            for name in FROZEN["NATS"]:
                wires[name].freeze()
            for content in said:
                await ada.send(lab.general, content)
            await until(lambda: any("NATS takes no events" in line for line in bot.lines), bot)
            await stop(bot)
        for name in FROZEN["NATS"]:
            wires[name].cut()
            wires[name].come_back()
        async with bot_process(discord, tmp_path, small) as bot:
            assert await stored_messages(nats_client, len(said)) == said
            await stop(bot)
    assert discord.identifies == 1


async def stored_messages(nats_client, count):
    """The texts of the first messages in the only stream there is."""
    (stream,) = await sandbox_streams(nats_client.jetstream())
    subject = stream.config.subjects[0].replace(">", "MESSAGE_CREATE")
    subscription = await nats_client.jetstream().subscribe(subject, ordered_consumer=True)
    return [json.loads((await subscription.next_msg(20)).data)["d"]["content"] for _ in range(count)]


@pytest.mark.long
@pytest.mark.parametrize("frozen", ["BOT_DISCORD__API_BASE", "GATEWAY"])
async def test_a_login_or_a_gateway_that_does_not_answer_delays_no_stop(discord, tmp_path, lines, frozen):
    async with lines() as (environment, wires):
        wires[frozen].freeze()
        async with bot_process(discord, tmp_path, environment) as bot:
            await until(lambda: wires[frozen].connections, bot)
            await stop(bot)


@pytest.mark.long
async def test_nor_does_a_gateway_that_is_being_connected_to_again(tmp_path, discord, lines):
    async with lines() as (environment, wires), bot_process(discord, tmp_path, environment) as bot:
        await until(lambda: is_connected(discord), bot)
        before = wires["GATEWAY"].connections
        wires["GATEWAY"].freeze()
        wires["GATEWAY"].cut()
        await until(lambda: wires["GATEWAY"].connections > before, bot)
        await stop(bot)


@pytest.mark.long
async def test_nor_does_one_that_refuses_to_be_connected_to(tmp_path, discord, lines):
    async with lines() as (environment, wires), bot_process(discord, tmp_path, environment) as bot:
        await until(lambda: is_connected(discord), bot)
        before = wires["GATEWAY"].connections
        wires["GATEWAY"].go_away()
        await until(lambda: wires["GATEWAY"].connections > before, bot)
        await stop(bot)


@pytest.mark.long
async def test_a_second_signal_ends_it_at_once(tmp_path, discord, lines):
    async with lines() as (environment, wires), bot_process(discord, tmp_path, environment) as bot:
        await until(lambda: is_connected(discord), bot)
        for name in FROZEN["everything"]:
            wires[name].freeze()
        bot.process.send_signal(signal.SIGTERM)
        await until(lambda: any("stopping" in line for line in bot.lines), bot)
        code, took = await bot.stop()
        assert (code, took < 2.5) == (0, True), "".join(bot.lines)
