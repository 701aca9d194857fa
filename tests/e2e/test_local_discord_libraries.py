"""What libraries other than discord.py send to the local Discord, and rely on from it."""

from __future__ import annotations

import aiohttp
import pytest

from local_discord import LocalDiscord


@pytest.fixture
async def local():
    async with LocalDiscord() as local:
        yield local


@pytest.fixture
async def place(local):
    """Somebody's guild's channel."""
    return local.add_guild("Lab", owner=local.add_person("ada")).general


@pytest.fixture
async def write(local, place):
    """Writes a message as the bot, by a plain request."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {local.token}"}) as session:

        async def write_(**form):
            async with session.post(f"{local.api_base}/channels/{place.id}/messages", json=form) as response:
                assert response.status == 200, await response.text()
                return await response.json()

        yield write_


async def test_components_are_numbered_and_shown_without_what_is_null(write):
    pressed = {"type": 2, "style": 1, "label": "Press", "custom_id": "press", "emoji": None}
    chosen = {"type": 2, "style": 1, "label": "Choose", "custom_id": "choose", "id": 2}
    (row,) = (await write(components=[{"type": 1, "components": [pressed, chosen]}]))["components"]
    assert row["id"] == 1
    assert [(each["id"], each["label"]) for each in row["components"]] == [(3, "Press"), (2, "Choose")]
    assert "emoji" not in row["components"][0]


async def test_a_click_tells_the_number_of_its_button(local, write, place):
    button = {"type": 2, "style": 1, "label": "Press", "custom_id": "press"}
    sent = await write(components=[{"type": 1, "components": [button]}])
    message = place.messages[int(sent["id"])]
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{local.gateway_url}?v=10") as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": local.token, "intents": 1 << 17 | 1, "properties": {}}})
        while (await socket.receive_json())["t"] != "GUILD_CREATE":
            pass
        local.settings.callback_deadline_s = 0.01  # nobody answers
        await place.guild.owner.click(message, "Press")
        assert (await socket.receive_json())["d"]["data"] == {"id": 2, "custom_id": "press", "component_type": 2}


async def test_a_reference_of_no_type_is_a_reply(write):
    sent = await write(content="one")
    reference = {"message_id": sent["id"], "channel_id": sent["channel_id"], "type": None}
    assert (await write(content="two", message_reference=reference))["type"] == 19
