"""The bots and jobs of `make ecosystem` are what they are said to be."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from tests.ecosystem.libraries import HERE, libraries
from tests.ecosystem.tools import JOBS, tools

OURS = re.compile(r"\b(bot\.\w+ import|import bot|from bot|sandbox_worker|local_discord)\b")
PACKAGE = re.compile(r"(@[\w.-]+/)?[\w.-]+(\[[\w,]+\])?(==|@)\d[\d.]*")


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_a_bot_knows_nothing_of_this_project_and_its_library_has_one_version(library):
    assert not OURS.search((HERE / "bots" / library.script).read_text())
    assert all(PACKAGE.fullmatch(package) for package in library.packages)


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
