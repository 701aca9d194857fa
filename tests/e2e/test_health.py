"""How a sandbox is, as people see it in Discord and scripts by the command line's exit code."""

import asyncio
import json
import os
import signal
import time
from contextlib import contextmanager

import pytest

from bot import constants
from bot.errors import ServiceUnavailable
from bot.health_sources import RememberedGuilds
from bot.sandboxes.health import GuildPresence, HealthLevel
from bot.sandboxes.model import OPERATOR
from bot.supervisor import State
from tests.e2e.bot_process import BOT
from tests.e2e.conftest import text
from tests.e2e.test_cli import cli, environment  # noqa: F401  # fixtures


@pytest.fixture
async def bound(scene):
    """Ada's server bound to `blue`."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    return scene


async def health(scene):
    return await scene.app.manager.get_health((await scene.sandbox("blue")).id)


async def shown(scene):
    """The level's field and the routing's, as `/sandbox status` shows them."""
    reply = await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue")
    fields = {field["name"]: field["value"] for field in reply.message.embeds[0]["fields"]}
    return fields["Health"], fields["Routing"]


@pytest.fixture
def status(bound, cli, environment, discord):  # noqa: F811
    """`sandbox-bot sandbox status blue`, with the bot's token."""
    asks_discord = {"DISCORD_TOKEN": discord.token, "BOT_DISCORD__API_BASE": discord.api_base}

    async def run(*arguments, **changes):
        return await cli("status", "blue", *arguments, **asks_discord | changes)

    return run


async def test_a_bound_server_with_its_bot_and_route_is_healthy(bound, status):
    sent = time.time()
    await bound.ada.send(bound.lab.general, "an event")

    async def has_come():
        last = (await health(bound)).routing.last_event_at
        return last is not None and last.timestamp() >= sent - 1

    await bound.until(has_come)
    level, routing = await shown(bound)
    assert level == "✅ healthy"
    assert routing.startswith("1 of 1 server routed · last event <t:")

    ended = await status()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Ada's Lab, a route is in force, the bot is in it" in ended.stdout
    told = json.loads((await status("--json")).stdout)
    assert (told["level"], told["reasons"], told["ok"]) == ("healthy", [], True)
    (guild,) = told["routing"]["guilds"]
    assert guild == {
        "id": str(bound.lab.id),
        "name": "Ada's Lab",
        "has_bot": True,
        "hidden_channels": [],
        "route_in_force": True,
    }
    assert told["routing"]["last_event_at"]
    assert (told["routing"]["stale"], told["routing"]["unknown"]) == (None, [])


async def test_a_channel_that_the_bot_cannot_see_degrades_it(bound, status):
    bound.lab.add_channel("secret").deny(bound.discord.bot_user, ["view_channel"])
    level, _ = await shown(bound)
    assert level.splitlines() == ["⚠️ degraded", "The bot cannot see 1 channel of Ada's Lab: #secret."]
    ended = await status()
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert ended.stderr.startswith("sandbox-bot: blue is degraded: The bot cannot see 1 channel")
    told = await status("--json")
    assert told.returncode == 0
    assert "blue is degraded" in json.loads(told.stderr)["warning"]["message"]
    assert json.loads(told.stdout)["routing"]["guilds"][0]["hidden_channels"] == ["secret"]


async def test_a_server_without_the_bot_makes_it_unhealthy(bound, status):
    away = bound.discord.add_guild("Away", owner=bound.ada)
    away.has_bot = False  # without an event, as after an outage of the bot
    sandbox = await bound.sandbox("blue")
    await bound.app.manager.register_guild(OPERATOR, sandbox.id, away.id)
    level, routing = await shown(bound)
    assert level.splitlines() == ["❌ unhealthy", f"The bot is not in server {away.id}."]
    assert routing.startswith("2 of 2 servers routed")
    ended = await status("--json")
    assert ended.returncode == 1
    assert json.loads(ended.stderr)["error"]["code"] == "UNHEALTHY"
    told = json.loads(ended.stdout)
    assert (told["level"], told["ok"]) == ("unhealthy", True)
    assert [guild["has_bot"] for guild in told["routing"]["guilds"]] == [True, False]
    assert (await status()).stderr == f"sandbox-bot: blue is unhealthy: The bot is not in server {away.id}.\n"


