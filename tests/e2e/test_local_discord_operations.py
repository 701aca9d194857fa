"""The whole list of Discord's operations: what is served, under which addresses, and within which limits."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from local_discord import LocalDiscord, RateLimit
from local_discord.http.operations import OPERATIONS
from tests.e2e.test_local_discord_support import Api, lab, plain, text_channel
from tools.operations_table import PAGE, page

OPEN = (
    "GET /gateway",
    "GET /guilds/templates/{code}",
    "GET /guilds/{guild_id}/widget.json",
    "GET /invites/{code}",
    "GET /sticker-packs",
)
LISTED = (Path(__file__).parents[1] / "discord_operations.txt").read_text().splitlines()


@pytest.fixture
async def api():
    async with plain() as api:
        yield api


def test_the_list_is_discords():
    assert list(OPERATIONS) == LISTED


def test_the_page_says_what_is_served():
    assert PAGE.read_text() == page(), "python -m tools.operations_table writes it anew"


def test_more_than_a_hundred_and_ten_operations_are_served():
    assert len(LocalDiscord().served) >= 110


async def test_an_operation_that_is_not_served_is_named(api: Api):
    for name in sorted(OPERATIONS.keys() - api.local.served):
        method, template = name.split()
        status, body = await api(method, re.sub(r"\{\w+\}", "1", template))
        assert (status, name in body["message"]) == (501, True)
    assert api.local.missed == dict.fromkeys(OPERATIONS.keys() - api.local.served, 1)
    status, body = await api("GET", f"/guilds/{api.guild.id}/messages/search")
    assert (status, body["code"]) == (501, 0)
    assert "GET /guilds/{guild_id}/messages/search" in body["message"]


async def test_the_log_names_an_operation_that_is_not_served_once(api: Api, caplog: pytest.LogCaptureFixture):
    for _ in range(2):
        await api("GET", f"/guilds/{api.guild.id}/messages/search")
    assert [record.name for record in caplog.records if "messages/search" in record.message] == ["local_discord"]
    assert api.local.missed == {"GET /guilds/{guild_id}/messages/search": 2}


async def test_what_is_not_discords_is_not_found_and_a_wrong_method_is_refused(api: Api):
    assert (await api("GET", "/guilds/1/nonsense"))[0] == 404
    assert (await api("GET", "//guilds/1"))[0] == 404
    assert (await api("PUT", f"/guilds/{api.guild.id}"))[0] == 405
    status, body = await api("GET", "/channels/general")
    assert (status, body["code"]) == (400, 50035)
    assert "not snowflake" in body["errors"]["channel_id"]["_errors"][0]["message"]


async def test_the_api_has_the_versions_that_libraries_ask_for(api: Api):
    for base in ("/api", "/api/v9", "/api/v10"):
        assert (await api("GET", "/users/@me", base=base))[0] == 200
    status, body = await api("GET", "/users/@me", base="/api/v6")
    assert (status, body["code"]) == (400, 50041)
    assert [path for _, path, _ in api.local.requests] == ["/users/@me"] * 4


async def test_the_gateway_speaks_version_nine_too(api: Api):
    for version in (9, 10):
        async with api.session.ws_connect(f"{api.local.gateway_url}/?v={version}&encoding=json") as socket:
            assert (await socket.receive_json())["op"] == 10
            await socket.send_json({"op": 2, "d": {"token": api.local.token, "intents": 0, "properties": {}}})
            assert (await socket.receive_json())["d"]["v"] == version


async def test_a_form_may_come_urlencoded(api: Api):
    payload = urlencode({"payload_json": json.dumps({"content": "from a form"})})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await api("POST", api.messages, data=payload, headers=form))[1]["content"] == "from a form"
    assert (await api("POST", api.messages, data=urlencode({"content": "plain"}), headers=form))[1][
        "content"
    ] == "plain"
    status, body = await api("POST", api.messages, data="content", headers={"Content-Type": "text/plain"})
    assert (status, body["code"]) == (400, 50035)
    assert "Content-Type" in body["message"]


async def test_a_field_that_discord_does_not_have_is_named(api: Api):
    status, body = await api("POST", api.messages, json={"content": "hello", "contnet": "hello"})
    assert (status, body["code"]) == (400, 50035)
    assert list(body["errors"]) == ["contnet"]
    api.local.settings.refuses_unknown_fields = False
    assert (await api("POST", api.messages, json={"content": "hello", "contnet": "hello"}))[0] == 200


async def test_each_answer_tells_of_its_bucket(api: Api):
    api.local.settings.rate_limits["POST /channels/{channel_id}/messages"] = RateLimit(2, 60)
    told = [await api.whole("POST", api.messages, json={"content": "again"}) for _ in range(3)]
    assert [status for status, _, _ in told] == [200, 200, 429]
    assert [headers["X-RateLimit-Remaining"] for _, _, headers in told] == ["1", "0", "0"]
    _, body, headers = told[-1]
    assert 59 < body["retry_after"] <= 60
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Scope"], body["global"]) == ("2", "user", False)
    assert float(headers["Retry-After"]) == pytest.approx(body["retry_after"], abs=0.01)
    assert "Via" in headers
    other = api.guild.add_channel("other")
    status, _, elsewhere = await api.whole("POST", f"/channels/{other.id}/messages", json={"content": "elsewhere"})
    assert (status, elsewhere["X-RateLimit-Bucket"]) == (200, headers["X-RateLimit-Bucket"])


async def test_all_requests_together_have_a_limit(api: Api):
    api.local.settings.global_rate_limit = RateLimit(1, 60)
    assert (await api("GET", "/users/@me"))[0] == 200
    status, body, headers = await api.whole("GET", "/gateway/bot")
    assert (status, body["global"], headers["X-RateLimit-Global"]) == (429, True, "true")


async def test_discord_py_waits_until_a_bucket_is_full_again():
    async with lab() as (local, bot, guild, _ada):
        local.settings.rate_limits["POST /channels/{channel_id}/messages"] = RateLimit(2, 0.1)
        for number in range(5):
            await text_channel(bot, guild).send(str(number))
        assert [message.content for message in guild.general.messages.values()] == ["0", "1", "2", "3", "4"]
        assert 429 not in {status for _, _, status in local.requests}


async def test_the_application_and_the_guilds_have_the_fields_that_strict_libraries_read(api: Api):
    _, application = await api("GET", "/applications/@me")
    assert {"approximate_user_install_count", "approximate_guild_count", "flags", "verify_key"} <= application.keys()
    (guild,) = (await api("GET", "/users/@me/guilds", params={"with_counts": "true"}))[1]
    wanted = {"id", "name", "icon", "banner", "owner", "permissions", "features", "approximate_member_count"}
    assert wanted <= guild.keys()
    assert (await api("GET", "/users/@me/guilds", params={"after": str(api.guild.id)}))[1] == []


async def test_the_answer_to_an_interaction_has_no_limit_and_tells_of_none(api: Api):
    callback = "/interactions/1/word/callback"
    for _ in range(2):
        status, _, headers = await api.whole("POST", callback, json={"type": 4, "data": {"content": "late"}})
        assert status == 404
        assert not [name for name in headers if name.startswith("X-RateLimit")]


async def test_a_token_names_its_application_as_libraries_read_it(api: Api):
    named = api.local.token.split(".")[0]
    assert int(base64.b64decode(named + "=" * (-len(named) % 4))) == api.local.application_id
    assert len(api.local.token) >= 59
    async with api.session.ws_connect(f"{api.local.gateway_url}/?v=10") as socket:
        assert (await socket.receive_json())["op"] == 10
        data = {"token": f"Bot {api.local.token}", "intents": 1 << 17, "properties": {}}
        await socket.send_json({"op": 2, "d": data})
        assert (await socket.receive_json())["t"] == "READY"


async def test_an_old_address_that_libraries_still_use_leads_to_the_operation_of_today(api: Api):
    path = f"/guilds/{api.guild.id}/members/@me"
    for address, nick in ((path, "new"), (f"{path}/nick", "old")):
        assert (await api("PATCH", address, json={"nick": nick}))[0] == 200
        assert api.guild.members[api.local.application_id].nick == nick


async def test_a_file_may_come_under_the_names_that_libraries_give_it(api: Api):
    for name in ("files[0]", "file", "file0"):
        form = aiohttp.FormData()
        form.add_field("payload_json", json.dumps({"content": name}), content_type="application/json")
        form.add_field(name, b"content", filename="a.txt")
        status, body = await api("POST", api.messages, data=form)
        assert (status, body["attachments"][0]["filename"]) == (200, "a.txt")


async def test_little_is_open_without_the_bots_token(api: Api):
    for name in sorted(api.local.served):
        method, template = name.split()
        path = re.sub(r"\{\w+\}", "1", template)
        status, _ = await api(method, path, headers={"Authorization": "Bot wrong"})
        assert (status == 401) == ("_token}" not in name and name not in OPEN), name
