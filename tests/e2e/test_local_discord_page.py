"""The page of the local Discord, as a browser asks it: who is let in, what each person sees, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import discord
import pytest
from discord import app_commands

from local_discord import Guild, LocalDiscord, Person
from local_discord.errors import UsageError
from local_discord.page.acts import Acts
from local_discord.page.feed import Feed
from local_discord.page.page import Page
from local_discord.page.view import View
from tests.e2e.test_local_discord_support import ProbeBot, running


class Browser:
    """Has opened the address, and asks as pages of its own do."""

    def __init__(self, session: aiohttp.ClientSession, page: Page) -> None:
        self.session, self.origin = session, page.url.partition("/?")[0]

    async def get(self, path: str, status: int = 200, headers=None, **query):
        async with self.session.get(self.origin + path, params=query, headers=headers) as response:
            assert response.status == status, await response.text()
            return await response.json() if response.content_type == "application/json" else await response.text()

    async def act(self, person, status: int = 200, headers=None, **form):
        told = {"Origin": self.origin} if headers is None else headers
        params = {"person": str(person.id)}
        async with self.session.post(f"{self.origin}/acts", params=params, json=form, headers=told) as response:
            assert response.status == status, await response.text()
            return await response.json() if response.content_type == "application/json" else await response.text()


@dataclass
class Scene:
    discord: LocalDiscord
    ada: Person
    bob: Person
    lab: Guild
    page: Page
    browser: Browser


@pytest.fixture
async def scene():
    async with LocalDiscord() as discord:
        ada, bob = discord.add_person("ada"), discord.add_person("bob")
        lab = discord.add_guild("Lab", owner=ada)
        lab.add_member(bob)
        async with Page(discord) as page, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield Scene(discord, ada, bob, lab, page, Browser(session, page))


@pytest.fixture
async def inside(scene):
    async with scene.browser.session.get(scene.page.url) as response:
        assert "token" not in str(response.url)
    return scene


async def test_only_the_address_with_the_token_lets_a_browser_in_and_no_script_reads_the_cookie(scene):
    await scene.browser.get("/", status=403)
    await scene.browser.get("/", status=403, token="wrong")
    async with scene.browser.session.get(scene.page.url, allow_redirects=False) as response:
        assert response.status == 303
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "<main" in await scene.browser.get("/")


async def test_no_other_page_of_that_browser_acts_or_reads(inside):
    text = {"act": "send", "channel": str(inside.lab.general.id), "content": "hello"}
    for origin in ("https://example.org", "http://127.0.0.1:1", "null"):
        await inside.browser.act(inside.ada, status=403, headers={"Origin": origin}, **text)
    await inside.browser.act(inside.ada, status=403, headers={"Host": "localhost:80"}, **text)
    await inside.browser.act(inside.ada, status=403, headers={}, **text)
    await inside.browser.get("/state", status=403, headers={"Sec-Fetch-Site": "same-site"})
    await inside.browser.get("/state", status=403, headers={"Host": "evil.example"})
    assert not inside.lab.general.messages


async def test_nothing_inline_and_nothing_from_elsewhere_is_run(inside):
    async with inside.browser.session.get(f"{inside.browser.origin}/") as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_what_a_person_writes_and_presses_is_done_as_discords_client_would(inside):
    general = str(inside.lab.general.id)
    await inside.browser.act(inside.ada, act="send", channel=general, content="hello")
    (message,) = await inside.browser.get(f"/channels/{general}/messages", person=inside.bob.id)
    await inside.browser.act(inside.bob, act="react", channel=general, message=message["id"], emoji="👍")
    told = await inside.browser.act(
        inside.bob, status=400, act="edit", channel=general, message=message["id"], content="mine"
    )
    assert "no message of bob" in told["message"]
    (message,) = await inside.browser.get(f"/channels/{general}/messages", person=inside.bob.id)
    assert (message["content"], message["reactions"][0]["people"]) == ("hello", [str(inside.bob.id)])
    async with inside.browser.session.post(
        f"{inside.browser.origin}/acts",
        params={"person": str(inside.bob.id)},
        data="[]",
        headers={"Origin": inside.browser.origin},
    ) as response:
        assert response.status == 400
    for form in ({"act": "fly"}, {"act": "send"}, {"act": "send", "channel": "x"}):
        await inside.browser.act(inside.bob, status=400, **form)


async def test_only_the_applications_owner_resets_the_bots_token(inside):
    before, owner = inside.discord.token, inside.discord.owner
    shown = {
        person: (await inside.browser.get("/state", person=person.id))["resets_token"] for person in (inside.ada, owner)
    }
    assert shown == {inside.ada: False, owner: True}
    refused = await inside.browser.act(inside.ada, status=400, act="reset_token")
    assert "owns the application" in refused["message"]
    assert inside.discord.token == before
    told = await inside.browser.act(owner, act="reset_token")
    assert told["token"] == inside.discord.token != before


async def test_where_there_is_no_portal_nobody_resets_the_token():
    async with LocalDiscord() as discord:
        with pytest.raises(UsageError, match="no such act"):
            await Acts(discord, View(discord), portal=False).perform(discord.owner, {"act": "reset_token"})


async def test_a_person_has_the_language_of_their_browser(inside):
    await inside.browser.get("/state", person=inside.bob.id, locale="de")
    assert (inside.bob.locale, inside.ada.locale) == ("de", "en-US")


async def test_a_hidden_channel_is_not_there(inside):
    secret = inside.lab.add_channel("secret")
    secret.deny(inside.bob, ["view_channel"])
    await inside.browser.get(f"/channels/{secret.id}/messages", status=404, person=inside.bob.id)
    (guild,) = (await inside.browser.get("/state", person=inside.bob.id))["guilds"]
    assert [channel["name"] for channel in guild["channels"]] == ["general"]
    await inside.browser.act(inside.bob, status=400, act="send", channel=str(secret.id), content="hello")


async def test_a_tab_that_reconnects_gets_what_it_has_missed_and_one_that_was_away_for_long_reads_anew(inside):
    state = await inside.browser.get("/state", person=inside.bob.id)
    await inside.ada.send(inside.lab.general, "first")
    await inside.ada.send(inside.lab.general, "second")
    found = await follow(inside, state["epoch"], state["sequence"])
    assert [change["data"]["content"] for change in found["changes"]] == ["first", "second"]
    found = await follow(inside, state["epoch"], found["sequence"] - 1)
    assert [change["data"]["content"] for change in found["changes"]] == ["second"]
    assert await follow(inside, "of another start", 0) == {"reset": True}


async def follow(scene, epoch, after):
    """What the first frame tells Bob's tab."""
    query = {"person": str(scene.bob.id), "epoch": epoch, "after": str(after)}
    headers = {"Origin": scene.browser.origin}
    address = f"{scene.browser.origin}/follow"
    async with scene.browser.session.ws_connect(address, params=query, headers=headers) as socket:
        return await socket.receive_json(timeout=10)