@contextmanager
def standing_still(stores, name):
    os.kill(stores.pids[name], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stores.pids[name], signal.SIGCONT)


async def test_a_store_that_does_not_answer_makes_it_unhealthy(bound, stores, monkeypatch):
    monkeypatch.setattr(constants, "HEALTH_TIMEOUT_S", 0.5)
    with standing_still(stores, "redis"):
        level, _ = await shown(bound)
        assert level.splitlines() == ["❌ unhealthy", "Redis: no answer within 0.5 s."]
    assert (await health(bound)).level is HealthLevel.HEALTHY


async def test_a_missing_stream_makes_it_unhealthy_for_the_command_line_too(bound, status, monkeypatch):
    async def not_yet(schemas=None):
        """It would be made again at once."""

    monkeypatch.setattr(bound.app.manager.stream_reconciler, "reconcile", not_yet)
    await bound.jetstream.delete_stream((await bound.sandbox("blue")).stream)
    ended = await status()
    assert ended.returncode == 1
    assert "unhealthy: NATS: stream" in ended.stderr


async def test_a_route_that_the_router_of_this_process_does_not_have_is_not_in_force(bound, monkeypatch):
    monkeypatch.setattr(bound.app.table, "lookup", lambda guild_id, now: None)
    level, routing = await shown(bound)
    assert level.splitlines() == ["❌ unhealthy", "No route of server Ada's Lab is in force."]
    assert routing.startswith("0 of 1 server routed")


async def test_routes_that_are_not_followed_any_more_degrade_it_as_long_as_that_lasts(bound):
    part = bound.app.supervisor.parts["routes"]
    part.failed(ServiceUnavailable("PostgreSQL", "gone"))
    assert (await shown(bound))[0].splitlines() == ["⚠️ degraded", "The routes may be out of date: PostgreSQL: gone."]
    part.running()
    assert (await shown(bound))[0] == "✅ healthy"


async def test_events_that_are_not_stored_make_it_unhealthy_for_every_process_that_asks(bound, monkeypatch, status):
    monkeypatch.setattr(constants, "STORING_LOOKED_AT_EVERY_S", 0.05)
    monkeypatch.setattr(constants, "NOT_STORED_TOLD_AFTER_S", 0.2)
    publisher, part = bound.app.publisher, bound.app.supervisor.parts["storage"]
    monkeypatch.setattr(publisher._watch, "_patience_s", 0.2)
    complete, publisher._complete = publisher._complete, lambda number: False
    await bound.ada.send(bound.lab.general, "hello")
    async with asyncio.timeout(10):
        while part.state is not State.FAILING:
            await asyncio.sleep(0.02)
    told = "No events are stored, they wait meanwhile: NATS: no event was acknowledged for"
    level, _ = await shown(bound)
    assert level.startswith("❌ unhealthy")
    assert told in level
    ended = await status()
    assert (ended.returncode, told in ended.stdout) == (1, True)
    publisher._complete = complete
    await part.wait_running()
    assert (await shown(bound))[0] == "✅ healthy"


async def test_a_notice_that_did_not_reach_the_owner_degrades_it_until_one_does(bound, pool):
    bound.ada.dms_closed = True
    sandbox = await bound.sandbox("blue")

    async def notify():
        async with pool.acquire() as connection, connection.transaction():
            await bound.app.manager.outbox.write_removal(connection, sandbox, bound.arcade.id, "Arcade")

    async def outcome():
        return await bound.app.manager.outbox.last_outcome(sandbox)

    assert await outcome() is None
    await notify()
    await bound.until(outcome)
    level, _ = await shown(bound)
    assert level.splitlines()[0] == "⚠️ degraded"
    assert "The last notice could not be delivered to the owner" in level
    bound.ada.dms_closed = False
    await notify()

    async def reached():
        return await outcome() == "sent"

    await bound.until(reached)
    assert (await shown(bound))[0] == "✅ healthy"


