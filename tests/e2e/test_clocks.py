"""The bot's machine has a wrong clock, or somebody sets it: nothing that the bot decides depends on it."""

import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot import names
from bot.clock import StampedClock
from tests.e2e.bot_process import addresses_of, base_environment
from tests.e2e.conftest import text
from tests.e2e.test_sessions import gaps
from tests.e2e.test_stopping import bot_process, is_connected, until
from tests.faults import wrong_clock

HOUR_S = 3600.0
FOLDER = Path(next(iter(wrong_clock.__path__)))


@pytest.fixture
def clock(tmp_path):
    """A file: how many seconds the bot's clock is ahead."""
    return tmp_path / "clock"


@pytest.fixture
def run(stores, dsn, discord, nats_client, redis_client, tmp_path, clock):
    """Runs a bot, as a process, whose clock is wrong."""

    @asynccontextmanager
    async def run_():
        paths = f"{FOLDER}:{base_environment(discord)['PYTHONPATH']}"
        environment = addresses_of(stores, dsn, callout=True) | {"WRONG_CLOCK": str(clock), "PYTHONPATH": paths}
        async with bot_process(discord, tmp_path, environment) as bot:
            await until(lambda: is_connected(discord), bot)
            yield bot

    return run_


@pytest.fixture
def lab(discord):
    return discord.add_guild("Ada's Lab", owner=discord.add_person("ada"))


async def says(lab, command, **options):
    reply = await lab.owner.command(f"sandbox {command}", channel=lab.general, **options)
    assert "❌" not in text(reply)
    return text(reply)


async def resumed(discord, bot):
    before = discord.resumes
    await discord.request_reconnect()
    await until(lambda: discord.resumes > before and is_connected(discord), bot)


async def until_stored(nats_client, pool, expected):
    """Until the only sandbox's stream holds messages of these texts."""
    (sandbox_id,) = [row["id"] for row in await pool.fetch("SELECT id FROM sandboxes")]
    subject = f"{names.event_subject_prefix(sandbox_id)}MESSAGE_CREATE"
    subscription = await nats_client.jetstream().subscribe(subject, ordered_consumer=True)
    found = [json.loads((await subscription.next_msg(5)).data)["d"]["content"] for _ in expected]
    assert found == expected


@pytest.mark.parametrize("hours", [pytest.param(2, id="ahead"), pytest.param(-2, id="behind", marks=pytest.mark.long)])
async def test_a_wrong_clock_and_one_that_is_set_change_nothing(run, clock, lab, discord, nats_client, pool, hours):
    """A process of its own, whose start takes a second or two."""
    clock.write_text(str(hours * HOUR_S))
    async with run() as bot:
        await says(lab, "create", name="blue", bind_here=True)
        await lab.owner.send(lab.general, "wrong")
        await resumed(discord, bot)
        await says(lab, "extend", sandbox="blue", by="1h")
        clock.write_text(str(-20 * hours * HOUR_S))
        await lab.owner.send(lab.general, "set")
        await resumed(discord, bot)
        assert "blue" in await says(lab, "status", sandbox="blue")
        await lab.owner.send(lab.general, "and then")
        await until_stored(nats_client, pool, ["wrong", "set", "and then"])
        code, _ = await bot.stop()
        log = "".join(bot.lines)
        assert (code, "Traceback" in log) == (0, False), log


async def test_a_gap_is_dated_by_discords_clock(open_scene, monkeypatch):
    monkeypatch.setattr(StampedClock, "now", lambda _: 3600.0)
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        (connection,) = scene.app.gateway._connections.values()
        scene.app.gateway.record_session(connection)
        scene.app.gateway.on_new_session(connection)
        (gap,) = await gaps(scene, "blue")
    assert (gap["since"], gap["until"]) == ("1970-01-01T01:00:00+00:00", "1970-01-01T01:00:01+00:00")
