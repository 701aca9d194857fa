"""The page of the local Discord in Chromium: what one has begun there is still there, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from local_discord import Guild, LocalDiscord, Person
from local_discord.page.page import Page
from tests.e2e.test_play import WITHIN_MS, Tab, expect, in_browser, pytestmark, tabs_of

__all__ = ["pytestmark"]

OPTIONS = [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]
SELECT = {"type": 3, "custom_id": "many", "placeholder": "Pick", "min_values": 0, "max_values": 2, "options": OPTIONS}


@dataclass
class Scene:
    """Ada looks at her server's first channel, and all that goes wrong in her tab is kept."""

    discord: LocalDiscord
    ada: Person
    bob: Person
    lab: Guild
    other: int
    tab: Tab

    async def say(self, **form: object) -> int:
        """As the bot, in the first channel; the message's id."""
        headers = {"Authorization": f"Bot {self.discord.token}"}
        url = f"{self.discord.api_base}/channels/{self.lab.general.id}/messages"
        async with aiohttp.request("POST", url, json=form, headers=headers, raise_for_status=True) as response:
            return int((await response.json())["id"])

    def shown(self, message_id: int):
        return self.tab.page.locator(f"#messages [data-id='{message_id}']")

    async def go(self, channel: str) -> None:
        await self.tab.page.locator("#channels .channel", has_text=channel).click()
        await expect(self.tab.page.locator("#channel-head h2")).to_have_text(f"#{channel}")


@pytest.fixture(scope="module")
async def browser():
    async with in_browser() as context:
        yield context.browser


@pytest.fixture
async def scene(browser):
    async with LocalDiscord() as discord, Page(discord) as page:
        ada, bob = discord.add_person("ada"), discord.add_person("bob")
        lab = discord.add_guild("Lab", owner=ada)
        lab.add_member(bob)
        other, faults = lab.add_channel("other"), list[str]()
        context = await browser.new_context(locale="en-US")
        context.set_default_timeout(WITHIN_MS)
        async with tabs_of(context, page.url, faults, 1) as (tab,):
            yield Scene(discord, ada, bob, lab, other.id, tab)
        await context.close()
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []


@asynccontextmanager
async def held(page, pattern: str) -> AsyncIterator[asyncio.Event]:
    """What the page asks for at such an address is answered when the block is left, with what was true before. The
    event is set when it has asked."""
    asked, left = asyncio.Event(), asyncio.Event()
    holding: list[asyncio.Task[None] | None] = []

    async def hold(route) -> None:
        holding.append(asyncio.current_task())
        response = await route.fetch()
        asked.set()
        await left.wait()
        await route.fulfill(response=response)

    await page.route(pattern, hold)
    yield asked
    left.set()
    await asyncio.wait([task for task in holding if task is not None])
    await page.unroute(pattern)


async def test_one_message_that_nobody_foresaw_hides_no_other(scene):
    soon, long_ago = int(time.time() + 86_390), int(time.time() - 3.2 * 31_536_000)
    await scene.say(content=f"<t:99999999999999:R> <t:-99999999999999:s> <t:{soon}:R> <t:{long_ago}:R>")
    scene.lab.general.messages[await scene.say(embeds=[{"description": "x"}])].embeds[0]["timestamp"] = "no time"
    await scene.say(content="the last one")
    await scene.tab.page.reload()
    await expect(scene.tab.page.locator("#messages")).to_contain_text("the last one")
    for told in ("Invalid date", "in 24 hours", "3 years ago"):
        await expect(scene.tab.page.locator("#messages")).to_contain_text(told)


