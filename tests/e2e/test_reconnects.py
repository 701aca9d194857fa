"""Discord turns the bot away: it comes again at a pace that Discord bears, or ends with what has to be mended."""

import asyncio
import time
from itertools import pairwise

import pytest

from bot.app import open_app
from bot.routing import close_codes
from bot.settings import SettingsError
from local_discord import LocalDiscord
from tests.e2e.conftest import running
from tests.logs import logged

CASES = {
    4004: "DISCORD_TOKEN",
    4010: "discord.shard_count",
    4011: "discord.shard_count",
    4012: "this version",
    4013: "discord.privileged_intents",
    4014: "discord.privileged_intents",
}
GOES_ON = [1001, 1006, 4000, 4001, 4002, 4003, 4005, 4008]
BEGINS_ANEW = [4007, 4009]


@pytest.fixture
def said():
    """What is logged: level, text, facts."""
    with logged("DEBUG") as lines:
        yield lines


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Pauses in milliseconds instead of seconds, for the same tests of their growth."""
    for name in ("RESUME_PAUSE_S", "IDENTIFY_PAUSE_S"):
        monkeypatch.setattr(f"bot.constants.{name}", 0.02)
    monkeypatch.setattr("bot.constants.IDENTIFY_EVERY_S", 0)


@pytest.fixture
async def blue(scene):
    """Ada's server bound to `blue`."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    return scene


def steps(discord, step):
    return [attempt.at for attempt in discord.attempts if attempt.step == step]


async def until(discord, look, seconds=10):
    await discord.gateway.changed.wait_until(look, seconds)


async def goes_on(scene, text):
    """A message sent now is stored."""
    await scene.ada.send(scene.lab.general, text)

    async def has_come():
        return any(text.encode() in payload for _, payload, _ in await scene.stored(await scene.sandbox("blue")))

    await scene.until(has_come)


def no_traceback(said):
    return not any(record["exception"] for record in said)


def test_every_final_code_is_known():
    assert set(CASES) == close_codes.FINAL


@pytest.mark.parametrize(("step", "code"), [("HELLO", 4012), *(("IDENTIFY", code) for code in CASES)])
async def test_a_code_that_is_final_ends_the_start_with_the_setting_to_mend(discord, settings_of, said, code, step):
    discord.turn_away(step, code)
    async with open_app(settings_of(discord)) as app:
        with pytest.raises(SettingsError, match=CASES[code]):
            await app.run()
    assert len(steps(discord, step)) == 1
    assert no_traceback(said)


@pytest.mark.parametrize("code", [4004, 4011, 4014])  # discord.py has a way of its own for the last one
async def test_and_ends_a_bot_that_runs(discord, settings_of, said, code):
    async def hang_up():
        await discord.hang_up(code=code)

    async with open_app(settings_of(discord)) as app:
        with pytest.raises(SettingsError, match=CASES[code]):
            await ended_by(hang_up, app, discord)
    assert no_traceback(said)


async def ended_by(cause, app, discord):
    """Runs the bot until it has ended by itself after the cause."""
    async with running(app, discord):
        await cause()
        async with asyncio.timeout(5):
            await app.supervisor.wait_exhausted()


async def test_one_refused_shard_ends_the_start_though_others_wait(settings_of, monkeypatch, said):
    monkeypatch.setattr("bot.constants.IDENTIFY_EVERY_S", 60)
    async with LocalDiscord(shards=3) as discord:
        discord.settings.session_starts.max_concurrency = 1
        discord.turn_away("IDENTIFY", 4011)
        async with open_app(settings_of(discord)) as app:
            with pytest.raises(SettingsError, match="shard_count"):
                await app.run()
        assert len(steps(discord, "IDENTIFY")) == 1
    assert no_traceback(said)


async def test_a_token_that_is_refused_by_the_api_ends_a_bot_that_has_to_begin_anew(discord, settings_of, said):
    async def reset_token():
        discord.set_failing("/gateway/bot", 401)
        await discord.invalidate_sessions()

    async with open_app(settings_of(discord)) as app:
        with pytest.raises(SettingsError, match="DISCORD_TOKEN"):
            await ended_by(reset_token, app, discord)
    assert no_traceback(said)


@pytest.fixture
def settled(monkeypatch):
    """Each connection counts as one that has lived for long."""
    monkeypatch.setattr("bot.constants.RESUME_LIVED_S", 0)


async def test_after_any_other_code_the_session_goes_on_within_a_second(settled, blue):
    for number, code in enumerate(GOES_ON):
        started = time.monotonic()
        await blue.discord.hang_up(code=code)
        await until(blue.discord, lambda: blue.discord.resumes > number)  # noqa: B023
        assert time.monotonic() - started < 1.5  # the machine's own delays included
        await goes_on(blue, f"after {code}")
    assert (blue.discord.identifies, blue.discord.resumes) == (1, len(GOES_ON))


@pytest.mark.parametrize("code", BEGINS_ANEW)
async def test_a_session_that_is_over_is_not_resumed(blue, code):
    await blue.discord.hang_up(code=code)
    await until(blue.discord, lambda: blue.discord.identifies == 2)
    assert steps(blue.discord, "RESUME") == []
    await goes_on(blue, "after")


@pytest.mark.parametrize("how", [1006, 4000, True])
async def test_resumes_that_are_cut_come_ever_more_slowly_and_then_one_succeeds(blue, said, how):
    blue.discord.turn_away("RESUME", how)
    await blue.discord.hang_up()
    await until(blue.discord, lambda: len(steps(blue.discord, "RESUME")) == 6)
    blue.discord.turn_away("RESUME", None)
    await until(blue.discord, lambda: blue.discord.resumes == 1)
    await goes_on(blue, "after")
    assert blue.discord.identifies == 1
    again = [record["extra"] for record in said if record["message"] == "connecting to Discord again after a pause"]
    assert [facts["attempt"] for facts in again][:5] == [2, 3, 4, 5, 6]
    assert {facts["to"] for facts in again} == {"resume"}
    assert no_traceback(said)


