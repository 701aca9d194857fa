"""What bots in various libraries need, beyond what one of them shows."""

from __future__ import annotations

import os
import sys

import aiohttp
import pytest

from bot.sandboxes.model import Actor
from tests.ecosystem.environments import NotPossible
from tests.ecosystem.features import Stage, try_all
from tests.ecosystem.libraries import library
from tests.ecosystem.process import running_bot

pytestmark = pytest.mark.long

UNDOCUMENTED = 1 << 17


@pytest.fixture
async def sandbox(scene):
    return await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])


async def failures(scene, relayed, sandbox, known, command):
    scene.lab.add_member(scene.discord.bot_user, permissions=("manage_webhooks",))
    environment = await relayed.environment(sandbox) | {"GUILD_ID": str(scene.lab.id)}

    async def bind(guild):
        await scene.app.manager.register_guild(Actor(scene.ada.id, "ada"), sandbox.id, guild.id)

    async with running_bot(command, known.environment(environment)) as bot:
        return await try_all(Stage(scene.discord, scene.lab, scene.ada, bot, relayed.relay, bind)), bot.lines


# The next two are a bot's whole life each, sixteen features one after the other: some seconds.


async def test_a_discord_py_bot_does_in_a_sandbox_whatever_it_does_elsewhere(scene, relayed, sandbox):
    known = library("discord.py")
    _, script = await known.command()
    failed, said = await failures(scene, relayed, sandbox, known, [sys.executable, script])
    assert not failed, said


@pytest.mark.timeout(180)  # it is installed before it is started for the first time
async def test_a_discord_js_bot_does_in_a_sandbox_whatever_it_does_elsewhere(scene, relayed, sandbox):
    known = library("discord.js")
    try:
        command = await known.command()
        await known.install()
    except NotPossible as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"discord.js is not tested: {why}")
    failed, said = await failures(scene, relayed, sandbox, known, command)
    assert not failed, said


async def test_an_intent_that_libraries_ask_for_by_default_is_taken_though_no_documentation_has_it(relayed, sandbox):
    token, address = await relayed.token(sandbox), relayed.relay.address.replace("http", "ws", 1)
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{address}/?v=10&encoding=json") as socket:
        assert (await socket.receive_json())["op"] == 10
        await socket.send_json({"op": 2, "d": {"token": token, "intents": 1 | UNDOCUMENTED, "properties": {}}})
        assert (await socket.receive_json())["t"] == "READY"


async def test_an_answer_without_a_body_has_no_type_that_clients_would_read_it_by(scene, relayed, sandbox):
    sent = await scene.ada.send(scene.lab.general, "hello")
    path = f"/channels/{scene.lab.general.id}/messages/{sent.id}/reactions/%F0%9F%91%8D/@me"
    headers = {"Authorization": f"Bot {await relayed.token(sandbox)}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        response = await session.put(f"{relayed.relay.address}/api/v10{path}")
    assert (response.status, response.headers.get("Content-Type")) == (204, None)
