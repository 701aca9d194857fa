"""The local Discord in a bot developer's own environment, beside a package `bot` and another Discord library."""

from __future__ import annotations

import re
import shlex
import time

import pytest

from tests.distributions.conftest import ROOT, Surroundings

pytestmark = pytest.mark.timeout(300)  # an index may be slow

WITHIN_S = 300
PAGE = (ROOT / "docs" / "testing-a-bot.md").read_text()
README = (ROOT / "local_discord" / "README.md").read_text()
BOT, TEST, *_ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

PY_CORD_BOT = """
import discord


class Bot(discord.Client):
    async def on_message(self, message):
        if message.author != self.user:
            await message.channel.send(f"Hello {message.author.name}!")
"""
PY_CORD_TEST = """
import asyncio

import discord
import pytest

from bot import Bot


@pytest.mark.anyio
async def test_the_bot_answers(local_discord, monkeypatch):
    monkeypatch.setattr(discord.http.Route, "API_BASE_URL", local_discord.api_base)
    ada = local_discord.add_person("ada")
    async with Bot(intents=discord.Intents.default()) as bot:
        running = asyncio.create_task(bot.start(local_discord.token))
        await local_discord.wait_ready()
        await ada.send_dm("hello")
        answer = await ada.wait_for_dm()
        running.cancel()  # closed while it runs, py-cord fails
        await asyncio.wait([running])
    assert answer.content == "Hello ada!"


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.fixture
def project(tmp_path, wheels):
    """With the local Discord installed, and no Discord library yet: it brings none."""
    surroundings = Surroundings(tmp_path)
    wheel = wheels["local-discord"].as_uri()
    origins = surroundings.install(f"local-discord[pytest] @ {wheel}")
    assert origins["local-discord"] == wheel
    assert {"aiohttp", "pytest"} <= origins.keys()
    assert not {"discord.py", "orjson", "zstandard", "sandbox-worker", "discord-sandboxes"} & origins.keys()
    surroundings.run(surroundings.python, "-c", "import local_discord")
    return surroundings


def write(project, bot, test):
    """A package `bot`, a program that runs it, and its test."""
    files = {"bot/__init__.py": bot, "main.py": "from bot import Bot\n", "tests/test_bot.py": test}
    for name, text in files.items():
        path = project.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def pytest_says(project, *options):
    """The last line of a run in the project."""
    command = (project.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
    return project.run(*command).splitlines()[-1]


@pytest.mark.long
def test_the_fixture_serves_the_bot_of_a_project_with_another_discord_library(project):
    """In one test, for an environment takes seconds to make."""
    unasked = project.run(project.python, "-m", "pytest", "--fixtures", "-q", "-p", "no:cacheprovider")
    assert "local_discord" not in unasked

    project.install("py-cord==2.8.1", "anyio")
    write(project, PY_CORD_BOT, PY_CORD_TEST)
    assert "1 passed" in pytest_says(project, "-p", "local_discord.pytest")

    project.uninstall("py-cord")
    project.install("discord.py==2.6.4", "pytest-asyncio")
    write(project, BOT, TEST)
    for mode in ("strict", "auto"):
        assert "1 passed" in pytest_says(project, "-p", "local_discord.pytest", "-o", f"asyncio_mode={mode}")


def blocks(language):
    """Those of the page, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.long
def test_a_newcomer_who_follows_the_page_has_a_test_that_passes_within_five_minutes(tmp_path, wheels):
    began = time.monotonic()
    surroundings = Surroundings(tmp_path)
    install, run = (shlex.split(block, comments=True) for block in blocks("sh")[:2])
    assert install[:2] == ["pip", "install"]
    local = {
        f"./{name.replace('-', '_')}": f"{name}{{}} @ {wheels[name].as_uri()}"
        for name in ("local-discord", "sandbox-worker")
    }
    wanted = [
        re.sub(r"(\./\w+)(\[.*\])?", lambda found: local[found[1]].format(found[2] or ""), one) for one in install[2:]
    ]
    surroundings.install(*wanted)
    for name, text in zip(("bot.py", "test_bot.py"), blocks("python")[:2], strict=True):
        assert f"`{name}`" in PAGE
        (surroundings.project / name).write_text(text)
    (surroundings.project / "pytest.ini").write_text(blocks("ini")[0])
    assert run == ["pytest"]
    assert "1 passed" in surroundings.run(str(surroundings.bin / "pytest"))
    assert time.monotonic() - began < WITHIN_S
