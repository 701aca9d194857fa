"""Two bots with the same settings: one has the gateway session, the other is a warm standby that takes over."""

import asyncio
import signal
from datetime import timedelta

import pytest

from tests.checks import check
from tests.cluster.server import free_ports
from tests.e2e.bot_process import BOT, BOT_WITH_SHORT_LEASES, Bots, addresses_of, says
from tests.e2e.conftest import text
from tests.e2e.readiness import watching
from tests.e2e.two_bots import Load, count_stored, expiry, stored_in
from tests.faults.wires import Gate, wired

pytestmark = pytest.mark.timeout(180)  # two bots and more are started, each of which takes seconds on a busy machine

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def make_bots(discord, tmp_path, stores, dsn, nats_client, redis_client):
    made = []

    def make(argv=BOT_WITH_SHORT_LEASES):
        made.append(Bots(discord, tmp_path, addresses_of(stores, dsn), argv))
        return made[-1]

    yield make
    for bots in made:
        await bots.end()


@pytest.fixture
async def ada(discord):
    return discord.add_person("ada")


@pytest.fixture
async def lab(discord, ada):
    return discord.add_guild("Ada's Lab", owner=ada)


async def open_sandbox(ada, lab):
    await ada.command("sandbox create", channel=lab.general, name="blue", bind_here=True)


async def test_a_deploy_loses_no_event_and_no_command_and_resumes_once(make_bots, discord, ada, lab, dsn, nats_client):
    bots = make_bots(BOT)
    old = await bots.start_owner()
    await open_sandbox(ada, lab)
    before = await expiry(dsn)
    new = await bots.start_standby()
    async with Load(discord, ada, lab) as load:
        await load.until_sent(100)
        assert (discord.identifies, discord.resumes, says(new, "standby")) == (1, 0, 1)
        code, took = await old.stop()
        assert (code, took < 5) == (0, True)
        await bots.until(lambda: says(new, "took over shards"), new)
        done = len(load.extensions)
        await load.until_sent(100)
        await bots.until(lambda: len(load.extensions) > done + 1, new)
    assert await stored_in(nats_client, len(load.sent)) == load.sent
    assert all(load.extensions)
    assert await expiry(dsn) - before == len(load.extensions) * MINUTE
    assert (discord.identifies, discord.resumes) == (1, 1)
    assert_no_traceback(bots)


@pytest.mark.long
async def test_a_standby_is_ready_and_says_whose_the_shards_are_until_it_takes_them_over(make_bots, ada, lab):
    bots = make_bots()
    ports = free_ports(2)
    owner, standby = (f"127.0.0.1:{port}" for port in ports)
    async with watching(f"http://{owner}") as of_owner, watching(f"http://{standby}") as of_standby:
        bot = await bots.start_owner(BOT_HEALTH__LISTEN=owner)
        await bots.start_standby(BOT_HEALTH__LISTEN=standby)
        await of_owner.until_ready()
        await of_standby.until_ready()
        _, checks = await of_standby.ask()
        assert f"process {bot.process.pid} runs shard 0 of 1" in checks["gateway"]["detail"]
        await bot.stop(signal.SIGKILL)

        async def gateway():
            return (await of_standby.ask())[1]["gateway"]["detail"]

        async with asyncio.timeout(60):
            while await gateway() != "connected: shard 0":
                await asyncio.sleep(0.1)
        await of_standby.until_ready()


async def kill_again_and_again(bots, discord, load, kills, lives_for):
    """The owner each time, which is started again; which of the two others takes over then is open."""
    owner, *waiting = bots.all
    for number in range(1, kills + 1):
        await load.until_sent(lives_for)
        await owner.stop(signal.SIGKILL)
        waiting.append(await bots.start())
        await bots.until(lambda those=waiting: any(says(bot, "took over shards") for bot in those), *waiting)
        await bots.until(lambda goal=number: discord.resumes == goal, *waiting)
        (owner,) = (bot for bot in waiting if says(bot, "took over shards"))
        waiting.remove(owner)
        await bots.until(lambda those=waiting: all(says(bot, "standby") for bot in those), *waiting)


async def assert_nothing_lost(discord, dsn, nats_client, load, kills, before, at_most_failed):
    assert await stored_in(nats_client, len(load.sent)) == load.sent
    assert (discord.identifies, discord.resumes) == (1, kills)
    # Each once; what Discord has given up for lost may have been done by one that was killed before it could say so.
    extended = (await expiry(dsn) - before) / MINUTE
    assert len(load.extensions) <= extended <= len(load.extensions) + load.told_failed
    assert load.told_failed <= at_most_failed


