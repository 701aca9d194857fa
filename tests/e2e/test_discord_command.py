"""`sandbox-bot discord`: unmodified programs take it for Discord, and its world lasts."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tomllib
from pathlib import Path

import aiohttp
import pytest

from bot.local.serving import WorldSource, open_local_discord, run_against

PROGRAM = Path(sys.executable).with_name("sandbox-bot")
WAITS_S = 50

BOT = """
import os
import sys

import discord

client = discord.Client(intents=discord.Intents.default())


@client.event
async def on_ready():
    (guild,) = client.guilds
    await guild.text_channels[0].send("at home")
    await guild.create_text_channel("found")
    await client.close()


client.run(os.environ[sys.argv[1]], log_handler=None)
sys.exit(7)
"""
WORLD = """
[[people]]
name = "ada"

[[servers]]
name = "Lab"
owner = "ada"
members = [{name = "bot", roles = ["Makers"]}]
roles = [{name = "Makers", permissions = ["manage_channels"]}]
channels = [{name = "general"}]
"""
ASKS = """
import os
import urllib.error
import urllib.request

address = "https://discord.com/api/v10/applications/12345678901234567/activity-instances/1"
request = urllib.request.Request(address, headers={"Authorization": f"Bot {os.environ['DISCORD_TOKEN']}"})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as refused:
    print(refused.code)
"""
WAITS = """
import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print("up", flush=True)
signal.pause()
"""


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "world.toml"
    path.write_text(WORLD)
    return path


@pytest.fixture
def bot(tmp_path):
    path = tmp_path / "bot.py"
    path.write_text(BOT)
    return path


async def start(*arguments):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(PROGRAM, "discord", *arguments, stdout=pipe, stderr=pipe)


async def test_an_unmodified_bot_reaches_it_by_discords_own_names(world, bot):
    async with asyncio.timeout(WAITS_S), open_local_discord(WorldSource(world, saves=False)) as local:
        assert await run_against(local, [sys.executable, str(bot), "BOT_TOKEN"], ["BOT_TOKEN"]) == 7
        (lab,) = local.world.guilds.values()
        assert [message.content for message in lab.general.messages.values()] == ["at home"]
        assert [channel.name for channel in lab.channels.values()] == ["general", "found"]
    assert world.read_text() == WORLD


async def test_a_field_that_discord_ignores_is_ignored():
    async with open_local_discord(WorldSource()) as local:
        general = next(iter(local.world.guilds.values())).general
        url, headers = f"{local.api_base}/channels/{general.id}/messages", {"Authorization": f"Bot {local.token}"}
        async with aiohttp.request("POST", url, json={"content": "x", "made_up": 1}, headers=headers) as response:
            assert response.status == 200


@pytest.mark.long
async def test_the_command_passes_the_exit_code_on_and_keeps_what_the_bot_has_made(world, bot):
    process = await start("--world", str(world), "--exec", f"{sys.executable} {bot} DISCORD_TOKEN")
    said, complaints = await asyncio.wait_for(process.communicate(), WAITS_S)
    assert (process.returncode, said, complaints) == (7, b"", b"")
    (server,) = tomllib.loads(world.read_text())["servers"]
    assert [channel["name"] for channel in server["channels"]] == ["general", "found"]


@pytest.mark.long
async def test_what_it_serves_is_printed_as_variables_until_a_signal_ends_it(tmp_path):
    world = tmp_path / "new.toml"
    process = await start("--world", str(world), "--page")
    told = [(await asyncio.wait_for(process.stdout.readline(), WAITS_S)).decode() for _ in range(4)]
    names = [line.partition("=")[0] for line in told]
    assert names == ["DISCORD_TOKEN", "SANDBOX_BOT_TOKEN", "SANDBOX_BOT_API", "SANDBOX_BOT_GATEWAY"]
    opened = (await asyncio.wait_for(process.stderr.readline(), WAITS_S)).decode().split()
    cookies = aiohttp.CookieJar(unsafe=True)  # those of an address without a name, too
    async with aiohttp.ClientSession(cookie_jar=cookies) as session, session.get(opened[-1]) as page:
        assert (page.status, page.content_type) == (200, "text/html")
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), WAITS_S)
    assert process.returncode == 0
    assert [server["name"] for server in tomllib.loads(world.read_text())["servers"]] == ["Ada's Lab"]


@pytest.mark.long
async def test_what_it_lacks_is_told_with_its_name(tmp_path):
    (tmp_path / "asks.py").write_text(ASKS)
    process = await start("--exec", f"{sys.executable} {tmp_path / 'asks.py'}")
    said, complaints = await asyncio.wait_for(process.communicate(), WAITS_S)
    assert (process.returncode, said) == (0, b"501\n")
    assert "GET /applications/{application_id}/activity-instances/{instance_id}" in complaints.decode()


@pytest.mark.long
async def test_a_signal_goes_to_the_command(tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    process = await start("--exec", f"{sys.executable} {tmp_path / 'waits.py'}")
    assert await asyncio.wait_for(process.stdout.readline(), WAITS_S) == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), WAITS_S) == 9


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--exec", "no-such-program"), 127, "there is no such program"),
        (("--exec", "'"), 2, "No closing quotation"),
        (("--world", "wrong.toml"), 78, "wrong.toml: people: Field required"),
        (("--world", "missing/world.toml"), 78, "no file can be written in"),
        (("--port", "{taken}"), 69, "address already in use"),
    ],
)
async def test_what_cannot_be_is_told_in_a_line_with_a_code_of_its_kind(tmp_path, monkeypatch, arguments, code, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.toml").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(*(each.format(taken=taken.getsockname()[1]) for each in arguments))
        _, complaints = await asyncio.wait_for(process.communicate(), WAITS_S)
    assert process.returncode == code
    assert told in complaints.decode()
