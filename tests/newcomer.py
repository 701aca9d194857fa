"""`make newcomer`: README's path with a watch in the hand, from a fresh clone to one's own bot answering in a sandbox.

Ends with 1 if that takes more than two minutes. What pip downloads comes from its cache where there is one; `--cold`
does without.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from local_discord import Guild, LocalDiscord, Person
from tests.ecosystem.process import running_bot

_WITHIN_S = 120.0
_STEP_WITHIN_S = 300.0
_HERE = Path(__file__).parents[1]
_OWN_BOT = """
import os

import discord

intents = discord.Intents.default()
intents.message_content = True
client = discord.Client(intents=intents)


@client.event
async def on_message(message):
    if message.content == "!ping":
        await message.channel.send("pong")


client.run(os.environ["DISCORD_TOKEN"])
"""


class _Watch:
    """Prints how long each step took."""

    def __init__(self) -> None:
        self._began = self._lap = time.monotonic()

    def lap(self, step: str) -> None:
        now = time.monotonic()
        print(f"{now - self._lap:6.1f} s  {step}", flush=True)  # noqa: T201
        self._lap = now

    @property
    def total(self) -> float:
        return time.monotonic() - self._began


async def _run(*command: str | Path, folder: Path, environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), _STEP_WITHIN_S)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{output.decode(errors='replace')}")


async def _has_answer(guild: Guild, ada: Person) -> None:
    """She asks until her bot, which is still connecting at first, answers."""
    async with asyncio.timeout(_STEP_WITHIN_S):
        while not any(message.content == "pong" for message in guild.general.messages.values()):
            await ada.send(guild.general, "!ping")
            await asyncio.sleep(0.5)


@asynccontextmanager
async def _bot_of_her_own(folder: Path, ada: Person, guild: Guild, environment: dict[str, str]) -> AsyncIterator[None]:
    """As it was before she heard of sandboxes: in a folder and an environment of its own."""
    await ada.command("sandbox create", channel=guild.general, name="mine", bind_here=True)
    reply = await ada.command("sandbox connect", channel=guild.general, sandbox="mine")
    assert reply.message is not None
    (folder / ".env").write_bytes(reply.message.attachments[0].content)
    command = (str(folder / ".venv/bin/sandbox-worker"), "run", "--", str(folder / ".venv/bin/python"), "bot.py")
    async with running_bot(command, environment, folder):
        yield


async def _walk(folder: Path, environment: dict[str, str], watch: _Watch) -> None:
    checkout, own = folder / "discord-sandboxes", folder / "my-bot"
    own.mkdir()
    (own / "bot.py").write_text(_OWN_BOT)
    await _run(sys.executable, "-m", "venv", own / ".venv", folder=own, environment=environment)
    await _run(own / ".venv/bin/pip", "install", "discord.py==2.7.1", folder=own, environment=environment)
    await _run("git", "clone", "--quiet", _HERE, checkout, folder=folder, environment=environment)
    watch.lap("(before: a bot of one's own, and the clone)")
    started_at = watch.total
    async with LocalDiscord() as discord:
        ada = discord.add_person("ada")
        guild = discord.add_guild("Ada's Lab", owner=ada)
        await _run("make", ".venv/.installed", folder=checkout, environment=environment)
        watch.lap("make .venv/.installed")
        kit = f"{checkout}/sandbox_worker[all]"
        await _run(own / ".venv/bin/pip", "install", kit, folder=own, environment=environment)
        watch.lap("pip install 'sandbox_worker[all]' beside the bot")
        (checkout / ".env").write_text(f"DISCORD_TOKEN={discord.token}\n")
        there = environment | {"BOT_DISCORD__API_BASE": discord.api_base}
        async with running_bot((str(checkout / ".venv/bin/sandbox-bot"), "run"), there, checkout):
            await discord.wait_ready(_STEP_WITHIN_S)
            watch.lap("sandbox-bot run, until it is ready")
            async with _bot_of_her_own(own, ada, guild, environment):
                await _has_answer(guild, ada)
                watch.lap("/sandbox create, /sandbox connect, sandbox-worker run -- python bot.py, until it answers")
    took = watch.total - started_at
    print(f"newcomer: {took:.0f} s of {_WITHIN_S:.0f}")  # noqa: T201
    sys.exit(int(took > _WITHIN_S))


def main(cold: Annotated[bool, typer.Option("--cold", help="download everything anew")] = False) -> None:
    """From a fresh clone to one's own bot answering in a sandbox, timed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "SANDBOX_"))}
    environment |= {"PIP_NO_CACHE_DIR": "1"} if cold else {}
    folder = Path(tempfile.mkdtemp(prefix="newcomer-"))
    try:
        asyncio.run(_walk(folder, environment, _Watch()))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    typer.run(main)