async def test_resumes_are_few_however_long_each_is_cut(blue, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    blue.discord.turn_away("RESUME", 1006)
    await blue.discord.hang_up()
    await until(blue.discord, lambda: len(steps(blue.discord, "RESUME")) == 7)
    at = steps(blue.discord, "RESUME")
    pauses = [after - before for before, after in pairwise(at)]
    assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses))


@pytest.mark.parametrize("how", [1006, 4000, False])
async def test_new_sessions_that_are_refused_come_ever_more_slowly_too(blue, said, how):
    blue.discord.turn_away("IDENTIFY", how)
    await blue.discord.invalidate_sessions()
    before = len(steps(blue.discord, "IDENTIFY"))
    await until(blue.discord, lambda: len(steps(blue.discord, "IDENTIFY")) == before + 4)
    blue.discord.turn_away("IDENTIFY", None)
    await until(blue.discord, lambda: blue.discord.identifies == 2)
    await goes_on(blue, "after")
    again = [record["extra"] for record in said if record["message"] == "connecting to Discord again after a pause"]
    assert {facts["to"] for facts in again} == {"identify"}
    assert no_traceback(said)


@pytest.mark.parametrize("how", [4000, 1006])
async def test_who_hangs_up_before_the_greeting_is_called_ever_more_slowly(blue, said, how):
    blue.discord.turn_away("HELLO", how)
    await blue.discord.hang_up()
    await until(blue.discord, lambda: len(steps(blue.discord, "HELLO")) >= 6)
    blue.discord.turn_away("HELLO", None)
    await until(blue.discord, lambda: blue.discord.resumes == 1)
    await goes_on(blue, "after")
    assert no_traceback(said)


async def test_a_shard_that_is_turned_away_keeps_no_other_from_resuming(settings_of, monkeypatch):
    monkeypatch.setattr("bot.constants.RESUME_PAUSE_S", 60)
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    async with LocalDiscord(shards=2) as discord, open_app(settings_of(discord)) as app, running(app, discord):
        discord.turn_away("RESUME", 1006)
        await discord.hang_up(shard=0)
        await until(discord, lambda: len(steps(discord, "RESUME")) == 1 and not discord.gateway.live(0))
        discord.turn_away("RESUME", None)
        await discord.hang_up(shard=1)
        await until(discord, lambda: discord.resumes == 1)
        assert not discord.gateway.live(0)


async def test_without_a_session_left_for_today_it_waits_and_says_once_until_when(discord, settings_of, said):
    starts = discord.settings.session_starts
    starts.exhaust(1.5)
    async with open_app(settings_of(discord)) as app:
        reset_at = time.monotonic() + 1.5
        starts.exhaust(1.5)
        async with running(app, discord):
            (identified_at,) = steps(discord, "IDENTIFY")
            assert identified_at >= reset_at
    (waits,) = [record for record in said if "allows no new session" in record["message"]]
    assert waits["extra"]["until"] > "20"
    assert any("allows new sessions again" in record["message"] for record in said)


async def test_nor_does_a_bot_that_runs_begin_one_before_it_may(blue):
    blue.discord.settings.session_starts.exhaust(1.2)
    reset_at = time.monotonic() + 1.2
    await blue.discord.invalidate_sessions()
    await until(blue.discord, lambda: blue.discord.identifies == 2)
    assert steps(blue.discord, "IDENTIFY")[-1] >= reset_at
    await goes_on(blue, "after")


async def test_shards_begin_their_sessions_as_few_at_a_time_as_discord_says(settings_of, monkeypatch):
    monkeypatch.setattr("bot.constants.IDENTIFY_EVERY_S", 0.3)
    async with LocalDiscord(shards=4) as discord:
        discord.settings.session_starts.max_concurrency = 2
        async with open_app(settings_of(discord)) as app, running(app, discord):
            at = steps(discord, "IDENTIFY")
    assert at[2] - at[0] >= 0.28
    assert at[3] - at[1] >= 0.28


async def test_a_limit_that_cannot_be_read_is_asked_for_again(blue):
    blue.discord.set_failing("/gateway/bot", 403)
    await blue.discord.invalidate_sessions()

    def asked():
        return [path for _, path, status in blue.discord.requests if status == 403]

    await blue.until(lambda: _is(lambda: len(asked()) > 2))
    assert blue.discord.identifies == 1
    blue.discord.set_failing("/gateway/bot", None)
    await until(blue.discord, lambda: blue.discord.identifies == 2)
    await goes_on(blue, "after")


async def _is(look):
    return look()


@pytest.mark.parametrize("told", ["null", "absent"])
async def test_a_ready_that_names_no_address_to_resume_at_is_survived(discord, open_scene, told):
    discord.settings.resume_gateway = told
    async with open_scene() as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await discord.hang_up()
        await until(discord, lambda: discord.resumes == 1)
        await goes_on(scene, "after")


async def test_it_stops_at_once_while_it_waits_to_connect_again(blue, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda _, longest: longest and 60)
    blue.discord.turn_away("RESUME", 1006)
    await blue.discord.hang_up()
    await until(blue.discord, lambda: len(steps(blue.discord, "RESUME")) == 1)
    started = time.monotonic()
    blue.app.stop.set()
    await blue.until(lambda: _is(lambda: blue.app.bot.is_closed()))
    assert time.monotonic() - started < 3