async def test_what_is_written_chosen_and_edited_outlives_what_happens_meanwhile(scene):
    page, text = scene.tab.page, scene.tab.page.locator("#text")
    async with held(page, "**/acts*") as asked:
        await text.fill("first")
        await page.keyboard.press("Enter")
        await asked.wait()
        await page.keyboard.type("second")
    await expect(page.locator("#messages")).to_contain_text("first")
    await expect(text).to_have_value("second")
    mine = next(iter(scene.lab.general.messages.values()))
    menu = await scene.say(content="choose", components=[{"type": 1, "components": [SELECT]}])
    await scene.shown(menu).locator("summary").click()
    await scene.shown(menu).get_by_label("a", exact=True).check()
    await scene.shown(mine.id).hover()
    await scene.shown(mine.id).get_by_role("button", name="Edit").click()
    await page.keyboard.type(" and more")
    for each in (mine, scene.lab.general.messages[menu]):
        await scene.bob.react(each, "👍")
        await expect(scene.shown(each.id).locator(".reaction, textarea").first).to_be_visible()
    await expect(scene.shown(menu).locator("details[open] input:checked")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(scene.shown(mine.id).locator(".text")).to_contain_text("first and more")


@pytest.mark.long
async def test_a_refused_text_is_in_the_field_again_and_another_channels_is_left_alone(scene):
    page, text = scene.tab.page, scene.tab.page.locator("#text")
    async with held(page, "**/acts*") as asked:
        await text.fill("hello")
        await page.keyboard.press("Enter")
        await asked.wait()
        await scene.go("other")
        await text.fill("a draft")
    scene.lab.general.deny(scene.bob, ["send_messages"])
    await expect(text).to_have_value("a draft")
    await page.get_by_label("Who you are").select_option("Bob")
    await scene.go("general")
    await text.fill("may I?")
    await page.keyboard.press("Enter")
    await expect(page.locator("#notice")).to_be_visible()
    await expect(text).to_have_value("may I?")


async def test_what_comes_while_a_channel_is_opened_is_in_it_and_nothing_of_another(scene):
    page, general = scene.tab.page, scene.lab.general
    for number in range(60):
        await scene.bob.send(general, f"message {number}")
    await page.reload()
    await expect(page.locator("#messages")).to_contain_text("message 59")
    async with held(page, "**/messages?*before*") as asked:
        await page.locator("#scroll").evaluate("scroll => { scroll.scrollTop = 0; }")
        await asked.wait()
        await scene.go("other")
    await expect(page.locator("#messages .message")).to_have_count(0)
    async with held(page, "**/messages?*") as asked:
        await scene.go("general")
        await asked.wait()
        late = await scene.bob.send(general, "came meanwhile")
        gone = list(general.messages.values())[-3]
        await scene.bob.delete(gone)
        await scene.bob.react(next(iter(general.messages.values())), "👍")
        await scene.bob.send(scene.lab.channels[scene.other], "after all of that")
        await expect(page.locator("#channels .unread")).to_have_count(1)
    await expect(scene.shown(late.id)).to_have_count(1)
    await expect(scene.shown(gone.id)).to_have_count(0)
    await expect(page.locator("#messages .message").last).to_have_attribute("data-id", str(late.id))


@pytest.mark.long
async def test_a_command_that_is_typed_fast_is_no_message(scene):
    command = {"name": "ping", "description": "Is anybody there?"}
    headers = {"Authorization": f"Bot {scene.discord.token}"}
    url = f"{scene.discord.api_base}/applications/{scene.discord.application_id}/commands"
    async with aiohttp.request("POST", url, json=command, headers=headers, raise_for_status=True):
        pass
    page = scene.tab.page
    await page.reload()
    await page.locator("body[data-ready]").wait_for()
    async with held(page, "**/commands?*"):
        await page.locator("#text").focus()
        await page.evaluate(
            "window.later = Date.now; Date.now = () => later() + 60000"
        )  # what was offered is forgotten
        await page.keyboard.type("/ping")
        await page.keyboard.press("Enter")
    await expect(page.locator("form.command .path")).to_have_text("/ping")
    assert not scene.lab.general.messages


@pytest.mark.long
async def test_a_server_that_is_away_for_a_while_is_waited_for(scene):
    page = scene.tab.page
    await page.locator("#text").fill("kept")
    await page.context.set_offline(True)
    await page.keyboard.press("Enter")
    await expect(page.locator("#notice")).to_contain_text("does not answer")
    await expect(page.locator("#text")).to_have_value("kept")
    await page.context.set_offline(False)
    await scene.bob.send(scene.lab.general, "back again")
    await page.keyboard.press("Enter")
    await expect(page.locator("#messages")).to_contain_text("kept")
    await expect(page.locator("#messages")).to_contain_text("back again")
    await expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.long
async def test_all_of_a_long_history_is_reached_and_each_message_has_its_author(scene):
    page, general = scene.tab.page, scene.lab.general
    sent = [await scene.bob.send(general, f"message {number}") for number in range(700)]
    await page.reload()
    await expect(page.locator("#messages")).to_contain_text("message 699")
    while not await scene.shown(sent[0].id).count():
        first = await page.locator("#messages .message").first.get_attribute("data-id")
        await page.locator("#scroll").evaluate("scroll => { scroll.scrollTop = 0; }")
        await expect(page.locator("#messages .message").first).not_to_have_attribute("data-id", first)
    await expect(page.locator("#newer")).to_contain_text("newer")
    await scene.bob.delete(sent[0])
    await expect(scene.shown(sent[1].id).locator(".head")).to_contain_text("bob")
    await page.locator("#newer").click()
    await expect(scene.shown(sent[-1].id)).to_be_visible()
