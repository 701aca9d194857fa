"""Lists, audit and status as people page through and read them."""

import asyncio
import json
from datetime import timedelta

import pytest

from bot import constants
from bot.sandboxes.model import SandboxStatus
from local_discord.errors import UsageError
from tests.e2e.conftest import TICK, running, text, title
from tests.e2e.test_cli import cli, environment  # noqa: F401  # fixtures


@pytest.fixture
async def crowded(open_scene):
    """Ada has 23 sandboxes, Bob one."""
    async with open_scene(sandboxes={"max_per_owner": 30}) as scene:
        owner = scene.app.bot.actor(await scene.app.bot.fetch_user(scene.ada.id))
        for number in range(23):
            await scene.app.manager.create(owner, name=f"blue-{number:02}")
        await scene.bob.command("sandbox create", channel=None, name="red")
        yield scene


def listed(message):
    """The names on a page."""
    return [field["name"].split()[1] for field in message.embeds[0].get("fields", ())]


def footer(message):
    return message.embeds[0].get("footer", {}).get("text")


async def turn(person, message, label):
    before = footer(message)
    pressed = await person.click(message, label)
    await pressed.wait_for(lambda _: footer(message) != before)


async def test_a_long_list_has_pages_that_are_read_afresh_by_its_asker_alone(crowded):
    ada, names = crowded.ada, [f"blue-{number:02}" for number in reversed(range(23))]
    message = (await ada.command("sandbox list", channel=crowded.lab.general)).message
    assert (listed(message), footer(message)) == (names[:10], "Page 1 of 3")
    assert "(23)" in title(message)
    assert "Only the one who was asked" in text(await crowded.bob.click(message, "Older ▶", force=True))

    await turn(ada, message, "Older ▶")
    await turn(ada, message, "Older ▶")
    assert (listed(message), footer(message)) == (names[20:], "Page 3 of 3")
    with pytest.raises(UsageError):
        await ada.click(message, "Older ▶")
    for name in names[:3]:
        await crowded.app.manager.destroy(
            crowded.app.bot.actor(await crowded.app.bot.fetch_user(ada.id)), (await crowded.sandbox(name)).id
        )
    await turn(ada, message, "◀ Newer")
    assert (listed(message), footer(message)) == (names[13:], "Page 2 of 2")


async def test_a_list_is_turned_after_a_restart_of_the_bot_and_stays_where_its_end_has_moved_to(
    crowded, settings_of, discord
):
    from bot.app import open_app

    message = (await crowded.ada.command("sandbox list", channel=None)).message
    crowded.app.stop.set()
    async with open_app(settings_of(discord)) as again, running(again, discord):
        await turn(crowded.ada, message, "Older ▶")
        assert footer(message) == "Page 2 of 3"


async def test_a_list_is_narrowed_to_a_status(scene):
    ada = scene.ada
    for name in ("blue", "green"):
        await ada.command("sandbox create", channel=None, name=name)
    await scene.app.manager.destroy(
        scene.app.bot.actor(await scene.app.bot.fetch_user(ada.id)), (await scene.sandbox("green")).id
    )
    assert listed((await ada.command("sandbox list", channel=None)).message) == ["blue"]
    assert listed((await ada.command("sandbox list", channel=None, status="destroyed")).message) == ["green"]
    nothing = await ada.command("sandbox list", channel=None, status="expired")
    assert "no such sandbox" in text(nothing)


async def test_the_audit_says_what_was_done_by_whom_also_when_the_sandbox_is_gone(scene):
    ada, here = scene.ada, scene.lab.general
    await ada.command("sandbox create", channel=here, name="blue", bind_here=True)
    sandbox = await scene.sandbox("blue")
    await scene.discord.owner.command("sandbox extend", channel=scene.lobby.general, sandbox="blue", by="1h")
    said = text(await ada.command("sandbox audit", channel=here, sandbox="blue"))
    lines = said.splitlines()[2:]
    assert "`ttl_extended`" in lines[0]
    assert f"<@{scene.discord.owner.id}>" in lines[0]
    created = next(line for line in lines if "`sandbox_created`" in line)
    assert f"<@{ada.id}>" in created
    assert "the bot" in next(line for line in lines if "`status_changed`" in line)

    assert "SANDBOX_004" in text(await scene.bob.command("sandbox audit", channel=None, sandbox="blue"))
    await scene.app.manager.destroy(scene.app.bot.actor(await scene.app.bot.fetch_user(ada.id)), sandbox.id)
    assert "SANDBOX_004" in text(await ada.command("sandbox audit", channel=None, sandbox="blue"))
    assert "`sandbox_destroyed`" in text(await ada.command("sandbox audit", channel=None, sandbox=str(sandbox.id)))


