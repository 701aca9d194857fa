"""The local Discord's HTTP API: what it accepts, what it refuses, and how."""

from __future__ import annotations

from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands

from local_discord import LocalDiscord
from tests.e2e.test_local_discord_support import connected


class Api:
    """Plain requests, as somebody without discord.py sends them."""

    def __init__(self, local: LocalDiscord, session: aiohttp.ClientSession) -> None:
        self.local = local
        self._session = session
        self.ada = local.add_person("ada")
        self.guild = local.add_guild("Lab", owner=self.ada)
        self.messages = f"/channels/{self.guild.general.id}/messages"
        self.commands = f"/applications/{local.application_id}/commands"

    async def __call__(self, method: str, path: str, json: Any = None, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bot {token or self.local.token}"}
        url = self.local.api_base + path
        async with self._session.request(method, url, json=json, headers=headers) as response:
            if response.status == 204:
                return 204, None
            assert response.headers["Content-Type"] == "application/json"
            return response.status, await response.json()


@pytest.fixture(scope="module")
async def api():
    async with LocalDiscord() as local, aiohttp.ClientSession() as session:
        yield Api(local, session)


async def test_a_rate_limited_request_is_repeated_by_discord_py():
    async with connected() as (local, bot):
        guild = local.add_guild("Lab", owner=local.add_person("ada"))
        local.rate_limit_next("/messages", 0.05)
        sent = await bot.get_partial_messageable(guild.general.id).send("patience")
        assert sent.id in guild.general.messages
        path = f"/channels/{guild.general.id}/messages"
        assert [status for method, asked, status in local.requests if asked == path] == [429, 200]


async def test_a_request_that_is_cut_takes_effect_without_an_answer():
    async with connected() as (local, bot):
        guild = local.add_guild("Lab", owner=local.add_person("ada"))
        local.cut_next("/messages")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await bot.get_partial_messageable(guild.general.id).send("taken")
        assert [message.content for message in guild.general.messages.values()] == ["taken"]


async def test_what_is_out_of_order_answers_so_until_it_is_mended():
    async with connected() as (local, bot):
        ada = local.add_person("ada")
        guild = await bot.fetch_guild(local.add_guild("Lab", owner=ada).id)
        local.set_failing("/members/", 403)
        with pytest.raises(discord.Forbidden) as failure:
            await guild.fetch_member(ada.id)
        assert failure.value.code == 0
        local.set_failing("/members/", None)
        assert (await guild.fetch_member(ada.id)).id == ada.id


async def test_the_next_requests_of_a_kind_are_refused_as_was_planned_and_no_others():
    async with connected() as (local, bot):
        told: Any = {"code": 50035, "message": "Invalid Form Body"}
        local.refuse_next("/commands", 400, told, method="POST", times=2)
        local.refuse_next("/gateway/bot", 503, "upstream connect error", headers={"Content-Type": "text/html"})
        form: Any = {"name": "play", "description": "Play."}
        for _ in range(2):
            with pytest.raises(discord.HTTPException) as refused:
                await bot.http.upsert_global_command(local.application_id, form)
            assert (refused.value.status, refused.value.code) == (400, 50035)
        assert await bot.http.get_global_commands(local.application_id) == []
        await bot.http.upsert_global_command(local.application_id, form)
        with pytest.raises(discord.GatewayNotFound) as away:
            await bot.http.get_bot_gateway()
        answer = away.value.__cause__
        assert (answer.status, answer.text) == (503, "upstream connect error")
        assert answer.response.content_type == "text/html"
        await bot.http.get_bot_gateway()


async def test_commands_are_listed_in_all_languages_only_for_whoever_asks():
    async with connected() as (local, bot):
        form: Any = {"name": "play", "description": "Play.", "name_localizations": {"de": "spielen"}}
        option: Any = {"type": 3, "name": "song", "description": "Which.", "required": False, "min_length": 0}
        await bot.http.upsert_global_command(local.application_id, {**form, "options": [option]})
        listed: Any = await bot.http.get_global_commands(local.application_id)
        (shown,) = listed
        assert "name_localizations" not in shown
        assert shown["options"] == [{"type": 3, "name": "song", "description": "Which.", "min_length": 0}]
        route = discord.http.Route("GET", f"/applications/{local.application_id}/commands")
        (shown,) = await bot.http.request(route, params={"with_localizations": "true"})
        assert shown["name_localizations"] == {"de": "spielen"}


async def test_creations_of_commands_are_limited_and_changes_are_not():
    async with connected() as (local, bot):
        local.settings.daily_command_creates = 2
        application = local.application_id
        form: Any = {"description": "Play."}
        await bot.http.bulk_upsert_global_commands(application, [form | {"name": "a"}, form | {"name": "b"}])
        await bot.http.upsert_global_command(application, {"name": "a", "description": "Another one."})
        await bot.http.bulk_upsert_global_commands(application, [form | {"name": "b"}])
        with pytest.raises(discord.HTTPException) as refused:
            await bot.http.upsert_global_command(application, form | {"name": "a"})
        assert (refused.value.status, refused.value.code) == (400, 30034)
        assert [command["name"] for command in local.commands] == ["b"]


async def test_a_role_whose_permissions_change_is_told_of():
    async with connected() as (local, bot):
        guild = local.add_guild("Lab", owner=local.add_person("ada"))
        role = guild.add_role("staff", ["manage_guild"])
        guild.edit_role(role, ["kick_members"])
        (shown,) = [one for one in (await bot.fetch_guild(guild.id)).roles if one.id == role.id]
        assert (shown.permissions.manage_guild, shown.permissions.kick_members) == (False, True)
        assert local.dispatched[-1].event == "GUILD_ROLE_UPDATE"


async def test_a_message_with_the_same_nonce_is_sent_once():
    async with connected() as (local, bot):
        ada = local.add_person("ada")
        user = await bot.fetch_user(ada.id)
        first = await user.send("expires soon", nonce=7)
        again = await user.send("expires soon", nonce=7)
        other = await user.send("expires soon", nonce=8)
        assert first.id == again.id != other.id
        assert [message.id for message in ada.inbox] == [first.id, other.id]


async def test_a_reply_refers_to_its_message():
    async with connected() as (local, bot):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        question = await ada.send(guild.general, f"{local.bot_user.mention}?")
        heard = await bot.hears("message", lambda message: message.id == question.id)
        sent = await heard.reply("Yes")
        answer = guild.general.messages[sent.id]
        assert answer.reference is not None
        assert answer.reference["message_id"] == str(question.id)
        await ada.delete(question)
        with pytest.raises(discord.HTTPException, match="Unknown message"):
            await heard.reply("No")


async def test_messages_are_read_edited_and_deleted():
    async with connected() as (local, bot):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        theirs = await ada.send(guild.general, "mine")
        place = bot.get_partial_messageable(guild.general.id)
        own = await place.send("one", files=[discord.File(__file__, "a.py"), discord.File(__file__, "b.py")])
        assert [attachment.filename for attachment in own.attachments] == ["a.py", "b.py"]
        await own.edit(content="two", attachments=own.attachments[1:])
        kept = guild.general.messages[own.id]
        assert (kept.content, [attachment.filename for attachment in kept.attachments]) == ("two", ["b.py"])
        assert [message.content async for message in place.history()] == ["two", "mine"]
        assert [message.content async for message in place.history(limit=1, oldest_first=True)] == ["mine"]
        with pytest.raises(discord.Forbidden) as refused:
            await place.get_partial_message(theirs.id).edit(content="yours")
        assert refused.value.code == 50005
        with pytest.raises(discord.Forbidden) as refused:
            await place.get_partial_message(theirs.id).delete()
        assert refused.value.code == 50013
        await own.delete()
        with pytest.raises(discord.NotFound) as missing:
            await place.fetch_message(own.id)
        assert missing.value.code == 10008


async def test_only_the_bots_token_opens_the_api(api: Api):
    assert await api("GET", "/users/@me", token="wrong") == (401, {"message": "401: Unauthorized", "code": 0})
    assert (await api("GET", "/users/@me"))[0] == 200
    assert await api("GET", "/nonsense") == (404, {"message": "404: Not Found", "code": 0})
    assert (await api("DELETE", "/users/@me"))[0] == 405


async def test_what_does_not_exist_has_a_code_of_its_own(api: Api):
    bob = api.local.add_person("bob")
    for path, code in [
        ("/users/1", 10013),
        ("/guilds/1", 10004),
        ("/channels/1", 10003),
        (f"{api.messages}/1", 10008),
        (f"/guilds/{api.guild.id}/members/{bob.id}", 10007),
        (f"{api.commands}/1", 10063),
        ("/webhooks/1/token/messages/@original", 10015),
    ]:
        status, body = await api("GET", path)
        assert (status, body["code"]) == (404, code)
    status, body = await api("POST", "/interactions/1/token/callback", {"type": 5})
    assert (status, body["code"]) == (404, 10062)


async def test_snowflakes_may_come_as_numbers_and_keep_every_digit(api: Api):
    status, channel = await api("POST", "/users/@me/channels", {"recipient_id": api.ada.id})
    assert (status, channel["recipients"][0]["id"]) == (200, str(api.ada.id))
    assert 17 <= len(channel["id"]) <= 20


def row(*components: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(components)}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Press", "custom_id": "a"} | changes


@pytest.mark.parametrize(
    ("form", "path"),
    [
        ({"content": "x" * 2001}, "content"),
        ({"content": 5}, "content"),
        ({"embeds": "none"}, "embeds"),
        ({"content": "x", "flags": "64"}, "flags"),
        ({"embeds": [{"footer": "text"}]}, "embeds.0.footer"),
        ({"content": "x", "components": [row({"type": 3, "custom_id": "a"})]}, "components.0.components.0.options"),
        ({"embeds": [{"title": "x"}] * 11}, "embeds"),
        ({"embeds": [{"title": "x" * 257}]}, "embeds.0.title"),
        ({"embeds": [{"description": "x" * 4097}]}, "embeds.0.description"),
        ({"embeds": [{"footer": {"text": "x" * 2049}}]}, "embeds.0.footer.text"),
        ({"embeds": [{"author": {"name": "x" * 257}}]}, "embeds.0.author.name"),
        ({"embeds": [{"fields": [{"name": "a", "value": "b"}] * 26}]}, "embeds.0.fields"),
        ({"embeds": [{"fields": [{"name": "", "value": "b"}]}]}, "embeds.0.fields.0.name"),
        ({"embeds": [{"fields": [{"name": "a", "value": "x" * 1025}]}]}, "embeds.0.fields.0.value"),
        ({"embeds": [{"description": "x" * 3001}] * 2}, "embeds.0"),
        ({"content": "x", "components": [row(button())] * 6}, "components"),
        (
            {"content": "x", "components": [row(*[button(custom_id=str(i)) for i in range(6)])]},
            "components.0.components",
        ),
        ({"content": "x", "components": [row(button()), row(button())]}, "components"),
        ({"content": "x", "components": [row(button(custom_id="x" * 101))]}, "components.0.components.0.custom_id"),
        ({"content": "x", "components": [row(button(label="x" * 81))]}, "components.0.components.0.label"),
        ({"content": "x", "components": [row(button(style=9))]}, "components.0.components.0.style"),
        ({"content": "x", "components": [row({"type": 2, "style": 5, "label": "a"})]}, "components.0.components.0.url"),
        ({"content": "x", "attachments": [{"id": 0, "filename": "a"}]}, "attachments"),
    ],
)
async def test_a_faulty_message_is_refused_where_it_is_faulty(api: Api, form: dict[str, Any], path: str):
    status, body = await api("POST", api.messages, form)
    assert (status, body["code"], body["message"]) == (400, 50035, "Invalid Form Body")
    node = body["errors"]
    for step in path.split("."):
        node = node[step]
    assert node["_errors"][0]["message"]


async def test_an_empty_message_is_refused(api: Api):
    forms: list[dict[str, Any]] = [{}, {"content": ""}, {"content": None, "embeds": []}]
    for form in forms:
        status, body = await api("POST", api.messages, form)
        assert (status, body["code"]) == (400, 50006)


def option(**changes: Any) -> dict[str, Any]:
    return {"type": 3, "name": "colour", "description": "Which one"} | changes


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "Upper"}, "0.name"),
        ({"name": "two words"}, "0.name"),
        ({"name": "x" * 33}, "0.name"),
        ({"description": ""}, "0.description"),
        ({"description": "x" * 101}, "0.description"),
        ({"name_localizations": {"de": "Groß"}}, "0.name_localizations.de"),
        ({"options": [option(name=f"o{number}") for number in range(26)]}, "0.options"),
        ({"options": [option(), option()]}, "0.options.1"),
        ({"options": [option(), option(name="b", required=True)]}, "0.options.1"),
        ({"options": [option(choices=[{"name": "a", "value": 1}])]}, "0.options.0.choices.0.value"),
        ({"options": [option(choices=[{"name": "a", "value": "b"}], autocomplete=True)]}, "0.options.0"),
        ({"options": [option(min_value=3)]}, "0.options.0.min_value"),
        ({"options": [option(description="x" * 101)]}, "0.options.0.description"),
        ({"contexts": [7]}, "0.contexts"),
        ({"type": 9}, "0.type"),
    ],
)
async def test_a_faulty_command_is_refused_where_it_is_faulty(api: Api, changes: dict[str, Any], path: str):
    status, body = await api("PUT", api.commands, [{"name": "ok", "description": "Fine"} | changes])
    assert (status, body["code"]) == (400, 50035)
    node = body["errors"]
    for step in path.split("."):
        node = node[step]
    assert node["_errors"][0]["message"]


