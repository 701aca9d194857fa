"""A worker posts any button in the bot's name, and somebody with more rights presses it."""

import asyncio
import base64
import gc
import json
import re
from datetime import timedelta

import aiohttp
import discord as discord_py
import pytest

from bot.custom_ids import CustomId
from bot.sandboxes.model import SandboxStatus
from local_discord.world.channels import Message
from tests.e2e.conftest import text, title

SECOND = timedelta(seconds=1)


@pytest.fixture
async def stage(scene):
    """Bob's `red` holds Ada's Lab, where Ada and the admin are too; Ada has `blue`, which is none of Bob's business."""
    scene.admin = scene.discord.owner
    scene.lab.add_member(scene.admin, manage_guild=True)
    scene.lab.add_member(scene.bob, manage_guild=True)
    await scene.bob.command("sandbox create", channel=scene.lab.general, name="red", bind_here=True)
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    return scene


async def post(scene, custom_ids, *, flags=0, person=None):
    """What Bob's worker says in answer to a command of its own, with buttons labelled 0, 1, 2, …"""
    reply = await (person or scene.bob).use_foreign_command("play", channel=scene.lab.general)
    buttons = [{"type": 2, "style": 1, "label": str(number), "custom_id": one} for number, one in enumerate(custom_ids)]
    data = {"content": "free cookies", "components": [{"type": 1, "components": buttons}], "flags": flags}
    url = f"{scene.discord.api_base}/interactions/{reply.interaction_id}/{reply.token}/callback"
    async with aiohttp.ClientSession() as session, session.post(url, json={"type": 4, "data": data}) as response:
        assert response.status == 204
    return reply.message


async def stolen(scene):
    """All that Bob's sandbox has got."""
    return "\n".join(payload.decode() for _, payload, _ in await scene.stored(await scene.sandbox("red")))


def buttons(message):
    """Custom ids by label."""
    return {one["label"]: one["custom_id"] for row in message.components for one in row["components"]}


def forged(action, person, sandbox):
    """Ids as version 0.1 made them, which had no signature, and as they are now, with one that is made up."""
    old = {"page": f"{person.id}:0:any:0", "orphans": str(person.id), "extend": f"{sandbox.id.hex}:86400"}
    new = {"page": "0:any:0:", "orphans": "", "extend": f"{sandbox.reference}:86400", "offer": f"{sandbox.reference}:9"}
    signature = base64.urlsafe_b64encode(bytes(12)).decode()
    ids = [f"sbx:v2:{action}:{asker}:{new.get(action, sandbox.reference)}:{signature}" for asker in (person.id, 0)]
    return [f"sbx:v1:{action}:{old.get(action, f'{sandbox.id.hex}:{person.id}')}", *ids]


@pytest.mark.parametrize("action", ["page", "orphans", "destroy", "reset", "keep", "rotate", "extend", "offer"])
async def test_a_forged_button_does_nothing_whoever_presses_it_and_is_its_workers(stage, action):
    blue = await stage.sandbox("blue")
    pressed = []
    for person in (stage.admin, stage.ada):
        message = await post(stage, forged(action, person, blue))
        for custom_id in buttons(message).values():
            await press(stage, person, message, custom_id)
            pressed.append(custom_id)
        assert (message.content, message.embeds) == ("free cookies", [])
    await stage.until(lambda: has_got(stage, pressed))
    assert stage.app.router.counts["own interactions"] == 2  # the commands that made the sandboxes
    after = await stage.sandbox("blue")
    assert (after.status, after.expires_at) == (SandboxStatus.RUNNING, blue.expires_at)


async def press(scene, person, message, custom_id):
    """Without waiting for an answer, which nobody gives."""
    data = {"custom_id": custom_id, "component_type": 2}
    scene.discord.world.interactions.use_component(person, message, data)
    await scene.discord.gateway.flush()


async def has_got(scene, custom_ids):
    """Whether Bob's sandbox has got these presses, and no others."""
    stored = await scene.stored(await scene.sandbox("red"))
    events = [json.loads(payload) for _, payload, _ in stored]
    interactions = [event["d"]["data"] for event in events if event["t"] == "INTERACTION_CREATE"]
    return [one["custom_id"] for one in interactions if "custom_id" in one] == custom_ids