async def test_the_status_shows_what_each_store_holds_who_waits_and_which_servers_are_bound(scene):
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
    sandbox = await scene.sandbox("blue")
    await scene.app.stores.redis.set(f"{sandbox.redis_prefix}greeting", "hello")
    await scene.ada.send(scene.lab.general, "an event")

    async def has_an_event():
        return any(subject.endswith("MESSAGE_CREATE") for subject, _, _ in await scene.stored(sandbox))

    await scene.until(has_an_event)
    events = len(await scene.stored(sandbox))
    worker = await scene.jetstream.pull_subscribe_bind(consumer="worker", stream=sandbox.stream)
    for message in await worker.fetch(events, timeout=5):
        await message.ack_sync()
    waiting = asyncio.create_task(worker.fetch(1, timeout=5))

    async def waits():
        return (await scene.app.manager.get_health(sandbox.id)).nats.figures["waiting_workers"] == 1

    await scene.until(waits)
    said = text(await scene.ada.command("sandbox status", channel=None, sandbox="blue"))
    assert "Servers: Ada's Lab" in said
    assert "1 key" in said
    assert f"{events} event" in said
    assert "0 not yet acknowledged" in said
    assert "1 worker waits for more" in said
    assert "Last activity: " in said
    await scene.ada.send(scene.lab.general, "for the one who waits")
    await waiting


async def test_events_and_commands_are_activity_and_a_question_is_told_of_what_was_before_it(open_scene):
    async with open_scene(sandboxes={"activity_every": TICK}) as scene:
        ada, here = scene.ada, scene.lab.general
        await ada.command("sandbox create", channel=here, name="blue", bind_here=True)
        assert "Last activity: none yet" in text(await ada.command("sandbox status", channel=None, sandbox="blue"))

        async def is_active():
            return (await scene.sandbox("blue")).last_activity_at is not None

        await scene.until(is_active)  # by the command alone
        assert (await scene.sandbox("blue")).event_count == 0
        for number in range(3):
            await ada.send(here, f"message {number}")

        async def has_three():
            return (await scene.sandbox("blue")).event_count == 3

        await scene.until(has_three)
        said = text(await ada.command("sandbox status", channel=None, sandbox="blue"))
        assert "3 events" in next(line for line in said.splitlines() if line.startswith("Last activity: <t:"))
        assert "3 events" in text(await ada.command("sandbox list", channel=None))