@pytest.mark.long
async def test_a_standby_takes_over_from_one_that_is_killed_and_loses_and_doubles_nothing(
    make_bots, discord, ada, lab, dsn, nats_client
):
    bots = make_bots()
    await bots.start_owner()
    await open_sandbox(ada, lab)
    before = await expiry(dsn)
    await bots.start_standby()
    async with Load(discord, ada, lab) as load:
        await kill_again_and_again(bots, discord, load, 3, lives_for=100)
        await load.until_sent(100)
    await assert_nothing_lost(discord, dsn, nats_client, load, 3, before, at_most_failed=2 * 3)


@pytest.mark.long
async def test_for_a_minute_with_one_killed_every_ten_seconds(make_bots, discord, ada, lab, dsn, nats_client):
    bots = make_bots(BOT)
    await bots.start_owner()
    await open_sandbox(ada, lab)
    before = await expiry(dsn)
    await bots.start_standby()
    async with Load(discord, ada, lab) as load:
        await kill_again_and_again(bots, discord, load, 6, lives_for=10 * 300 - 6 * 300)
        await load.until_sent(300)
    # A lease lives five seconds, Discord waits for three: some commands fall in between.
    await assert_nothing_lost(discord, dsn, nats_client, load, 6, before, at_most_failed=2 * 6)
    assert len(load.sent) > 60 * 250


@pytest.mark.long
async def test_one_that_stood_still_finds_its_session_taken_and_becomes_the_standby(
    make_bots, discord, ada, lab, dsn, nats_client
):
    bots = make_bots()
    first = await bots.start_owner()
    await open_sandbox(ada, lab)
    before = await expiry(dsn)
    second = await bots.start_standby()
    async with Load(discord, ada, lab, commands=False) as load:
        await load.until_sent(100)
        first.process.send_signal(signal.SIGSTOP)
        asked = asyncio.create_task(ada.command("sandbox extend", channel=lab.general, sandbox="blue", by="1m"))
        await bots.until(lambda: discord.resumes == 1, second)
        assert "❌" not in text(await asked)
        await load.until_sent(100)
        first.process.send_signal(signal.SIGCONT)  # it has the command, too, and part of the events
        await bots.until(lambda: says(first, "lost shards"), first, second)
        await bots.until(lambda: says(first, "standby"), first, second)
        await load.until_sent(100)
        assert (discord.identifies, discord.resumes) == (1, 1)
        assert (await second.stop())[0] == 0
        await bots.until(lambda: says(first, "took over shards") == 2, first)
        await bots.until(lambda: discord.resumes == 2, first)
        await load.until_sent(100)
    assert await stored_in(nats_client, len(load.sent)) == load.sent
    assert (discord.identifies, discord.resumes, await expiry(dsn) - before) == (1, 2, MINUTE)
    assert_no_traceback(bots)


@pytest.mark.long
async def test_without_postgresql_the_connection_stays_and_none_is_opened_before_it_is_back(
    make_bots, discord, ada, lab, dsn, nats_client
):
    async with wired({"DATABASE_URL": dsn}, Gate()) as (detours, wires):
        bots = make_bots()
        bot = await bots.start_owner(**detours)
        await open_sandbox(ada, lab)
        async with Load(discord, ada, lab, commands=False) as load:
            wires["DATABASE_URL"].freeze()
            await bots.until(lambda: says(bot, "a service is away"), bot)
            (session,) = discord.gateway.live()
            tries = wires["DATABASE_URL"].connections
            await bots.until(lambda: wires["DATABASE_URL"].connections > tries + 2, bot)
            await load.until_sent(100)
            assert discord.gateway.live() == [session]
            sent = len(load.sent)
            async with asyncio.timeout(10):
                while await count_stored(nats_client) < sent:
                    await asyncio.sleep(0.02)

            await discord.hang_up()
            tries = wires["DATABASE_URL"].connections
            await bots.until(lambda: wires["DATABASE_URL"].connections > tries + 2, bot)
            assert (discord.connections, discord.identifies, discord.resumes) == (0, 1, 0)
            wires["DATABASE_URL"].thaw()
            await bots.until(lambda: discord.resumes == 1, bot)
        assert await stored_in(nats_client, len(load.sent)) == load.sent
        assert (discord.identifies, discord.resumes) == (1, 1)
        assert_no_traceback(bots)
        await bots.end()


@pytest.mark.long
async def test_check_says_who_has_the_shards_and_who_is_the_standby(make_bots, tmp_path):
    bots = make_bots()

    async def look():
        told = await asyncio.to_thread(check, tmp_path, **bots.environment)
        assert told.returncode == 0, told.stderr
        return told.told("bots.shards").splitlines()

    assert await look() == ["No bot is running."]
    first = await bots.start_owner()
    second = await bots.start_standby()
    runs, waits = await look()
    assert runs.endswith(f"process {first.process.pid} runs shard 0 of 1.")
    assert waits.endswith(f"process {second.process.pid} is the standby for shard 0 of 1.")


def assert_no_traceback(bots):
    for bot in bots.all:
        log = "".join(bot.lines)
        assert "Traceback" not in log, log