@pytest.mark.parametrize("flags", [0, 64], ids=["public", "ephemeral"])
async def test_a_copy_of_an_own_button_is_answered_where_only_its_asker_reads_it(stage, flags):
    for number in range(10):
        owner = stage.app.bot.actor(await stage.app.bot.fetch_user(stage.admin.id))
        await stage.app.manager.create(owner, name=f"more-{number}", owner_id=10**17 + number)
    asked = (await stage.admin.command("sandbox-admin list", channel=stage.lab.general)).message
    copy = await post(stage, [buttons(asked)["Older ▶"]], flags=flags, person=stage.admin)
    turned = (await stage.admin.click(copy, "0")).message
    assert (turned.ephemeral, "(12)" in title(turned)) == (True, True)
    assert turned is not copy
    assert copy.embeds == []
    assert "red" not in (await stolen(stage)).replace("sandbox.red", "")


async def test_a_question_that_was_copied_is_neither_anybody_elses_nor_answered_in_public(stage):
    asked = (await stage.ada.command("sandbox destroy", channel=stage.lab.general, sandbox="blue")).message
    copy = await post(stage, buttons(asked).values())
    for person in (stage.bob, stage.admin):
        assert "Only the one who was asked" in text(await person.click(copy, "0"))
    assert (await stage.sandbox("blue")).status is SandboxStatus.RUNNING
    reply = await stage.ada.click(copy, "1")
    assert "stays as it is" in text(reply)
    assert (reply.message.ephemeral, copy.embeds) == (True, [])
    assert await stage.ada.click(asked, "Keep it")
    assert "stays as it is" in asked.embeds[0]["description"]
    assert "“blue”" not in await stolen(stage)


async def test_nothing_that_is_signed_can_be_changed_or_moved(stage):
    ids, blue = stage.app.bot.custom_ids, await stage.sandbox("blue")
    custom_id = CustomId("extend", f"{blue.reference}:60", None)
    here = await ids.sign(custom_id, stage.lab.general.id)
    assert await ids.read(here, stage.lab.general.id) == custom_id
    assert await ids.read(here, stage.arcade.general.id) is None
    for one, other in ((":60:", ":99:"), ("extend", "offer"), (":0:", f":{stage.ada.id}:"), (":v2:", ":v3:")):
        assert await ids.read(here.replace(one, other), stage.lab.general.id) is None
    asker = await ids.sign(CustomId("destroy", str(blue.reference), stage.ada.id))
    assert await ids.read(asker.replace(str(stage.ada.id), "0"), stage.lab.general.id) is None
    assert len(base64.urlsafe_b64decode(here.rpartition(":")[2])) >= 10
    for text_ in ("sbx:", "sbx:v2", "sbx:v2:a:0:b", "sbx:v2:a:\u0660:b:c", "sbx:v2:a:0:\ud800:c", "sbx:v2:a:0:b:ü"):
        assert await ids.read(text_, 1) is None


async def test_two_bots_share_a_key_and_one_that_was_replaced_is_taken_for_a_day(stage, settings_of, discord):
    from bot.app import open_app

    asked = (await stage.ada.command("sandbox destroy", channel=stage.lab.general, sandbox="blue")).message
    async with open_app(settings_of(discord)) as other:
        await other.bot.custom_ids.rotate_key()
    assert await stage.ada.click(asked, "Keep it")
    assert "stays as it is" in asked.embeds[0]["description"]
    asked = (await stage.ada.command("sandbox destroy", channel=stage.lab.general, sandbox="blue")).message
    await stage.app.stores.pool.execute("UPDATE bot_keys SET retired_at = now() - interval '25 hours'")
    assert "not the bot's own" in text(await stage.ada.click(asked, "Keep it"))


@pytest.fixture
async def told_in_channel(open_scene, discord):
    """Bob's `red` has bound the server that notices go to where direct messages are closed, and Ada's are."""
    staff = discord.add_guild("Staff", owner=discord.owner)
    async with open_scene(notice_channel=staff.general.id) as scene:
        scene.staff = staff
        staff.add_member(scene.bob, manage_guild=True)
        staff.add_member(scene.ada)
        await scene.bob.command("sandbox create", channel=staff.general, name="red", bind_here=True)
        scene.ada.dms_closed = True
        await scene.ada.command("sandbox create", channel=scene.arcade.general, name="blue", ttl="2s")
        scene.blue = await scene.sandbox("blue")

        async def told():
            return len([one for one in staff.general.messages.values() if scene.ada.mention in one.content]) == 2

        await scene.until(told)
        yield scene