async def test_what_was_counted_is_written_when_the_bot_stops(open_scene, pool):
    async with open_scene(sandboxes={"activity_every": timedelta(hours=1)}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        await scene.ada.send(scene.lab.general, "one")

        async def routed():
            return sum(scene.app.router.activity.values()) == 1

        await scene.until(routed)
        assert (await scene.sandbox("blue")).event_count == 0
    assert await pool.fetchval("SELECT event_count FROM sandboxes") == 1


async def test_discord_and_the_command_line_tell_of_an_event_that_nobody_has_written_down_yet(open_scene, cli):  # noqa: F811
    async with open_scene(sandboxes={"activity_every": timedelta(hours=1)}) as scene:
        ada, here = scene.ada, scene.lab.general
        await ada.command("sandbox create", channel=here, name="blue", bind_here=True)
        for number, ask in enumerate((shown_by(ada, "status", sandbox="blue"), shown_by(ada, "list")), start=1):
            await ada.send(here, f"message {number}")
            await scene.until(lambda number=number: routed(scene, number))
            assert f"{number} event" in await ask()
        await ada.send(here, "message 3")
        await scene.until(lambda: routed(scene, 3))
        listed = json.loads((await cli("list", "--json")).stdout)
        assert (listed[0]["event_count"], listed[0]["last_activity_at"] > listed[0]["created_at"]) == (3, True)
        health = json.loads((await cli("status", "blue", "--json")).stdout)
        assert (health["event_count"], health["stores"]["nats"]["messages"]) == (3, 3)


def shown_by(person, command, **options):
    async def ask():
        await asyncio.sleep(constants.ACTIVITY_WRITTEN_AT_MOST_EVERY_S)  # as slow as a person is at least
        return text(await person.command(f"sandbox {command}", channel=None, **options))

    return ask


async def routed(scene, number):
    return scene.app.router.counts["routed"] >= number


async def test_admins_list_everybodys_sandboxes_and_those_of_one_person(crowded):
    admin = crowded.discord.owner
    message = (await admin.command("sandbox-admin list", channel=crowded.lobby.general)).message
    assert listed(message)[0] == "red"
    assert f"<@{crowded.bob.id}>" in text_of(message)
    await turn(admin, message, "Older ▶")
    assert footer(message) == "Page 2 of 3"
    of_bob = (await admin.command("sandbox-admin list", channel=crowded.lobby.general, owner=crowded.bob)).message
    assert listed(of_bob) == ["red"]
    nobody = await admin.command("sandbox-admin list", channel=None, owner=crowded.bob, status="expired")
    assert "no such sandbox" in text(nobody)


def text_of(message):
    return str(message.embeds)


@pytest.mark.parametrize(
    ("command", "options"), [("list", {}), ("orphans", {}), ("sweep", {}), ("destroy", {"sandbox": "blue"})]
)
async def test_who_manages_a_server_but_not_the_bot_is_refused_by_the_bot_itself(scene, command, options):
    await scene.ada.command("sandbox create", channel=None, name="blue")
    for place in (scene.lab.general, None):
        reply = await scene.ada.command(f"sandbox-admin {command}", channel=place, **options)
        assert "Only the bot's admins" in text(reply)
    with pytest.raises(UsageError):  # Discord does not even show it to whoever manages nothing
        await scene.ada.command(f"sandbox-admin {command}", channel=scene.arcade.general, **options)


async def test_an_admin_destroys_anybodys_sandbox_after_asking(scene):
    await scene.ada.command("sandbox create", channel=None, name="blue")
    sandbox, admin = await scene.sandbox("blue"), scene.discord.owner
    question = (await admin.command("sandbox-admin destroy", channel=scene.lobby.general, sandbox="blue")).message
    pressed = await admin.click(question, "Destroy")
    await pressed.wait_for(lambda _: title(question) == "Sandbox “blue” is destroyed", timeout=10)
    assert (await scene.app.manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED


async def test_an_admin_sweeps_and_drops_orphans_after_looking_at_them(scene):
    admin, pool = scene.discord.owner, scene.app.stores.pool
    swept = await admin.command("sandbox-admin sweep", channel=None)
    assert "Destroyed: 0" in text(swept)
    assert "Nothing is orphaned" in text(await admin.command("sandbox-admin orphans", channel=None))

    await scene.ada.command("sandbox create", channel=None, name="blue")
    await pool.execute("SELECT create_sandbox_schema('deadbeef-0000-0000-0000-000000000000')")
    await pool.execute("COMMENT ON SCHEMA sandbox_deadbeef IS 'discord-sandboxes, made 2020-01-01'")
    found = (await admin.command("sandbox-admin orphans", channel=None)).message
    assert "schema `sandbox_deadbeef`" in text_of(found)
    assert title(found) == "1 orphan found"
    assert await pool.fetchval("SELECT to_regnamespace('sandbox_deadbeef') IS NOT NULL")
    assert "Only the one who was asked" in text(await scene.ada.click(found, "Drop them", force=True))
    pressed = await admin.click(found, "Drop them")
    await pressed.wait_for(lambda _: title(found) == "1 orphan dropped")
    assert await pool.fetchval("SELECT to_regnamespace('sandbox_deadbeef') IS NULL")
    assert await pool.fetchval("SELECT to_regnamespace($1) IS NOT NULL", (await scene.sandbox("blue")).schema_name)


async def test_an_admins_commands_are_not_forwarded_to_a_sandbox(scene):
    await scene.discord.owner.command("sandbox create", channel=scene.lobby.general, name="blue", bind_here=True)
    await scene.discord.owner.command("sandbox-admin list", channel=scene.lobby.general)
    assert "INTERACTION_CREATE" not in str(await scene.stored(await scene.sandbox("blue")))
