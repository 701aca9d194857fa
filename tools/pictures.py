"""`python -m tools.pictures`: makes the pictures of the page to play in anew, by an installed Chromium."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from bot import log
from bot.demo.play import open_play
from bot.demo.scenario import Scenario

_DOCS = Path(__file__).parents[1] / "docs"
_SIZE = ViewportSize(width=1200, height=700)
_COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def main() -> None:
    """Both of docs/, light and dark."""
    log.configure("ERROR")
    async with open_play(print) as (scenario, page), async_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        await _set_the_scene(scenario)
        for colours in _COLOURS:
            tab = await _open(browser, colours, page.url)
            await tab.locator(".takers", has_text="worker").first.wait_for()
            await tab.screenshot(path=_DOCS / f"play-{colours}.png")
        await browser.close()


async def _set_the_scene(scenario: Scenario) -> None:
    ada, bob, lab = scenario.ada, scenario.bob, scenario.lab
    await ada.command("sandbox create", channel=lab.general, name="login-page", ttl="8h", bind_here=True)
    await bob.command("sandbox create", channel=scenario.arcade.general, name="leaderboard", bind_here=True)
    first = await ada.send(lab.general, "The new login is in my sandbox. **Who tries it?**")
    await bob.react(first, "👍")
    await bob.send(lab.general, "`/login` says hello to me, nice", reply_to=first)
    await ada.send(lab.general, "It stays up until tonight, so take your time")
    reply = await ada.command("sandbox connect", sandbox="login-page")
    assert reply.message is not None
    dotenv = reply.message.attachments[0].content.decode()
    worker = await scenario.start_worker(await scenario.app.manager.get_by_name("login-page"), dotenv)
    for _ in range(3):
        await worker.receive("MESSAGE_CREATE")


async def _open(browser: Browser, colours: Literal["light", "dark"], url: str) -> Page:
    context = await browser.new_context(color_scheme=colours, viewport=_SIZE, locale="en-US")
    tab = await context.new_page()
    await tab.goto(url)
    await tab.locator("body[data-ready]").wait_for()
    return tab


if __name__ == "__main__":
    asyncio.run(main())