async def test_what_discord_does_not_say_in_time_is_left_open_and_lowers_no_level(bound, monkeypatch):
    monkeypatch.setattr(constants, "GUILD_INSPECTION_TIMEOUT_S", 0.3)
    bound.discord.rate_limit_next(f"/guilds/{bound.lab.id}", 30)
    began = time.monotonic()
    found = await health(bound)
    assert time.monotonic() - began < 2
    assert (found.level, found.routing.guilds[0].presence) == (HealthLevel.HEALTHY, None)
    assert found.routing.unknown == ("Discord has not told of 1 server in time.",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DISCORD_TOKEN": ""}, "Discord was not asked: no token is configured."),
        ({"DISCORD_TOKEN": "wrong"}, "Discord could not be asked: it refuses the token."),
        ({"BOT_DISCORD__API_BASE": "http://127.0.0.1:9/api/v10"}, "Discord could not be asked: Cannot connect"),
    ],
)
async def test_the_command_line_says_why_it_does_not_know_what_discord_says(status, changes, said):
    ended = await status(**changes)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert said in ended.stdout
    assert "whether the bot is in it is not known" in ended.stdout


@pytest.mark.long
async def test_a_watch_goes_on_while_it_lives_and_ends_as_unhealthy_with_it(bound, environment, tmp_path):  # noqa: F811
    watching = await asyncio.create_subprocess_exec(
        *(*BOT, "sandbox", "status", "blue", "--watch", "-i", "1s", "--json"),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert json.loads(await watching.stdout.readline())["level"] == "healthy"
    await bound.app.manager.destroy(OPERATOR, (await bound.sandbox("blue")).id)
    out, error = await watching.communicate()
    assert watching.returncode == 1
    last = json.loads(out.splitlines()[-1])
    assert (last["status"], last["level"]) == ("destroyed", "unhealthy")
    assert last["reasons"][0] == "It is destroyed: no events come, no worker connects."
    assert json.loads(error)["error"]["code"] == "UNHEALTHY"


@pytest.mark.long
async def test_a_watch_asks_discord_far_less_often_than_the_stores(bound, environment, tmp_path):  # noqa: F811
    asks_discord = {"DISCORD_TOKEN": bound.discord.token, "BOT_DISCORD__API_BASE": bound.discord.api_base}
    watching = await asyncio.create_subprocess_exec(
        *(*BOT, "sandbox", "status", "blue", "--watch", "-i", "1s", "--json"),
        cwd=tmp_path,
        env=environment | asks_discord,
        stdout=asyncio.subprocess.PIPE,
    )

    def asked():
        return sum(path.endswith(f"/guilds/{bound.lab.id}") for _, path, _ in bound.discord.requests)

    before = asked()
    turns = [json.loads(await watching.stdout.readline()) for _ in range(3)]  # it takes two seconds to take three
    watching.send_signal(signal.SIGINT)
    assert await watching.wait() == 130
    assert asked() == before + 1
    assert [turn["routing"]["guilds"][0]["name"] for turn in turns] == ["Ada's Lab"] * 3


async def test_what_discord_has_told_holds_for_a_while_and_new_servers_are_asked_about_at_once():
    asked = []

    async def inspect(guild_ids):
        asked.append(set(guild_ids))
        if 3 in guild_ids:
            raise ServiceUnavailable("Discord", "away")
        return {guild_id: GuildPresence(True) for guild_id in guild_ids}

    patient, hasty = RememberedGuilds(inspect, 3600), RememberedGuilds(inspect, 0)
    assert set(await patient.inspect([1, 2])) == {1, 2}
    assert set(await patient.inspect([2])) == {2}
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="Discord is not reachable"):
            await patient.inspect([2, 3])
    assert asked == [{1, 2}, {2, 3}]
    for _ in range(2):
        await hasty.inspect([1])
    assert asked == [{1, 2}, {2, 3}, {1}, {1}]


async def test_a_german_reads_the_level_in_german(scene):
    scene.ada.locale = "de"
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    said = text(await scene.ada.command("sandbox status", channel=scene.lab.general, sandbox="blue"))
    assert "Zustand: ✅ in Ordnung" in said
    assert "Weiterleitung: 1 von 1 Server weitergeleitet · " in said