async def test_discord_py_names_the_faulty_command():
    async with connected() as (_, bot):
        group = app_commands.Group(name="box", description="Boxes")

        @group.command(description="x" * 101)
        async def make(interaction: discord.Interaction[Any]) -> None: ...

        bot.tree.add_command(group)
        with pytest.raises(app_commands.CommandSyncFailure, match="box make"):
            await bot.tree.sync()


async def test_commands_keep_their_ids_as_long_as_they_keep_their_names(api: Api):
    form = {"name": "stays", "description": "Fine"}
    _, (first, _) = await api("PUT", api.commands, [form, {"name": "goes", "description": "Fine"}])
    status, (second,) = await api("PUT", api.commands, [form | {"description": "Better"}])
    assert (status, second["id"], second["description"]) == (200, first["id"], "Better")
    status, created = await api("POST", api.commands, {"name": "new", "description": "Fine"})
    assert status == 201
    assert (await api("POST", api.commands, {"name": "new", "description": "Again"}))[0] == 200
    status, edited = await api("PATCH", f"{api.commands}/{created['id']}", {"description": "Edited"})
    assert (status, edited["description"], edited["name"]) == (200, "Edited", "new")
    assert await api("DELETE", f"{api.commands}/{created['id']}") == (204, None)
    assert [command["name"] for command in (await api("GET", api.commands))[1]] == ["stays"]


