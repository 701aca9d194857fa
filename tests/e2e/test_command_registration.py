"""The bot's commands in an application that a team's own bot registers commands in too."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import discord as discord_py
import pytest
from discord.ext import commands
from loguru import logger

from bot import constants
from bot.app import open_app
from bot.errors import ServiceUnavailable
from bot.settings import SettingsError
from bot.supervisor import State
from local_discord import LocalDiscord
from tests.e2e.conftest import running, text

OURS, THEIRS = {"sandbox", "sandbox-admin"}, {"play", "score"}
REFUSALS = [
    (400, {"code": 50035, "message": "Invalid Form Body"}, {}, "50035"),
    (400, {"code": 30034, "message": "Max number of daily application command creates"}, {}, "30034"),
    (403, {"code": 50001, "message": "Missing Access"}, {}, "50001"),
    (429, "<html>rate limited</html>", {"Content-Type": "text/html", "Retry-After": "0.1"}, "429"),
    (500, {"code": 0, "message": "500: Internal Server Error"}, {}, "500"),
    (503, "upstream connect error", {}, "503"),
]
CODES = [f"{status} {said}" for status, _, _, said in REFUSALS]


@pytest.fixture
def quick(monkeypatch):
    """What is looked at in minutes is looked at at once."""
    monkeypatch.setattr(constants, "COMMANDS_CHECKED_EVERY_S", 0.02)
    monkeypatch.setattr(constants, "COMMANDS_CHECKED_AGAIN_AFTER_S", 0.0)
    monkeypatch.setattr(constants, "COMMANDS_RETRY_S", 0.05)
    monkeypatch.setattr(constants, "DISCORD_RETRY_S", 0.02)


@pytest.fixture
async def scene(quick, open_scene):
    async with open_scene() as scene:
        yield scene


@pytest.fixture
def log():
    written = io.StringIO()
    number = logger.add(written, level="WARNING", format="{level} {message} {extra} {exception}")
    yield written
    logger.remove(number)


@asynccontextmanager
async def team_bot(discord):
    """The team's own, in discord.py as it comes: it syncs its whole tree."""
    bot = commands.Bot(command_prefix="!", intents=discord_py.Intents.none())
    for name in sorted(THEIRS):

        @bot.tree.command(name=name)
        async def theirs(interaction: discord_py.Interaction) -> None:
            """One of the team's."""

    async with bot:
        await bot.login(discord.token)
        yield bot


def names(discord):
    return {command["name"] for command in discord.commands}


def ids(discord):
    return {command["name"]: command["id"] for command in discord.commands}


def changing(discord):
    """The requests so far that have changed a command."""
    return [one for one in discord.requests if "/commands" in one[1] and one[0] != "GET"]