async def test_the_feed_keeps_no_more_than_it_may(inside):
    feed = Feed()
    for number in range(10_000):
        feed.tell("number", number)
    assert feed.since(0, inside.ada) is None
    assert feed.since(feed.sequence - 1, inside.ada) == [b'{"kind":"number","data":9999}']
    assert len(feed.since(feed.sequence - 4000, inside.ada)) == 4000
    assert feed.since(feed.sequence + 1, inside.ada) is None


async def test_an_ephemeral_answer_is_one_persons_also_after_a_reload(inside):
    state = await inside.browser.get("/state", person=inside.bob.id)
    async with running(ProbeBot(add_hush, discord.Intents.none()), inside.discord):
        general = str(inside.lab.general.id)
        (command,) = await inside.browser.get(f"/channels/{general}/commands", person=inside.ada.id)
        assert command["name"] == "hush"
        form = {"act": "command", "channel": general, "path": "hush"}
        await inside.browser.act(inside.ada, **form, options={"whom": {"user": str(inside.bob.id)}})
    (seen,) = await inside.browser.get(f"/channels/{general}/messages", person=inside.ada.id)
    assert (seen["content"], seen["ephemeral"]) == ("hush, bob", True)
    assert await inside.browser.get(f"/channels/{general}/messages", person=inside.bob.id) == []
    found = await follow(inside, state["epoch"], state["sequence"])
    assert "message" not in [change["kind"] for change in found["changes"]]


