"""The texts of the pages: German for everything that they say, and for nothing that they don't."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bot.demo
import local_discord.page
from bot.sandboxes.model import SandboxStatus

STATIC = Path(local_discord.page.__file__).with_name("static")
BESIDE = Path(bot.demo.__file__).with_name("beside")
_STRING = r'"((?:[^"\\]|\\.)*)"'


def used_in(folder: Path, catalogue: str) -> str:
    return "\n".join(path.read_text() for path in folder.glob("*.js") if path.name != catalogue)


@pytest.mark.parametrize(("folder", "catalogue"), [(STATIC, "de.js"), (BESIDE, "board-de.js")])
def test_every_text_is_there_in_german_and_none_is_left_over(folder, catalogue):
    german = dict(re.findall(rf"^\s+{_STRING}:\s+{_STRING},$", (folder / catalogue).read_text(), re.MULTILINE))
    program = used_in(folder, catalogue)
    elsewhere = dict(re.findall(rf"^\s+{_STRING}:\s+{_STRING},$", (STATIC / "de.js").read_text(), re.MULTILINE))
    said = set(re.findall(rf"\bt\({_STRING}", program))
    assert said - german.keys() - elsewhere.keys() == set()
    statuses = {str(status) for status in SandboxStatus}
    assert [text for text in german if f'"{text}"' not in program and text not in statuses] == []
    assert german.keys() >= statuses - {"destroyed"} or folder is STATIC


def test_placeholders_are_the_same_in_both_languages():
    for path in (STATIC / "de.js", BESIDE / "board-de.js"):
        for english, german in re.findall(rf"^\s+{_STRING}:\s+{_STRING},$", path.read_text(), re.MULTILINE):
            assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", german)), english
