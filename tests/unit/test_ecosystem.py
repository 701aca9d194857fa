"""The bots of `make ecosystem` are what they are said to be."""

from __future__ import annotations

import importlib.metadata
import re

import pytest

from tests.ecosystem.libraries import HERE, libraries

OURS = re.compile(r"\b(bot\.\w+ import|import bot|from bot|sandbox_worker|local_discord)\b")


@pytest.mark.parametrize("library", libraries(), ids=lambda library: library.name)
def test_a_bot_knows_nothing_of_this_project_and_its_library_has_one_version(library):
    assert not OURS.search((HERE / "bots" / library.script).read_text())
    assert all(re.fullmatch(r"[\w.-]+(==|@)[\d.]+", package) for package in library.packages)


def test_discord_py_is_tried_in_the_version_that_the_bot_itself_is_built_on():
    versions = {package for library in libraries() for package in library.packages}
    assert f"discord.py=={importlib.metadata.version('discord.py')}" in versions