def add_hush(bot):
    async def hush(interaction: discord.Interaction, whom: discord.User):
        await interaction.response.send_message(f"hush, {whom.name}", ephemeral=True)

    bot.tree.add_command(app_commands.Command(name="hush", description="Says it to one person alone", callback=hush))


async def test_an_operation_that_is_missing_is_named_on_the_page(inside):
    state = await inside.browser.get("/state", person=inside.bob.id)
    headers = {"Authorization": f"Bot {inside.discord.token}"}
    async with inside.browser.session.get(f"{inside.discord.api_base}/lobbies/1", headers=headers) as response:
        assert response.status == 501
    found = await follow(inside, state["epoch"], state["sequence"])
    assert found["changes"] == [{"kind": "missed", "data": {"GET /lobbies/{lobby_id}": 1}}]


async def test_threads_posts_and_pins_are_made_by_hand(inside):
    general, ideas = str(inside.lab.general.id), inside.lab.add_channel("ideas", 15)
    told = await inside.browser.act(inside.ada, act="send", channel=general, content="hello")
    thread = await inside.browser.act(inside.ada, act="start_thread", channel=general, message=told["id"], name="why")
    post = await inside.browser.act(inside.bob, act="post", channel=str(ideas.id), title="An idea", content="Tea")
    await inside.browser.act(inside.ada, act="pin", channel=general, message=told["id"])
    (guild,) = (await inside.browser.get("/state", person=inside.bob.id))["guilds"]
    assert {"why": thread["id"], "An idea": post["id"]}.items() <= {
        one["name"]: one["id"] for one in guild["channels"]
    }.items()
    assert inside.lab.general.messages[int(told["id"])].pinned_at is not None
    await inside.browser.act(inside.ada, act="unpin", channel=general, message=told["id"])
    assert inside.lab.general.messages[int(told["id"])].pinned_at is None


@pytest.mark.parametrize("wrong", ["x", "-1", "²", "9" * 5000])
async def test_what_is_no_number_is_refused_and_not_a_fault(inside, wrong):
    general = inside.lab.general.id
    await inside.browser.get("/state", status=400, person=wrong)
    await inside.browser.get(f"/channels/{general}/messages", status=400, person=inside.ada.id, before=wrong)
    await inside.browser.get(f"/channels/{wrong}/messages", status=404, person=inside.ada.id)


async def test_the_page_is_told_who_chose_what_in_a_poll_and_that_the_bot_has_a_new_name(inside):
    general = str(inside.lab.general.id)
    state = await inside.browser.get("/state", person=inside.bob.id)
    headers = {"Authorization": f"Bot {inside.discord.token}"}
    answers = [{"poll_media": {"text": text}} for text in ("Tea", "Coffee")]
    poll = {"question": {"text": "What?"}, "answers": answers, "allow_multiselect": True}
    async with aiohttp.ClientSession(inside.discord.api_base + "/", headers=headers, raise_for_status=True) as bot:
        async with bot.post(f"channels/{general}/messages", json={"poll": poll}) as response:
            message = (await response.json())["id"]
        await bot.patch("users/@me", json={"username": "renamed"})
    found = await follow(inside, state["epoch"], state["sequence"])
    assert {"kind": "world", "data": "USER_UPDATE"} in found["changes"]
    for chosen, voters in (["Tea", "Coffee"], {"1": 1, "2": 1}), ([], {"1": 0, "2": 0}):
        await inside.browser.act(inside.bob, act="vote", channel=general, message=message, answers=chosen)
        (shown,) = await inside.browser.get(f"/channels/{general}/messages", person=inside.ada.id)
        assert {answer: len(people) for answer, people in shown["poll"]["voters"].items()} == voters
