"""What a whole bot tells Prometheus, moved by what happens to it."""

import asyncio

import aiohttp
import pytest

from bot import constants, metrics
from bot.app import open_app
from tests.e2e.conftest import running
from tests.scrapes import Scrape, scrape_over_http

SERVED = {"health": {"listen": "127.0.0.1:0"}}


@pytest.fixture
async def scraped(monkeypatch):
    """Scrapes a bot, as it is just now."""
    monkeypatch.setattr(constants, "METRICS_HOLD_S", 0.0)
    async with aiohttp.ClientSession() as session:

        async def scrape_(app):
            return await scrape_over_http(session, app.health.address)

        yield scrape_


async def test_what_happens_to_a_bot_is_counted(open_scene, scraped):
    async with open_scene(**SERVED) as scene:
        first = await scraped(scene.app)
        assert_it_tells_of_itself(first)
        assert_it_tells_of_discord(first)
        assert first(metrics.ROUTES) == first(metrics.EVENTS_ROUTED) == 0
        assert first(metrics.INTERACTIONS, command="sandbox create", outcome="failed") == 0
        assert first(metrics.INTERACTIONS, command="component", outcome="timed_out") == 0
        for _ in range(2):  # the second one is refused
            await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await scene.ada.use_foreign_command("play", channel=scene.lab.general)
        await scene.ada.send(scene.lab.general, "to blue")
        await scene.ada.send(scene.lobby.general, "to nobody")
        await scene.discord.dispatch("GUILD_UPDATE", huge(scene.lab), guild_id=scene.lab.id)

        async def is_answered():
            return (await scraped(scene.app))(metrics.UNANSWERED) == 1

        await scene.until(is_answered)
        await scene.app.census.read()
        await scene.app.publisher.drain(5)
        then = await scraped(scene.app)
        assert_it_tells_of_commands(then)
        assert_it_tells_of_events(first, then)
        await scene.discord.hang_up(code=4007)  # this session is over

        async def has_begun_anew():
            return (await scraped(scene.app))(metrics.GAPS, cause="new_session") == 1

        await scene.until(has_begun_anew)

        async def is_ready():
            return (await scraped(scene.app))(metrics.READY, check="gateway") == 1

        await scene.until(is_ready)
        assert (await scraped(scene.app))(metrics.GATEWAY_ATTEMPTS, kind="identify") == 2


async def test_a_bot_that_has_stopped_says_so(discord, settings_of, scraped):
    async with open_app(settings_of(discord, **SERVED)) as app:
        before = await scraped(app)
        assert before(metrics.CONNECTED) == before(metrics.UPKEEP_HELD) == 0
        assert before(metrics.SANDBOXES) is None  # nobody has asked PostgreSQL
        async with running(app, discord):
            pass
        after = await scraped(app)
        assert after(metrics.READY, check="bot") == 0
        assert after(metrics.CONNECTED) == after(metrics.SHARD_HELD) == after(metrics.PART_RUNNING, part="reaper") == 0


def huge(guild):
    return guild.create_payload() | {"padding": "x" * 1_100_000}


def assert_it_tells_of_itself(told: Scrape):
    assert told(metrics.BUILD) == 1
    assert told(metrics.READY, check="gateway") == 1
    assert told(metrics.PART_RUNNING, part="reaper") == 1
    assert told(metrics.POOL) > 0
    assert told(metrics.LOG_LINES, logger="bot.upkeep", level="INFO") == 1
    assert told(metrics.ISOLATION) == 3
    assert told(metrics.WINDOW_MAX) == 4096
    assert 0 <= told(metrics.ROUTES_AGE) < 60


def assert_it_tells_of_discord(told: Scrape):
    assert told(metrics.CONNECTED, shard="None") == told(metrics.CONNECTED, shard="0") == 1
    assert told(metrics.LATENCY, shard="0") > 0
    assert told(metrics.GUILDS) == told(metrics.CHANNELS) == 3
    assert told(metrics.USERS) == 10
    assert told(metrics.COMMANDS) > 10
    assert told(metrics.SHARD_HELD, shard="0") == told(metrics.UPKEEP_HELD) == 1
    assert told(metrics.GATEWAY_ATTEMPTS, kind="identify") == 1


def assert_it_tells_of_commands(told: Scrape):
    command = "sandbox create"
    assert told(metrics.ON_INTERACTION, shard="0", interaction="application_command", command=command) == 2
    assert told(metrics.INTERACTIONS, command=command, outcome="answered") == 1
    assert told(metrics.INTERACTIONS, command=command, outcome="refused") == 1
    assert told(metrics.INTERACTION_SECONDS, "_count") == 2
    assert told(metrics.CREATE_SECONDS, "_count", outcome="created") == 1
    assert told(metrics.CREATE_SECONDS, "_count", outcome="refused") == 1
    assert told(metrics.SANDBOXES, status="running") == 1


def assert_it_tells_of_events(first: Scrape, then: Scrape):
    assert then(metrics.EVENTS_RECEIVED) > first(metrics.EVENTS_RECEIVED)
    assert then(metrics.EVENTS_ROUTED) == then(metrics.LOOKUPS, result="hit") >= 3
    assert then(metrics.EVENTS_UNROUTED, reason="own_interactions") == 2
    assert then(metrics.EVENTS_UNROUTED, reason="unbound") == then(metrics.LOOKUPS, result="miss")
    assert then(metrics.LOOKUPS, result="miss") > first(metrics.LOOKUPS, result="miss")
    assert then(metrics.EVENTS_TOO_LARGE) == 1
    assert then(metrics.EVENTS_PUBLISHED, outcome="stored") == then(metrics.EVENTS_ROUTED)
    assert then(metrics.ROUTES) == 1


@pytest.mark.long
async def test_a_standby_is_ready_and_has_no_shard(open_scene, settings_of, discord, scraped):
    async with open_scene(**SERVED) as scene, open_app(settings_of(discord, **SERVED)) as standby:
        running_standby = asyncio.create_task(standby.run())

        async def is_ready():
            return (await scraped(standby))(metrics.READY, check="gateway") == 1

        await scene.until(is_ready, 20)
        told = await scraped(standby)
        assert told(metrics.SHARD_HELD, shard="0") == told(metrics.CONNECTED) == told(metrics.UPKEEP_HELD) == 0
        assert told(metrics.ISOLATION) == 3
        assert (await scraped(scene.app))(metrics.SHARD_HELD, shard="0") == 1
        standby.stop.set()
        await running_standby