async def test_the_bot_finds_people_guilds_and_channels(api: Api):
    assert (await api("GET", f"/guilds/{api.guild.id}"))[1]["owner_id"] == str(api.ada.id)
    assert [channel["name"] for channel in (await api("GET", f"/guilds/{api.guild.id}/channels"))[1]] == ["general"]
    assert (await api("GET", f"/users/{api.ada.id}"))[1]["username"] == "ada"
    assert [guild["name"] for guild in (await api("GET", "/users/@me/guilds"))[1]] == ["Lab"]
    assert (await api("GET", "/gateway/bot"))[1]["shards"] == 1


async def test_a_channel_that_is_denied_to_a_member_is_hidden_from_them_alone():
    async with connected() as (local, bot):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        secret = guild.add_channel("secret")
        secret.deny(local.bot_user, ["view_channel"])
        seen = await bot.fetch_guild(guild.id)
        channels, member = await seen.fetch_channels(), await seen.fetch_member(local.bot_user.id)
        assert {channel.name: channel.permissions_for(member).view_channel for channel in channels} == {
            "general": True,
            "secret": False,
        }
        assert secret.permissions_of(ada) == guild.permissions_of(ada)
        assert secret.permissions_of(local.bot_user) != guild.permissions_of(local.bot_user)
        secret.deny(local.bot_user, [])
        assert secret.permissions_of(local.bot_user) == guild.permissions_of(local.bot_user)


