"""`sandbox-bot play`: the scene of the tour, with a page to act in it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from bot.demo.board import Board
from bot.demo.scenario import Scenario, open_scenario
from local_discord.page.page import Page

_GRACE = timedelta(minutes=2)
_OF_DESKTOPS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


async def play(say: Callable[[str], None], *, port: int = 0, browser: bool = True) -> None:
    """Until it is interrupted or told to end. `say` is told the address, and what is being started before."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with open_play(say, port=port) as (_, page):
        say(f"Open {page.url}\nCtrl+C ends it and leaves nothing behind.")
        if browser and _has_desktop():
            await asyncio.to_thread(webbrowser.open, page.url)
        await ended.wait()


@asynccontextmanager
async def open_play(say: Callable[[str], None], *, port: int = 0) -> AsyncIterator[tuple[Scenario, Page]]:
    """All of it, running."""
    async with open_scenario(say, grace=_GRACE) as scenario:
        _furnish(scenario)
        page = Page(scenario.discord, port=port, portal=False)
        board = Board(scenario, page)
        async with page, board:
            yield scenario, page


def _furnish(scenario: Scenario) -> None:
    """More than one channel to write in, and everybody in the lobby."""
    for guild, names in ((scenario.lab, ("testing", "releases")), (scenario.arcade, ("high-scores",))):
        for name in names:
            guild.add_channel(name)
    for person in (scenario.ada, scenario.bob):
        if person.id not in scenario.lobby.members:
            scenario.lobby.add_member(person)
    scenario.lab.add_member(scenario.bob)


def _has_desktop() -> bool:
    """Otherwise a browser for terminals would open in this one."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in _OF_DESKTOPS)
