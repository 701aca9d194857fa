"""The page to play in, as two people use it in Chromium."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo.bots import IN_DISCORD_PY
from bot.demo.play import open_play
from tests.e2e.test_process import BOT, servers_in

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[2]
AXE = ROOT / ".node/node_modules/axe-core/axe.min.js"
WITHIN_MS = 90_000
"""For a machine on which everything else runs, too."""
MODAL = {
    "title": "Feedback",
    "custom_id": "feedback",
    "components": [
        {"type": 1, "components": [{"type": 4, "custom_id": "text", "label": "What do you think?", "style": 2}]}
    ],
}
BUTTON = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Tell us", "custom_id": "tell"}]}

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None and "REQUIRE_BROWSER" not in os.environ,
        reason="no Chromium is here: the page to play in is not tested",
    ),
    pytest.mark.timeout(600),
]
playwright = pytest.importorskip("playwright.async_api")
expect = playwright.expect


class Tab:
    """One person's, with what goes wrong in it."""

    def __init__(self, page, faults: list[str]) -> None:
        self.page = page
        page.on("console", lambda told: faults.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await self.page.locator("body[data-ready]").wait_for()
        assert "token" not in self.page.url

    @property
    def card(self):
        return self.page.locator(".card[data-name=login-page]")

    def event(self, name: str):
        """The latest of that name."""
        return self.page.locator(f".event[data-name={name}]").first

    @property
    def suggestions(self):
        return self.page.locator("[role=listbox] [role=option]")

    async def show(self) -> None:
        """In front: of others the browser draws a frame a second, for which each click waits."""
        await self.page.bring_to_front()

    async def go(self, place: str) -> None:
        await self.show()
        await self.page.get_by_role("button", name=place, exact=True).click()

    async def write(self, text: str) -> None:
        await self.show()
        await self.page.locator("#text").fill(text)
        await self.page.keyboard.press("Enter")

    async def use(self, command: str, **options: str) -> None:
        """A slash command, with what is typed for its options; a suggestion is taken where there are some."""
        await self.show()
        await self.page.locator("#text").fill(f"/{command}")
        await self.suggestions.first.wait_for()
        await self.page.keyboard.press("Enter")
        for name, text in options.items():
            await self._fill(name, text)
        await self.page.locator("form.command .send").click()

    async def _fill(self, name: str, text: str) -> None:
        field = self.page.locator(f"#option-{name}")
        if not await field.count():
            await self.page.get_by_role("button", name=f"+ {name}").click()
        await field.fill(text)
        if await field.get_attribute("role") == "combobox":
            await self.suggestions.filter(has_text=text).click()


@asynccontextmanager
async def in_browser() -> AsyncIterator[Any]:
    """A context of a browser of its own, dark, in English, with axe where it is."""
    async with playwright.async_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = await browser.new_context(
            locale="en-US", color_scheme="dark", viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(WITHIN_MS)
        expect.set_options(timeout=WITHIN_MS)
        if AXE.exists():
            await context.add_init_script(path=AXE)
        yield context
        await browser.close()


@asynccontextmanager
async def tabs_of(context, url: str, faults: list[str], number: int) -> AsyncIterator[list[Tab]]:
    """So many, with that address."""
    tabs = [Tab(await context.new_page(), faults) for _ in range(number)]
    for tab in tabs:
        await tab.open(url)
    yield tabs


@asynccontextmanager
async def two_tabs(url: str, faults: list[str]) -> AsyncIterator[list[Tab]]:
    async with in_browser() as context, tabs_of(context, url, faults, 2) as tabs:
        yield tabs


@asynccontextmanager
async def worker_with_a_form(scenario) -> AsyncIterator[None]:
    """Ada's: it has a command, which shows a button, which opens a form."""
    reply = await scenario.ada.command("sandbox connect", channel=scenario.lab.general, sandbox="login-page")
    dotenv = reply.message.attachments[0].content.decode()
    worker = await scenario.start_worker(await scenario.app.manager.get_by_name("login-page"), dotenv)
    await register_command(
        scenario.environments["login-page"], {"name": "feedback", "description": "Asks what you think"}
    )

    async def answer() -> None:
        async for event in worker.kit.events("INTERACTION_CREATE"):
            await event.ack()
            kind = event.data["type"]
            if kind == 2:
                await event.reply("We would like to know.", components=[BUTTON])
            elif kind == 3:
                await event.respond(9, MODAL)
            else:
                text = event.data["data"]["components"][0]["components"][0]["value"]
                await event.reply(f"{event.data['member']['user']['username']} thinks: {text}")

    answering = asyncio.create_task(answer())
    yield
    answering.cancel()


async def register_command(environment, form) -> None:
    headers = {"Authorization": f"Bot {environment['SANDBOX_BOT_TOKEN']}"}
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        async with session.get(f"{environment['SANDBOX_BOT_API']}/oauth2/applications/@me") as response:
            application = (await response.json())["id"]
        await session.post(f"{environment['SANDBOX_BOT_API']}/applications/{application}/commands", json=form)


async def test_two_people_play_through_the_life_of_a_sandbox():
    faults: list[str] = []
    async with open_play(lambda _: None) as (scenario, served), two_tabs(served.url, faults) as (ada, bob):
        scenario.discord.settings.callback_deadline_s = 30
        await bob.page.get_by_label("Who you are").select_option("Bob")
        await bob.go("Ada's Lab")
        await ada.use("sandbox create", name="login-page")
        await expect(bob.card).to_contain_text("running")
        await ada.use("sandbox bind", sandbox="login-page")
        await expect(ada.card).to_contain_text("Ada's Lab")

        await bob.write("is the **new** login up?")
        await expect(ada.page.locator("#messages strong", has_text="new")).to_be_visible()
        await check_event(ada)
        await expect(bob.page.locator("#messages .ephemeral")).to_have_count(0)
        async with worker_with_a_form(scenario):
            await check_form(ada, bob)
        await check_reload(ada)
        await check_accessible(ada)
        await check_expiry(ada)
        await ada.go("Ada's Lab")
        await ada.use("sandbox destroy", sandbox="login-page")
        await ada.page.get_by_role("button", name="Destroy", exact=True).click()
        await expect(bob.card).to_have_count(0)
    assert faults == []


async def check_event(tab: Tab) -> None:
    """It has reached the stream with its payload, and comes once more if that is asked for."""
    await tab.show()
    event = tab.event("MESSAGE_CREATE")
    await event.get_by_role("button").click()
    await expect(event.locator("pre")).to_contain_text("is the **new** login up?")
    await event.get_by_role("button", name="Send again").click()
    await expect(tab.page.locator(".event .again")).to_have_count(1)


async def check_form(ada: Tab, bob: Tab) -> None:
    """A command of the worker's, its button and its form, used by Bob and seen by Ada."""
    await ada.use("feedback")
    await bob.show()
    await bob.page.get_by_role("button", name="Tell us").click()
    await bob.page.get_by_label("What do you think?").fill("it is fine")
    await bob.page.get_by_role("button", name="Submit").click()
    await expect(ada.page.locator("#messages", has_text="bob thinks: it is fine")).to_be_visible()
    await expect(ada.event("INTERACTION_CREATE")).to_contain_text("taken by worker")


async def check_reload(tab: Tab) -> None:
    """Nothing is lost by it: neither what all see, nor what one alone saw, nor what was begun."""
    await tab.show()
    await tab.page.locator("#text").fill("not sent yet")
    await tab.page.reload()
    await expect(tab.page.locator("#messages strong", has_text="new")).to_be_visible()
    await expect(tab.page.locator("#messages .ephemeral").first).to_be_visible()
    await expect(tab.page.locator("#text")).to_have_value("not sent yet")
    await tab.page.locator("#text").fill("")


async def check_expiry(tab: Tab) -> None:
    """Brought near, it is warned of, and moved away again by the warning's button."""
    await tab.card.get_by_role("button", name="Expire soon").click()
    await tab.page.locator("#servers").get_by_role("button", name="Direct messages").click()
    await expect(tab.page.locator(".embed-title", has_text="about to expire")).to_be_visible()
    await tab.page.locator("#messages").get_by_role("button", name="Extend").first.click()
    await expect(tab.card.locator(".expiry")).to_contain_text("hours")


async def check_accessible(tab: Tab) -> None:
    """As far as axe tells, which `make test` fetches where there is npm."""
    if not AXE.exists() and "REQUIRE_BROWSER" not in os.environ:
        return
    for colours in ("light", "dark"):
        await tab.page.emulate_media(color_scheme=colours, reduced_motion="reduce")
        found = await tab.page.evaluate("async () => (await axe.run()).violations")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == [], colours


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_300_messages_a_second_for_a_minute_leave_the_page_usable_and_its_memory_bounded():
    faults: list[str] = []
    async with open_play(lambda _: None) as (scenario, served), two_tabs(served.url, faults) as (ada, bob):
        await ada.use("sandbox create", name="login-page")
        await ada.use("sandbox bind", sandbox="login-page")
        await expect(ada.card).to_contain_text("Ada's Lab")
        await flood(scenario, rate=300, seconds=60)
        await ada.write("and after the flood?")
        await expect(ada.page.locator("#messages", has_text="and after the flood?")).to_be_visible()
        await expect(ada.page.locator(".event").first).to_contain_text("and after the flood?")
        for tab in (ada, bob):
            assert await tab.page.locator("#messages > li").count() <= 151
            assert await tab.page.locator(".event").count() <= 200
            assert await heap_of(tab) < 60e6
    assert faults == []


async def flood(scenario, *, rate: int, seconds: int) -> None:
    """As fast as that, or as the machine can."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(rate * seconds):
        await scenario.ada.send(scenario.lab.general, f"message {number}")
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))


async def heap_of(tab: Tab) -> int:
    """In bytes, after what is not used is thrown away."""
    session = await tab.page.context.new_cdp_session(tab.page)
    await session.send("HeapProfiler.collectGarbage")
    return int((await session.send("Runtime.getHeapUsage"))["usedSize"])


@pytest.mark.long
async def test_a_bot_on_the_relay_is_named_beside_what_it_was_sent():
    async with open_play(lambda _: None) as (scenario, served), session_of(served.url) as ask:
        ada, general = scenario.ada, scenario.lab.general
        await ada.command("sandbox create", channel=general, name="login-page", bind_here=True)
        reply = await ada.command("sandbox connect", channel=general, sandbox="login-page")
        dotenv = reply.message.attachments[0].content.decode()
        await scenario.start_worker(await scenario.app.manager.get_by_name("login-page"), dotenv)
        before = await ada.send(general, "too early for the bot")
        await scenario.start_bot("login-page", IN_DISCORD_PY)
        await ada.wait_for_message(general, lambda message: "at home" in message.content, timeout=40)
        after = await ada.send(general, "good morning, bot")
        async with asyncio.timeout(40):
            while not (taker := await taker_of(ask, after.content)):
                await asyncio.sleep(0.1)
        assert (taker, await taker_of(ask, before.content)) == ("discord.py", None)


@asynccontextmanager
async def session_of(url: str) -> AsyncIterator[Callable[[str], Awaitable[dict]]]:
    """Asks the page's server as the page does."""
    async with aiohttp.ClientSession(url.partition("/?")[0], cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await session.get("/" + url.rpartition("/")[2])

        async def ask(path: str) -> dict:
            async with session.get(path) as response:
                return dict(await response.json())

        yield ask


async def taker_of(ask, content: str) -> str | None:
    """What the page writes beside the event with that message."""
    told = await ask("/sandboxes")
    found = next((event for event in told["events"] if content in event["told"]), None)
    takers = told["sandboxes"][0]["takers"]
    sequence = found["sequence"] if found else 0
    return next((each["by"] for each in takers if each["after"] < sequence <= each["up_to"]), None)


@pytest.mark.long
async def test_the_command_prints_the_address_and_leaves_nothing_behind(tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *BOT, "play", "--no-browser", env=environment, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        while not (line := await process.stdout.readline()).startswith(b"Open http://127.0.0.1:"):
            assert line
        jar = aiohttp.CookieJar(unsafe=True)
        address = line.decode().split()[1]
        async with aiohttp.ClientSession(cookie_jar=jar) as session, session.get(address) as response:
            assert response.status == 200
        process.terminate()
        await process.communicate()
    assert process.returncode == 0
    assert (list(tmp_path.iterdir()), servers_in(tmp_path)) == ([], [])
