"""What is tried of the image and of the composition. Each finding is a claim, with what refutes it or nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp

from bot import constants
from bot.cli.runtime import EX_CONFIG
from local_discord import LocalDiscord
from sandbox_worker import Sandbox
from tests.deployment.composition import STARTS_WITHIN_S, composition
from tests.deployment.container import Container
from tests.deployment.image import Image
from tests.deployment.machine import INSTALLED, Machine, booted, install, write_environment
from tests.deployment.root import Root, said_by

_UNWANTED = ("cc", "gcc", "make", "git")
_LIST = (
    *("runuser", "-u", "sandbox-bot", "--", "env", "--chdir=/var/lib/sandbox-bot"),
    *("BOT_CONFIG=/etc/sandbox-bot/config.toml", f"{INSTALLED}/bin/sandbox-bot", "sandbox", "list"),
)
_UNITS = ("sandbox-bot.socket", "sandbox-bot.service")
_STOPS_WITHIN_S = 10.0
"""As long as a container engine waits."""


async def try_image(image: Image, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """By itself: the command, and the bot with embedded stores."""
    said = said_by(image.command("--version"))
    yield "the image's user runs the command", "" if re.search(r"\d+\.\d+", said.stdout) else said.stdout
    said = said_by(image.command())
    wrong = said.returncode != EX_CONFIG or "DISCORD_TOKEN" not in said.stdout
    yield "without a token it says where it comes from", said.stdout if wrong else ""
    found = [name for name in _UNWANTED if list(image.root.path("/usr").glob(f"*bin/{name}"))]
    caches = list(image.root.folder.glob("root/.cache/*"))
    yield "neither a compiler nor a cache is in it", str(found + caches) if found or caches else ""
    async with LocalDiscord() as discord:
        environment = {"DISCORD_TOKEN": discord.token, "BOT_DISCORD__API_BASE": discord.api_base}
        bot = Container("bot", image.command(**environment), folder / "bot.log")
        await bot.start()
        yield "its bot connects, with embedded stores", await _fault_of_start(bot, discord)
        yield "its user owns the data", _fault_of_data(image)
        yield await _ending(bot)


async def try_composition(image: Image, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """With three stores, up to a worker of a sandbox."""
    async with composition(image, folder) as composed:
        yield "the composed bot connects", await _fault_of_start(composed.bot, composed.discord)
        await composed.until(*image.stage.healthcheck[1:])
        yield "its healthcheck says so", ""
        checked = await asyncio.to_thread(composed.execute, "check")
        yield "check has nothing against the stores", checked.stdout if checked.returncode else ""
        environment = await composed.environment("blue")
        async with Sandbox.from_env(environment, dotenv=folder / ".env") as sandbox:
            await sandbox.pg.execute("CREATE TABLE notes (text text)")
            await sandbox.redis.set("note", "kept")
            await sandbox.publish("jobs", "now")
        yield "a worker reaches all three stores where it is told", ""
        yield await _ending(composed.bot)


async def try_units(image: Image, root: Root, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A machine's systemd with the service and the socket."""
    async with LocalDiscord(token="a.bot.token") as discord:
        chosen = {"BOT_DISCORD__API_BASE": discord.api_base}
        install(root, image, **chosen)
        async with booted(root, folder) as machine:
            started = await asyncio.to_thread(machine.run, "systemctl", "start", *_UNITS)
            yield "systemd starts the socket and the service", started.stdout
            yield "the service's bot connects, as confined as it is", await _fault_of_unit(machine, discord)
            yield "its embedded stores are its user's alone", _fault_of_state(machine)
            listed = await asyncio.to_thread(machine.run, *_LIST)
            yield "the command line finds them", listed.stdout if listed.returncode else ""
            await asyncio.to_thread(machine.run, "systemctl", "stop", "sandbox-bot.service")
            code = machine.shows("sandbox-bot.service", "ExecMainStatus")
            left = list((folder / "cgroups").rglob("sandbox-bot.service"))
            yield "it stops in good order, and nothing of it is left", machine.log if code != "0" or left else ""
            yield "who connects to the relay meanwhile has it started", await _fault_of_socket(machine)
            write_environment(root, **chosen, BOT_NONSENSE__X="1")
            await asyncio.to_thread(machine.run, "systemctl", "restart", "sandbox-bot.service")
            await machine.until_shows("sandbox-bot.service", "ActiveState", "failed")
            code = machine.shows("sandbox-bot.service", "ExecMainStatus")
            yield "a wrong setting is told, and it stays down", "" if code == str(EX_CONFIG) else machine.log


async def _fault_of_unit(machine: Machine, discord: LocalDiscord) -> str:
    waiting = asyncio.create_task(discord.wait_ready(STARTS_WITHIN_S))
    with suppress(TimeoutError):
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=1)
            if await asyncio.to_thread(machine.shows, "sandbox-bot.service", "ActiveState") == "failed":
                waiting.cancel()
                return machine.log
        await waiting
        return ""
    return machine.log


def _fault_of_state(machine: Machine) -> str:
    state = machine.root.path("/var/lib/sandbox-bot")
    kept = list(state.glob("data/*"))
    owners = {path.stat().st_uid for path in (state, *kept)}
    is_its_own = kept and len(owners) == 1 and 0 not in owners and state.stat().st_mode & 0o777 == 0o700
    return "" if is_its_own else machine.run("ls", "-la", "/var/lib/sandbox-bot").stdout


async def _fault_of_socket(machine: Machine) -> str:
    """The socket itself has the service started."""
    url, longest = f"http://{constants.RELAY_LISTEN}/api/v10/gateway", aiohttp.ClientTimeout(STARTS_WITHIN_S)
    async with aiohttp.ClientSession(timeout=longest) as session, session.get(url) as answer:
        return "" if answer.status == HTTPStatus.OK else f"{answer.status}\n{machine.log}"


async def _fault_of_start(bot: Container, discord: LocalDiscord) -> str:
    with suppress(TimeoutError):
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not discord.identifies and bot.exit_code is None:
                await asyncio.sleep(0.1)
            await discord.wait_ready(STARTS_WITHIN_S)
            return ""
    return bot.log


def _fault_of_data(image: Image) -> str:
    (volume,) = image.stage.of("VOLUME")
    owners = {path.stat().st_uid for path in image.root.path(volume).iterdir()}
    return (
        "" if owners == {int(image.stage.of("USER")[-1])} else f"it belongs to {owners or 'nobody, for there is none'}"
    )


async def _ending(bot: Container) -> tuple[str, str]:
    code = await bot.stop(_STOPS_WITHIN_S)
    return "its bot stops before an engine would kill it", bot.log if code else ""
