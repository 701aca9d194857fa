"""What each part of a bot does beside other bots is decided, and written down."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "several-bots.md").read_text()


def parts_of(section):
    """Those that its table names in the first column."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)[1:]
    return {part.strip() for cell in cells for part in cell.removeprefix("relay and its parts: ").split(",")}


async def test_the_page_says_of_each_part_whose_work_it_is(open_scene):
    async with open_scene(relay={"listen": "127.0.0.1:0"}, health={"listen": "127.0.0.1:0"}) as scene:
        running = set(scene.app.supervisor.parts)
    upkeep, everybodys = parts_of("The upkeep is one bot's"), parts_of("Every bot does") | {"relay"}
    elsewhere = {"embedded servers", "store restarts", "script guard"}  # not with these tests' stores
    assert upkeep & everybodys == set()
    assert running == (upkeep | everybodys) - elsewhere
