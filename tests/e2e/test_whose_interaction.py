"""Only what the bot has made is the bot's own: everything else goes to the sandbox's worker, whatever it is called."""

import json

import aiohttp
import pytest

from bot.custom_ids import CustomId
from tests.e2e.conftest import text
from tests.e2e.test_custom_ids import unsigned

COMMAND, COMPONENT, AUTOCOMPLETE, FORM = 2, 3, 4, 5

WORKERS = {
    "button sandbox": (COMPONENT, {"custom_id": "sandbox", "component_type": 2}),
    "button sandbox-admin": (COMPONENT, {"custom_id": "sandbox-admin", "component_type": 2}),
    "menu": (COMPONENT, {"custom_id": "sandbox:page:2", "component_type": 3, "values": ["a"]}),
    "prefix alone": (COMPONENT, {"custom_id": "sbx:", "component_type": 2}),
    "button of the first version's form": (COMPONENT, {"custom_id": "sbx:v1:shop:42", "component_type": 2}),
    "form": (FORM, {"custom_id": "sbx:v1:extend:0123", "components": []}),
    "signed by nobody": (COMPONENT, {"custom_id": "sbx:v2:keep:0:1:AAAAAAAAAAAAAAAA", "component_type": 2}),
    "user command": (COMMAND, {"id": "1", "name": "sandbox", "type": 2, "target_id": "1"}),
    "message command": (COMMAND, {"id": "2", "name": "sandbox-admin", "type": 3, "target_id": "1"}),
    "another slash command": (COMMAND, {"id": "3", "name": "sandboxes", "type": 1}),
    "a slash command of another id": (COMMAND, {"id": "4", "name": "sandbox", "type": 1}),
}


@pytest.fixture
async def stage(scene):
    """Bob's `red` holds Ada's Lab."""
    scene.lab.add_member(scene.bob, manage_guild=True)
    await scene.bob.command("sandbox create", channel=scene.lab.general, name="red", bind_here=True)
    return scene


async def interact(scene, kind, data, *, message_id=None):
    """As Discord tells of it; its number in the session."""
    scene.number = getattr(scene, "number", 0) + 1
    event = {
        "id": str(scene.discord.world.core.snowflakes.next()),
        "application_id": str(scene.discord.application_id),
        "type": kind,
        "data": data,
        "guild_id": str(scene.lab.id),
        "channel_id": str(scene.lab.general.id),
        "token": "t",
        "version": 1,
    }
    if message_id is not None:
        event["message"] = {"id": str(message_id), "content": ""}
    await scene.discord.dispatch("INTERACTION_CREATE", event, guild_id=scene.lab.id)
    return event


async def until_forwarded(scene, event):
    async def is_there():
        stored = await scene.stored(await scene.sandbox("red"))
        return event["id"] in [json.loads(payload)["d"].get("id") for _, payload, _ in stored]

    await scene.until(is_there)


async def test_what_only_looks_like_the_bots_own_is_forwarded(stage):
    own = stage.app.router.counts["own interactions"]
    for kind, data in WORKERS.values():
        await until_forwarded(stage, await interact(stage, kind, data))
    assert stage.app.router.counts["own interactions"] == own


async def test_a_servers_own_command_of_our_name_is_its_sandboxes(stage):
    scope = f"/applications/{stage.discord.application_id}/guilds/{stage.lab.id}/commands"
    headers = {"Authorization": f"Bot {stage.discord.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        form = {"name": "sandbox", "description": "The worker's."}
        async with session.post(stage.discord.api_base + scope, json=form) as response:
            data = {"id": (await response.json())["id"], "name": "sandbox", "type": 1, "guild_id": str(stage.lab.id)}
    for kind in (COMMAND, AUTOCOMPLETE):
        await until_forwarded(stage, await interact(stage, kind, data))
    assert "red" in text(await stage.bob.command("sandbox list", channel=stage.arcade.general))


async def test_what_the_bot_has_made_is_answered_and_not_forwarded(stage):
    asked = (await stage.bob.command("sandbox destroy", channel=stage.lab.general, sandbox="red")).message
    assert "stays as it is" in text(await stage.bob.click(asked, "Keep it"))
    assert stage.app.router.counts["own interactions"] == 3
    forwarded = [subject for subject, *_ in await stage.stored(await stage.sandbox("red")) if "INTERACTION" in subject]
    assert forwarded == []


async def test_what_another_bot_has_signed_with_a_newer_key_is_ours_and_with_an_old_key_too(stage, settings_of):
    from bot.app import open_app

    red = await stage.sandbox("red")
    keep = CustomId("keep", str(red.reference), stage.bob.id)
    asked = (await stage.bob.command("sandbox destroy", channel=stage.lab.general, sandbox="red")).message
    async with open_app(settings_of(stage.discord)) as other:
        await other.bot.custom_ids.rotate_key()
        newer = await other.bot.custom_ids.sign(keep)
    assert "stays as it is" in text(await stage.bob.click(unsigned(asked, newer, asked.id), "Destroy"))
    await stage.app.stores.pool.execute("UPDATE bot_keys SET retired_at = now() - interval '25 hours'")
    assert "not the bot's own" in text(await stage.bob.click(asked, "Keep it"))


@pytest.mark.parametrize("kind", [COMPONENT, FORM])
async def test_what_stands_in_a_message_from_before_the_signatures_is_never_forwarded(stage, kind):
    since, own = await stage.app.bot.custom_ids.get_since(), stage.app.router.counts["own interactions"]
    data = {"custom_id": "sbx:v1:extend:0123", "component_type": 2, "components": []}
    await interact(stage, kind, data, message_id=since - 1)
    await until_forwarded(stage, await interact(stage, kind, data, message_id=since))
    assert stage.app.router.counts["own interactions"] == own + 1


async def test_whose_a_button_is_is_known_though_postgresql_does_not_answer(stage, monkeypatch):
    from bot import constants

    monkeypatch.setattr(constants, "OWN_INTERACTION_ASKED_EVERY_S", 0.0)
    monkeypatch.setattr(constants, "OWN_INTERACTION_KNOWN_WITHIN_S", 0.05)
    pool, held = stage.app.stores.pool, []
    red = await stage.sandbox("red")
    signed = await stage.app.bot.custom_ids.sign(CustomId("keep", str(red.reference), stage.bob.id))
    own = stage.app.router.counts["own interactions"]
    while pool.get_idle_size() or pool.get_size() < pool.get_max_size():
        held.append(await pool.acquire())
    try:
        await until_forwarded_by_count(stage, await interact(stage, *WORKERS["signed by nobody"]))
        await interact(stage, COMPONENT, {"custom_id": signed, "component_type": 2})

        async def is_own():
            return stage.app.router.counts["own interactions"] == own + 1

        await stage.until(is_own)
    finally:
        for connection in held:
            await pool.release(connection)


async def until_forwarded_by_count(scene, event):
    async def is_there():
        return scene.app.router._forwarded.prefix_of(int(event["id"])) is not None

    await scene.until(is_there)
