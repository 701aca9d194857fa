"""Commands of sandboxes' own bots, beside those of the team's."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import pytest

from bot.sandboxes.model import Actor, Sandbox

PING = {"name": "ping", "description": "Answers pong", "type": 1}


@dataclass
class Caller:
    """Asks the relay as a sandbox's bot."""

    session: aiohttp.ClientSession
    base: str
    sandbox: Sandbox

    async def __call__(self, method, path, json=None, status=200):
        async with self.session.request(method, self.base + path, json=json) as response:
            body = await response.json() if response.content_type == "application/json" else await response.read()
            assert response.status == status, body
            return body


@pytest.fixture
async def call(scene, relayed):
    """Asks the relay's HTTP API as the bot of a sandbox of Ada's."""
    sandbox = await scene.app.manager.create(Actor(scene.ada.id, "ada"), name="adas", guild_ids=[scene.lab.id])
    token = await relayed.token(sandbox)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {token}"}) as session:
        yield Caller(session, f"{relayed.relay.address}/api/v10", sandbox)


def names_in(scene, guild):
    return sorted(command["name"] for command in scene.discord.guild_commands.get(guild.id, []))


async def test_a_global_command_of_a_sandbox_is_a_command_of_its_servers_alone(scene, call):
    path = f"/applications/{scene.discord.application_id}/commands"
    told = await call("PUT", path, [PING])
    assert names_in(scene, scene.lab) == ["ping"]
    assert names_in(scene, scene.arcade) == []
    assert {command["name"] for command in scene.discord.commands} == {"sandbox", "sandbox-admin"}
    assert (await call("GET", path))[0]["id"] == told[0]["id"] != scene.discord.guild_commands[scene.lab.id][0]["id"]


async def test_commands_follow_the_bindings(scene, call):
    path, ada = f"/applications/{scene.discord.application_id}/commands", Actor(scene.ada.id, "ada", is_admin=True)
    await call("PUT", path, [PING])
    await scene.app.manager.register_guild(ada, call.sandbox.id, scene.arcade.id)
    await scene.until(lambda: _is(names_in(scene, scene.arcade), ["ping"]))
    await scene.app.manager.unregister_guild(ada, scene.lab.id)
    await scene.until(lambda: _is(names_in(scene, scene.lab), []))
    await scene.app.manager.destroy(ada, call.sandbox.id)
    await scene.until(lambda: _is(names_in(scene, scene.arcade), []))


async def test_what_discord_refuses_is_answered_as_discord_does_and_not_kept(scene, call):
    path = f"/applications/{scene.discord.application_id}/commands"
    await call("PUT", path, [PING])
    refused = await call("PUT", path, [{**PING, "name": "Bad Name"}], status=400)
    assert refused["code"] == 50035
    assert [command["name"] for command in await call("GET", path)] == ["ping"]
    assert names_in(scene, scene.lab) == ["ping"]


async def test_the_products_own_commands_cannot_be_hidden(scene, call):
    path = f"/applications/{scene.discord.application_id}/guilds/{scene.lab.id}/commands"
    assert (await call("POST", path, {**PING, "name": "sandbox"}, status=400))["code"] == 50035


async def _is(found, wanted):
    return found == wanted
