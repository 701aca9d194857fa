"""How a developer gets a bot's token, and that nobody else does."""

from __future__ import annotations

import asyncio
import socket

import pytest
from loguru import logger
from pydantic import SecretStr

from bot.cli import json_data
from bot.relay.part import RelayPart
from bot.settings import Discord, Settings
from bot.supervisor import State, Supervisor
from tests.e2e.conftest import environment_in, text
from tests.e2e.relay.processes import free_port
from tests.e2e.relay.wire import connected, identified
from tests.e2e.test_cli import cli, environment  # noqa: F401  # fixtures


@pytest.fixture
async def serving(open_scene):
    """A bot that serves the relay itself."""
    port = free_port()
    async with open_scene(relay={"listen": f"127.0.0.1:{port}"}) as scene:
        await scene.app.supervisor.parts["relay"].wait_running()
        await scene.ada.command("sandbox create", channel=scene.lab.general, name="blue", bind_here=True)
        yield scene


@pytest.fixture
def logged():
    lines = []
    number = logger.add(lambda line: lines.append(str(line)), level="TRACE", serialize=True)
    yield lines
    logger.remove(number)


async def test_connect_hands_out_what_a_bot_logs_in_with(serving):
    reply = await serving.ada.command("sandbox connect", channel=serving.lab.general, sandbox="blue")
    told = environment_in(reply)
    address = serving.app.settings.relay_address
    assert (told["SANDBOX_BOT_API"], told["SANDBOX_BOT_GATEWAY"]) == (
        f"{address}/api/v10",
        address.replace("http", "ws"),
    )
    assert "logs in with `SANDBOX_BOT_TOKEN`" in text(reply)
    assert f"# {address}, for SANDBOX_BOT_TOKEN, is reached on the bot's own machine alone" in text(reply)
    async with identified(address, told["SANDBOX_BOT_TOKEN"]) as wire:
        assert await wire.request("GET", f"/guilds/{serving.lab.id}") == 200

    serving.ada.locale = "de"
    again = await serving.ada.command("sandbox connect", channel=serving.lab.general, sandbox="blue")
    assert "meldet sich mit" not in text(again)  # without a token there is nothing to log in with
    new = await serving.ada.click(again.message, "Neue Zugangsdaten")
    assert "meldet sich mit `SANDBOX_BOT_TOKEN`" in text(new)


async def test_no_output_but_the_one_for_secrets_has_the_token(serving, logged, cli):  # noqa: F811
    ada, lab = serving.ada, serving.lab
    first = await ada.command("sandbox connect", channel=lab.general, sandbox="blue")
    told = environment_in(first)
    token = told["SANDBOX_BOT_TOKEN"]
    address, secret = serving.app.settings.relay_address, token.split(".")[2]
    async with identified(address, token) as wire:
        assert await wire.request("GET", f"/guilds/{serving.arcade.id}") == 403
        async with connected(address, token + "x") as refused:
            await refused.send(2, {"token": token + "x", "intents": 1, "properties": {}})
            assert await refused.close_code() == 4004
        replies = [first]
        replies += [
            await ada.command(f"sandbox {name}", channel=lab.general, sandbox="blue")
            for name in ("status", "audit", "connect")
        ]
        commands = (("status", "blue", "--json"), ("status", "blue"), ("audit", "blue", "--json"), ("list", "--json"))
        bare = ("env", "blue", "--without-credentials")
        ended = await asyncio.gather(*(cli(*each) for each in (*commands, bare, ("env", "blue"))))
    sandbox = await serving.sandbox("blue")
    health = json_data.health_data(
        await serving.app.manager.get_health(sandbox.id), serving.app.manager.access.isolation
    )
    keys = await serving.app.stores.redis.keys("sandbox-bot:relay-*")
    kept = [await serving.app.stores.redis.dump(key) for key in keys]
    outputs = [*map(text, replies), *(each.stdout + each.stderr for each in ended), *logged, str(health), str(kept)]
    assert keys
    assert logged
    assert [output for output in outputs if secret in output] == []


@pytest.mark.long
async def test_where_the_usual_port_is_taken_the_bot_says_so_once_and_serves_when_it_is_free(
    scene, monkeypatch, logged
):
    monkeypatch.setattr("bot.constants.RESTART_LONGEST_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        monkeypatch.setattr("bot.constants.RELAY_LISTEN", f"127.0.0.1:{port}")
        discord = Discord(token=SecretStr(scene.discord.token), api_base=scene.discord.api_base)
        usual = Settings(discord=discord)  # with embedded stores, as far as the settings say
        assert usual.relay_listen == f"127.0.0.1:{port}"
        async with Supervisor() as supervisor:
            part = RelayPart(usual, scene.app.stores, supervisor)
            state = supervisor.start("relay", part.run)

            async def has_tried():
                return state.restarts >= 3

            await scene.until(has_tried)
            assert state.state is State.FAILING
            about = [line for line in logged if "Choose another port" in line]
            assert len(about) == 1
            theirs.close()
            await state.wait_running()
            assert await scene.app.manager.relay.list_relays() == [f"http://127.0.0.1:{port}"]
        part.close()