async def ask(discord, method, path, body=None):
    """As somebody else who has the token."""
    url, headers = f"{discord.api_base}{path}", {"Authorization": f"Bot {discord.token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.request(method, url, json=body) as response:
        assert response.status < 300
        return await response.json()


async def test_beside_a_bot_that_overwrites_the_whole_list_both_sets_are_there_at_the_end(scene, discord, quick):
    async with team_bot(discord) as team:
        await scene.app.commands.reconcile()
        for _ in range(10):
            await team.tree.sync()
            assert names(discord) == THEIRS

            async def are_back():
                return names(discord) == OURS | THEIRS

            await scene.until(are_back)
            assert "no sandbox" in text(await scene.ada.command("sandbox list", channel=scene.lab.general)).lower()
    assert names(discord) == OURS | THEIRS
    assert discord.syncs == 10  # the team's own


async def test_what_a_bulk_overwrite_has_deleted_is_back_when_the_bot_has_started_again(
    open_scene, settings_of, discord
):
    async with open_scene(), team_bot(discord) as team:
        await team.tree.sync()
        assert names(discord) == THEIRS
    async with open_app(settings_of(discord)) as again, running(again, discord):
        assert names(discord) == OURS | THEIRS


async def test_nothing_is_sent_while_discord_has_the_commands_as_they_are(open_scene, settings_of, discord):
    async with open_scene():
        made = changing(discord)
        assert [(method, status) for method, _, status in made] == [("POST", 201)] * 2
    async with open_app(settings_of(discord)) as again, running(again, discord):
        assert not await again.commands.reconcile()
        assert not await again.commands.register()
    assert changing(discord) == made


async def test_a_command_that_was_changed_elsewhere_is_put_right_and_no_other_one_is_touched(scene, discord):
    application = f"/applications/{discord.application_id}/commands"
    theirs = await ask(discord, "POST", application, {"name": "play", "description": "Play."})
    before = ids(discord)
    changes = {"default_member_permissions": None, "description": "Mine.", "contexts": [0]}
    await ask(discord, "PATCH", f"{application}/{before['sandbox-admin']}", changes)

    async def is_right():
        (admin,) = [command for command in discord.commands if command["name"] == "sandbox-admin"]
        return (admin["default_member_permissions"], sorted(admin["contexts"])) == ("32", [0, 1])

    await scene.until(is_right)
    assert ids(discord) == before
    assert theirs in discord.commands


async def test_commands_from_before_ids_were_noted_are_taken_over_by_name_and_no_kind_but_slash_commands(
    discord, open_scene
):
    application = f"/applications/{discord.application_id}/commands"
    old = await ask(discord, "POST", application, {"name": "sandbox", "description": "As it was."})
    menu = await ask(discord, "POST", application, {"name": "sandbox-admin", "type": 2})
    async with open_scene() as scene:
        assert {command["id"] for command in discord.commands} > {old["id"], menu["id"]}
        assert {(command["type"], command["name"]) for command in discord.commands} == {
            (1, "sandbox"),
            (1, "sandbox-admin"),
            (2, "sandbox-admin"),
        }
        await scene.app.commands.remove()
        assert discord.commands == [menu]


async def test_only_what_the_bot_has_made_is_deleted_when_it_is_wanted_no_more(scene, discord):
    application = f"/applications/{discord.application_id}/commands"
    made, kept = [
        await ask(discord, "POST", application, {"name": name, "description": "Of a former version."})
        for name in ("sandbox-old", "sandbox-older")
    ]
    note = "INSERT INTO registered_commands (application_id, command_id, name) VALUES ($1, $2, 'sandbox-old')"
    await scene.app.stores.pool.execute(note, discord.application_id, int(made["id"]))

    async def is_gone():
        return names(discord) == OURS | {"sandbox-older"}

    await scene.until(is_gone)
    assert kept in discord.commands


async def test_what_was_taken_away_stays_away_until_it_is_registered_by_hand(scene, settings_of, discord):
    async with team_bot(discord) as team:
        await team.tree.sync()
    await scene.app.commands.reconcile()
    await scene.app.commands.remove()
    assert names(discord) == THEIRS
    looks = len(discord.requests)
    await scene.until(lambda: seen_again(discord, looks))
    assert names(discord) == THEIRS
    scene.app.stop.set()
    async with open_app(settings_of(discord)) as again, running(again, discord):
        await again.commands.reconcile()
        assert names(discord) == THEIRS
        await again.commands.register()
        assert names(discord) == OURS | THEIRS


async def test_of_two_bots_one_registers_and_the_other_learns_whose_the_commands_are(scene, settings_of, discord):
    made, theirs = changing(discord), int(ids(discord)["sandbox"]) - 1
    async with open_app(settings_of(discord)) as second, running(second, discord):
        own = second.commands._own

        async def has_learned():
            there = ids(discord).items() if names(discord) >= OURS else [("sandbox", theirs)]
            return not own.include("sandbox", theirs) and all(own.include(*command) for command in ours(there))

        await scene.until(has_learned)
        assert changing(discord) == made
        async with team_bot(discord) as team:
            await team.tree.sync()
        await scene.until(has_learned)
        assert names(discord) == OURS | THEIRS


def ours(commands):
    return [(name, int(number)) for name, number in commands if name in OURS]


async def test_another_version_registers_its_own_commands_when_the_one_with_the_upkeep_has_ended(
    scene, settings_of, discord, monkeypatch
):
    async with open_app(settings_of(discord)) as newer:
        definitions = newer.commands._definitions

        async def changed():
            return [definition | {"description": "Newer."} for definition in await definitions()]

        monkeypatch.setattr(newer.commands, "_definitions", changed)
        async with running(newer, discord):
            before, looks = changing(discord), 0

            async def has_looked():
                nonlocal looks
                looks += newer.commands._own._ids is not None
                return looks > 10

            await scene.until(has_looked)
            assert changing(discord) == before
            scene.app.stop.set()

            async def is_newer():
                return {command["description"] for command in discord.commands} == {"Newer."}

            await scene.until(is_newer)


async def seen_again(discord, since):
    """Whether the running bot has looked twice since then, so that one look began afterwards."""
    looks = [one for one in discord.requests[since:] if one[0] == "GET" and one[1].endswith("/commands")]
    return len(looks) >= 2


@pytest.fixture
def impatient_http(monkeypatch):
    """discord.py asks again by itself after a 500, for 25 seconds; here at once."""

    class Quick:
        def __getattr__(self, name):
            return getattr(asyncio, name)

        async def sleep(self, _):
            await asyncio.sleep(0)

    monkeypatch.setattr(discord_py.http, "asyncio", Quick())


@pytest.mark.parametrize(("status", "body", "headers", "said"), REFUSALS, ids=CODES)
async def test_a_refused_registration_is_said_once_and_tried_again_while_events_are_routed(
    quick, impatient_http, open_scene, discord, log, status, body, headers, said
):
    discord.refuse_next("/commands", status, body, headers=headers, times=10**6)
    async with open_scene() as scene:
        part = scene.app.supervisor.parts["commands"]
        assert (part.state, said in part.last_error) == (State.FAILING, True)
        await scene.app.manager.create(scene.app.bot.actor(scene.ada), name="blue", guild_ids=[scene.lab.id])
        await scene.ada.send(scene.lab.general, "routed all the same")

        async def is_tried_and_routed():
            tries = [one for one in discord.requests if one[1].endswith("/commands")]
            return len(tries) >= 3 and scene.app.router.counts["routed"] >= 1

        await scene.until(is_tried_and_routed)
        told = [line for line in log.getvalue().splitlines() if "registration of commands" in line]
        assert (len(told), told[0].startswith("WARNING"), said in told[0]) == (1, True, True)
        assert "Traceback" not in log.getvalue()
        discord.end_refusals()
        await part.wait_running()
        assert names(discord) == OURS


async def test_discord_is_left_in_peace_for_as_long_as_it_asks(quick, open_scene, discord):
    discord.refuse_next("/commands", 429, "<html>rate limited</html>", headers={"Retry-After": "1000"})
    async with open_scene() as scene:
        for name in ("red", "blue"):  # takes longer than the pause that there would be
            await scene.app.manager.create(scene.app.bot.actor(scene.ada), name=name)
        assert len([one for one in discord.requests if one[1].endswith("/commands")]) == 1


async def test_a_daily_limit_that_is_reached_keeps_what_needs_no_creation_up_to_date(quick, open_scene, discord):
    application = f"/applications/{discord.application_id}/commands"
    await ask(discord, "POST", application, {"name": "sandbox-admin", "description": "Out of date."})
    discord.settings.daily_command_creates = 1
    async with open_scene() as scene:
        part = scene.app.supervisor.parts["commands"]
        assert (part.state, "30034" in part.last_error) == (State.FAILING, True)
        assert [command["description"] == "Out of date." for command in discord.commands] == [False]
        discord.settings.daily_command_creates = 200
        await part.wait_running()
        assert names(discord) == OURS


async def test_a_registration_that_takes_long_delays_no_start(quick, monkeypatch, open_scene, discord):
    monkeypatch.setattr(constants, "COMMANDS_BEFORE_CONNECT_S", 0.05)
    discord.rate_limit_next("/commands", 1.0)
    async with open_scene() as scene:
        assert discord.commands == []

        async def are_there():
            return names(discord) == OURS

        await scene.until(are_there)


@pytest.mark.parametrize("shards", [0, 1])
async def test_a_gateway_that_is_out_of_order_is_asked_again_until_it_answers(quick, open_scene, discord, log, shards):
    discord.refuse_next("/gateway/bot", 503, "upstream connect error", times=3)
    async with open_scene(shard_count=shards) as scene:
        asked = [status for _, path, status in discord.requests if path == "/gateway/bot"]
        assert asked[:4] == [503, 503, 503, 200]
        await scene.app.supervisor.parts["discord"].wait_running()
    assert log.getvalue().count("a service is away") == 1
    assert "Traceback" not in log.getvalue()


@pytest.mark.parametrize(("status", "path"), [(503, "/users/@me"), (404, "/users/@me"), (403, "/oauth2/applications")])
async def test_a_login_that_is_answered_with_an_error_is_tried_again(quick, open_scene, discord, log, status, path):
    discord.refuse_next(path, status, times=3)
    async with open_scene():
        assert names(discord) == OURS
    assert log.getvalue().count("a service is away") == 1
    assert "Unclosed" not in log.getvalue()


@pytest.mark.parametrize("shards", [0, 1])
@pytest.mark.parametrize("path", ["/users/@me", "/oauth2/applications", "/gateway/bot"])
async def test_a_token_that_is_refused_at_any_step_of_the_start_is_a_configuration_error(
    settings_of, discord, path, shards
):
    discord.refuse_next(path, 401, {"message": "401: Unauthorized", "code": 0})
    async with open_app(settings_of(discord, shard_count=shards)) as app:
        with pytest.raises(SettingsError, match=r"discord\.token"):
            await app.run()


async def test_a_start_ends_when_discord_leaves_it_without_any_answer_for_a_while(quick, monkeypatch, settings_of):
    monkeypatch.setattr(constants, "DISCORD_SILENT_FOR_S", 0.3)
    async with LocalDiscord() as discord:
        discord.set_failing("/gateway/bot", 503)
        async with open_app(settings_of(discord)) as app:
            life = asyncio.create_task(app.run())
            async with asyncio.timeout(5):
                while [one[2] for one in discord.requests if one[1] == "/gateway/bot"].count(503) < 6:
                    await asyncio.sleep(0.01)
            assert not life.done()  # longer than the limit, for an error is an answer
            await discord.__aexit__(None, None, None)
            with pytest.raises(ServiceUnavailable) as raised:
                await asyncio.wait_for(life, 5)
    assert (raised.value.service, discord.api_base in raised.value.detail) == ("Discord", True)
    assert "Connect call failed" in raised.value.detail


async def test_a_start_ends_when_the_gateway_that_was_named_is_not_reached(quick, monkeypatch, settings_of, discord):
    monkeypatch.setattr(constants, "DISCORD_SILENT_FOR_S", 0.3)
    limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
    named = {"url": "ws://127.0.0.1:9", "shards": 1, "session_start_limit": limit}
    discord.refuse_next("/gateway/bot", 200, named, times=10**6)
    async with open_app(settings_of(discord)) as app:
        with pytest.raises(ServiceUnavailable) as raised:
            await asyncio.wait_for(app.run(), 5)
    assert "127.0.0.1:9" in raised.value.detail


async def test_after_the_first_ready_no_silence_ends_the_bot(quick, monkeypatch, settings_of):
    monkeypatch.setattr(constants, "DISCORD_SILENT_FOR_S", 0.2)
    async with LocalDiscord() as discord, open_app(settings_of(discord)) as app, running(app, discord):
        await discord.__aexit__(None, None, None)
        part = app.supervisor.parts["commands"]
        async with asyncio.timeout(5):
            while part.state is not State.FAILING:
                await asyncio.sleep(0.01)
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                await app.commands.reconcile()
        await asyncio.sleep(0.3)  # longer than the limit
        assert not app.supervisor.parts["discord"].last_error


@pytest.mark.long
@pytest.mark.parametrize("api_base", ["http://127.0.0.1:9/api/v10", "http://nowhere.invalid/api/v10"])
async def test_a_discord_that_is_not_reached_ends_the_process_with_69_in_one_line(tmp_path, stores, dsn, api_base):
    # A second, so that the parts of the bot are through with their first turn.
    shorter = "from bot import constants; constants.DISCORD_SILENT_FOR_S = 1.0; from bot.__main__ import main; main()"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DISCORD_TOKEN": "local.discord.token",
        "BOT_DISCORD__API_BASE": api_base,
        "DATABASE_URL": dsn,
        "REDIS_URL": stores.redis_url,
        "NATS_URL": stores.nats_url,
        "BOT_LOG__LEVEL": "ERROR",
    }
    bot = await asyncio.create_subprocess_exec(
        sys.executable, "-c", shorter, "run", cwd=tmp_path, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await bot.communicate()
    told = stderr.decode().splitlines()
    assert (bot.returncode, len(told)) == (69, 1), told
    assert told[0].startswith(f"sandbox-bot: Discord is not reachable: {api_base}: Cannot connect to host")
