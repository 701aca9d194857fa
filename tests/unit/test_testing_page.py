"""`docs/testing-a-bot.md` names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from bot.local.world_building import build_world
from bot.local.world_file import read_world
from local_discord import LocalDiscord, Message, Reply

PAGE = (Path(__file__).parents[2] / "docs" / "testing-a-bot.md").read_text()
WHOSE = ("ada", "local_discord", "reply", "message")


def test_whatever_is_called_there_exists():
    discord = LocalDiscord()
    things = {"ada": discord.add_person("ada"), "local_discord": discord, "message": Message(1, None, None)}
    things["reply"] = Reply(1, "")
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[1:])
    named = set(re.findall(rf"\b({'|'.join(WHOSE)})\.(\w+)", code))
    assert {thing for thing, _ in named} == set(WHOSE)
    assert [f"{thing}.{name}" for thing, name in named if not hasattr(things[thing], name)] == []


def test_its_world_is_one(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "world.toml"
    path.write_text(text)
    discord = LocalDiscord()
    build_world(read_world(path), discord)
    assert [guild.name for guild in discord.world.guilds.values()] == ["Ada's Lab"]