async def test_a_notice_in_a_channel_tells_nobody_the_id_of_a_sandbox(told_in_channel):
    seen = await stolen(told_in_channel)
    assert "A sandbox has expired" in seen
    assert told_in_channel.blue.id.hex not in seen
    assert str(told_in_channel.blue.id) not in seen
    assert told_in_channel.blue.id.hex[:8] not in seen


async def test_a_button_in_a_channel_only_asks_whoever_may_and_the_answer_extends(told_in_channel):
    *_, notice = told_in_channel.staff.general.messages.values()
    assert "SANDBOX_004" in text(await told_in_channel.bob.click(notice, "Extend by 1d"))
    asked = (await told_in_channel.ada.click(notice, "Extend by 1d")).message
    assert (title(asked), asked.ephemeral) == ("Extend “blue” by 1d?", True)
    assert (await told_in_channel.sandbox("blue")).status is SandboxStatus.EXPIRED
    assert "lives longer" in text(await told_in_channel.ada.click(asked, "Extend by 1d"))
    assert (await told_in_channel.sandbox("blue")).status is SandboxStatus.RUNNING


def unsigned(message, custom_id, message_id):
    """The message as version 0.1 had sent it."""
    (row,) = message.components
    old = Message(message_id, message.channel, message.author)
    old.components = [{**row, "components": [{**row["components"][0], "custom_id": custom_id}]}]
    message.channel.keep(old)
    return old


async def test_a_notice_of_the_last_version_still_extends_in_a_direct_message_alone(open_scene):
    async with open_scene(sandboxes={"grace": timedelta(minutes=5)}) as scene:
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="brief", ttl="1s")
        notice = await scene.ada.wait_for_dm(lambda message: "has expired" in title(message), timeout=10)
        since, custom_id = (
            await scene.app.bot.custom_ids.get_since(),
            f"sbx:v1:extend:{(await scene.sandbox('brief')).id.hex}:60",
        )
        assert notice.id > since
        later = unsigned(notice, custom_id, notice.id)
        assert "Use `/sandbox extend`" in text(await scene.ada.click(later, "Extend by 1d"))
        assert (await scene.sandbox("brief")).status is SandboxStatus.EXPIRED
        old = unsigned(notice, custom_id, since - 1)
        assert "lives longer" in text(await scene.ada.click(old, "Extend by 1d"))
        assert (await scene.sandbox("brief")).status is SandboxStatus.RUNNING


async def test_an_old_button_in_a_server_is_never_forwarded_and_its_command_is_named(stage):
    blue, since = await stage.sandbox("blue"), await stage.app.bot.custom_ids.get_since()
    message = await post(stage, [f"sbx:v1:destroy:{blue.id.hex}:{stage.ada.id}"])
    old = unsigned(message, f"sbx:v1:destroy:{blue.id.hex}:{stage.ada.id}", since - 1)
    assert "Use `/sandbox destroy`" in text(await stage.ada.click(old, "0"))
    interactions = [
        json.loads(line)["d"] for line in (await stolen(stage)).splitlines() if "INTERACTION_CREATE" in line
    ]
    assert [one["data"].get("name") for one in interactions] == ["play"]
    assert re.search(
        r'"custom_id":"sbx:v1', (await stolen(stage)).replace(" ", "")
    )  # the worker's own, as it was posted


@pytest.mark.long
async def test_no_answer_with_buttons_stays_in_memory(scene):
    """By default discord.py keeps each for 15 minutes, with a timer. A press is known by its custom id alone."""
    await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue")
    asking = [scene.ada.command("sandbox destroy", channel=scene.lab.general, sandbox="blue") for _ in range(20)]
    questions = [reply.message for reply in await asyncio.gather(*asking)]

    async def are_gone():
        gc.collect()
        return not any(isinstance(one, discord_py.ui.View) for one in gc.get_objects())

    await scene.until(are_gone)
    assert "stays as it is" in text(await scene.ada.click(questions[0], "Keep it"))
