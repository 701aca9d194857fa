"""The bots and jobs of `make ecosystem` are what they are said to be."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
from pathlib import Path

import pytest

from tests.ecosystem.environments import Environment
from tests.ecosystem.example_bots import SCRIPTS
from tests.ecosystem.libraries import HERE, libraries
from tests.ecosystem.tools import JOBS, Tool, do, tools

OURS = re.compile(r"\b(bot\.\w+ import|import bot|from bot|sandbox_worker|local_discord)\b")
PACKAGE = re.compile(r"(@[\w.-]+/)?[\w.-]+(\[[\w,]+\])?(==|@)\d[\d.]*")


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_a_bot_knows_nothing_of_this_project_and_its_library_has_one_version(library):
    assert not OURS.search((HERE / "bots" / library.script).read_text())
    assert all(PACKAGE.fullmatch(package) for package in library.packages)


@pytest.mark.parametrize("script", SCRIPTS.values())
def test_an_example_knows_of_no_other_discord(script):
    text = (HERE / "examples" / script).read_text()
    assert not OURS.search(text)
    assert not re.search(r"SANDBOX_|https?://|rest_url|\bBASE\b|\bapi:", text)


@pytest.mark.parametrize("tool", tools(), ids=lambda tool: tool.name)
def test_a_job_knows_nothing_of_this_project_and_its_tools_have_one_version(tool):
    assert not OURS.search((JOBS / tool.script).read_text())
    assert all(PACKAGE.fullmatch(package) for package in tool.packages)
    assert bool(tool.says) != bool(tool.refused)


def test_every_job_is_somebody_s():
    named = {Path(tool.script).parts[0] for tool in tools()}
    assert {path.name for path in JOBS.iterdir() if path.name != "__pycache__"} == named


def test_discord_py_is_tried_in_the_version_that_the_bot_itself_is_built_on():
    versions = {package for library in libraries() for package in library.packages}
    assert f"discord.py=={importlib.metadata.version('discord.py')}" in versions


@pytest.fixture(scope="module")
async def empty_environment(tmp_path_factory):
    """A cache in which one without packages is installed."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.ecosystem.environments.CACHE", cache)
        await Environment((), is_python=True).install()
        yield


@pytest.fixture
def try_script(tmp_path, monkeypatch, empty_environment):
    """What becomes of a tool whose job is that script."""

    async def try_(script, **expected):
        monkeypatch.setattr("tests.ecosystem.tools.JOBS", tmp_path)
        (tmp_path / "job.py").write_text(script)
        folder = tmp_path / "folder"
        folder.mkdir()
        return await do(Tool("a tool", "job.py", **expected), "MADE=here", {"MADE": "here"}, folder)

    return try_


@pytest.mark.parametrize(
    ("script", "expected", "problem"),
    [
        ("print('done')", {"says": "done"}, ""),
        ("print('all', 'done')", {"says": "done"}, "all done"),
        ("import sys; print('done'); sys.exit(1)", {"says": "done"}, "done"),
        ("print('done'); raise KeyError('none')", {"says": "done"}, "KeyError: 'none'"),
        ("raise OSError('denied here')", {"refused": "denied"}, ""),
        ("print('denied')", {"refused": "denied"}, "“denied” is not what it ended with"),
        ("import dotenv", {"says": "done"}, "ModuleNotFoundError: No module named 'dotenv'"),
        ("import os; print(os.environ['MADE'], open('.env').read())", {"says": "here MADE=here"}, ""),
    ],
)
async def test_a_job_is_done_when_its_last_line_and_its_end_say_so(try_script, script, expected, problem):
    done = await try_script(script, **expected)
    assert done.problem == problem


async def test_what_a_job_has_started_ends_with_it(try_script):
    script = "import subprocess; child = subprocess.Popen(['sleep', '60'], stdout=-3, stderr=-3); print(child.pid)"
    done = await try_script(script, says="its number")
    async with asyncio.timeout(5):
        while _runs(int(done.said[-1])):
            await asyncio.sleep(0.01)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
