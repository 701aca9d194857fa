"""Sandboxes that use all the connections to PostgreSQL that they may have, and everybody else."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from bot.app import open_app
from bot.sandboxes.model import OPERATOR
from bot.settings import Discord, Embedded, Settings
from tests.e2e.conftest import environment_in, running, text
from tests.forks import run_command

PER_SANDBOX = 10
SOMEBODY = 100_000_000_000_000_001


@pytest.fixture
async def app(discord, tmp_path):
    """A bot with nothing but a token, as far as its stores go."""
    settings = Settings(
        discord=Discord(token=SecretStr(discord.token), api_base=discord.api_base),
        embedded=Embedded(folder=tmp_path / "data", durable=False),
    )
    async with open_app(settings) as app, running(app, discord):
        yield app


async def add_busy_sandboxes(app, sessions, numbers):
    """Five of each owner's, with all the sessions that they may have or get; whether the server has refused one."""
    for number in numbers:
        sandbox = await app.manager.create(OPERATOR, owner_id=SOMEBODY + number // 5, name=f"busy-{number}")
        details = await app.manager.issue_credentials(OPERATOR, sandbox.id)
        for _ in range(PER_SANDBOX):
            try:
                session = await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])
            except asyncpg.TooManyConnectionsError:
                return True
            sessions.callback(session.terminate)
    return False


async def run_cli(folder, *arguments):
    """Beside the running bot, in its folder."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    done = await asyncio.to_thread(run_command, ["sandbox", *arguments], cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def use_bot_and_command_line(ada, lab, folder, name):
    """A sandbox of each, made, used by commands and destroyed; the other one's credentials."""
    assert f"“{name}” is running" in text(await ada.command("sandbox create", channel=lab.general, name=name))
    reply = await ada.command("sandbox status", channel=lab.general, sandbox=name)
    assert "❌" not in text(reply)
    assert name in await run_cli(folder, "list")
    await run_cli(folder, "create", f"{name}-too", "--owner", str(SOMEBODY + 100))
    await run_cli(folder, "extend", f"{name}-too", "2h")
    await run_cli(folder, "destroy", f"{name}-too", "--yes")
    question = await ada.command("sandbox destroy", channel=lab.general, sandbox=name)
    pressed = await ada.click(question.message, "Destroy")
    await pressed.wait_for(lambda _: "is destroyed" in text(question), 20)


async def may_log_in(environment):
    try:
        await (await asyncpg.connect(environment["SANDBOX_DATABASE_URL"])).close()
    except asyncpg.TooManyConnectionsError:
        return False
    return True


@pytest.mark.long
@pytest.mark.timeout(180)  # 300 logins, each with a password
async def test_twenty_sandboxes_with_ten_connections_each_lock_nobody_out_and_as_many_as_there_are_not_the_bot(
    app, discord, tmp_path
):
    ada = discord.add_person("ada")
    lab = discord.add_guild("Ada's Lab", owner=ada)
    async with AsyncExitStack() as sessions:
        assert not await add_busy_sandboxes(app, sessions, range(20))
        await use_bot_and_command_line(ada, lab, tmp_path, "green")
        await ada.command("sandbox create", channel=lab.general, name="blue")
        blue = environment_in(await ada.command("sandbox connect", channel=lab.general, sandbox="blue"))
        assert await may_log_in(blue)

        assert await add_busy_sandboxes(app, sessions, range(20, 30))
        assert not await may_log_in(blue)
        await use_bot_and_command_line(ada, lab, tmp_path, "white")
        await run_cli(tmp_path, "destroy", "busy-0", "--yes")
        assert await may_log_in(blue)