OF_BROWSERS = {"Origin": "https://example.org"}, {"Origin": "null"}, {"Host": "example.org"}, {"Host": "127.0.0.1.a.b"}
ITS_NAMES = "localhost:1", "discord.com", "gateway.discord.gg", "[::1]:1", "172.17.0.1", "discord:80"


@pytest.mark.parametrize("headers", OF_BROWSERS)
async def test_no_page_of_a_browser_asks_it_or_follows_its_events(api, headers):
    told = {"Authorization": f"Bot {api.local.token}"} | headers
    for path in ("/api/v10/users/@me", "/api/webhooks/1/2", "/attachments/1/1/a.png"):
        async with aiohttp.request("GET", api.local.api_base.removesuffix("/api/v10") + path, headers=told) as said:
            assert said.status == 403
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(api.local.gateway_url, headers=headers)


@pytest.mark.parametrize("name", ITS_NAMES)
async def test_it_answers_to_names_that_only_its_own_machine_has_and_to_discords(api, name):
    headers = {"Authorization": f"Bot {api.local.token}", "Host": name}
    async with aiohttp.request("GET", f"{api.local.api_base}/users/@me", headers=headers) as said:
        assert said.status == 200


@pytest.mark.parametrize("wrong", ["x", "²", "-1", "9" * 5000])
async def test_what_is_no_number_is_refused_and_not_a_fault(api, wrong):
    status, told = await api("GET", f"{api.messages}?limit={wrong}")
    assert (status, told["code"]) == (400, 50035)
    assert (await api("POST", "/users/@me/channels", {"recipient_id": wrong}))[0] == 400
    assert (await api("POST", api.messages, {"sticker_ids": [wrong]}))[0] == 400


@pytest.mark.parametrize("name", ["a b/c.txt", "../../x", "ü\"'?#%.txt"])
async def test_a_file_is_fetched_whatever_it_is_called(api, name):
    message = await api.ada.send(api.guild.general, files=[(name, b"content")])
    async with aiohttp.request("GET", message.attachments[0].url) as said:
        assert await said.read() == b"content"
