"""The local Discord's gateway: sessions, shards, intents, outages."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import orjson
import pytest

from local_discord import LocalDiscord
from tests.e2e.test_local_discord_support import ProbeBot, connected


def with_content() -> discord.Intents:
    intents = discord.Intents.default()
    intents.message_content = intents.members = True
    return intents


def numbers(bot: ProbeBot) -> list[int]:
    return [int(args[0].content) for name, args in bot.heard if name == "message" and args[0].content.isdigit()]


async def test_what_is_missed_while_the_line_is_cut_is_replayed_in_order():
    async with connected(intents=with_content()) as (local, bot):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        for number in range(20):
            await ada.send(guild.general, str(number))
            if number in (5, 12):
                await bot.hears("resumed" if number == 12 else "guild_available")
                await local.hang_up()
        await bot.hears("message", lambda message: message.content == "19")
        assert numbers(bot) == list(range(20))
        assert (local.identifies, local.resumes) == (1, 2)
        sent = [record.text for record in local.dispatched]
        assert [text for text in bot.raw if orjson.loads(text)["op"] == 0] == sent


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4009])
async def test_a_session_outlives_whatever_code_discord_closes_with(code: int):
    async with connected() as (local, bot):
        await local.hang_up(code=code)
        await bot.hears("resumed")
        assert (local.identifies, local.resumes) == (1, 1)


async def test_a_request_to_reconnect_is_followed():
    async with connected() as (local, bot):
        await local.request_reconnect()
        await bot.hears("resumed")
        assert (local.identifies, local.resumes) == (1, 1)


async def test_a_refused_resume_is_followed_by_a_new_session():
    async with connected() as (local, bot):
        await bot.hears("shard_connect")
        local.forget_sessions()
        await local.hang_up()
        await bot.hears("shard_connect", lambda _: bot.count("shard_connect") == 2)
        assert (local.identifies, local.resumes) == (2, 0)


@pytest.mark.parametrize(("resumable", "counts"), [(True, (1, 1)), (False, (2, 0))])
async def test_an_invalid_session_is_resumed_only_if_discord_says_so(resumable: bool, counts: tuple[int, int]):
    async with connected() as (local, bot):
        await bot.hears("shard_connect")
        await local.invalidate_sessions(resumable)
        if resumable:
            await bot.hears("resumed")
        else:
            await bot.hears("shard_connect", lambda _: bot.count("shard_connect") == 2)
        assert (local.identifies, local.resumes) == counts


async def test_a_clean_goodbye_ends_the_session():
    async with connected() as (local, bot):
        assert len(local.gateway.sessions) == 1
        await bot.close()
        await local.wait_until_gone()
        assert not local.gateway.sessions


async def test_guilds_are_spread_over_the_shards_and_direct_messages_come_to_the_first():
    async with connected(shards=2) as (local, bot):
        ada = local.add_person("ada")
        guilds = [local.add_guild(f"Lab {number}", owner=ada) for number in range(4)]
        assert [(guild.id >> 22) % 2 for guild in guilds] == [0, 1, 0, 1]
        for guild in guilds:
            await ada.send(guild.general, f"in {guild.name}")
        await ada.send_dm("direct")
        await bot.hears("message", lambda message: message.guild is not None and message.guild.id == guilds[3].id)
        await bot.hears("message", lambda message: message.guild is None)
        shards = {record.guild_id: record.shard for record in local.dispatched if record.event == "MESSAGE_CREATE"}
        assert shards == {guild.id: number % 2 for number, guild in enumerate(guilds)} | {None: 0}
        assert len(bot.guilds) == 4
        assert set(bot.shards) == {0, 1}
        await local.hang_up(shard=1)
        await bot.hears("shard_resumed", lambda shard: shard == 1)
        assert bot.count("resumed") == 1


async def test_a_bot_hears_of_joins_renames_kicks_and_outages():
    async with connected() as (local, bot):
        await bot.wait_until_ready()
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        assert (await bot.hears("guild_join")).owner_id == ada.id
        guild.rename("Labour")
        await bot.hears("guild_update", lambda _, after: after.name == "Labour")
        guild.set_unavailable(True)
        await bot.hears("guild_unavailable")
        guild.set_unavailable(False)
        await bot.hears("guild_available")
        guild.add_channel("dev")
        assert (await bot.hears("guild_channel_create")).name == "dev"
        guild.kick_bot()
        await bot.hears("guild_remove")
        assert not bot.guilds
        with pytest.raises(discord.Forbidden) as refused:
            await bot.get_partial_messageable(guild.general.id).send("hello?")
        assert refused.value.code == 50001
        guild.invite_bot()
        await bot.hears("guild_join", lambda _: bot.count("guild_join") == 2)


async def test_members_come_and_go_for_those_who_asked_to_hear_of_it():
    async with connected(intents=with_content()) as (local, bot):
        ada, bob = local.add_person("ada"), local.add_person("bob")
        guild = local.add_guild("Lab", owner=ada)
        guild.add_member(bob, permissions=["kick_members"])
        joined = await bot.hears("member_join")
        assert joined.guild_permissions.kick_members
        guild.remove_member(bob)
        await bot.hears("member_remove")
        here = bot.get_guild(guild.id)
        assert here is not None
        assert sorted(member.name for member in await here.chunk()) == ["ada", "bot"]
        assert [member.id for member in await here.query_members("ad")] == [ada.id]


async def test_intents_decide_which_events_come_and_how_much_they_tell():
    intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
    async with connected(intents=intents) as (local, bot):
        ada, bob = local.add_person("ada"), local.add_person("bob")
        guild = local.add_guild("Lab", owner=ada)
        guild.add_member(bob)
        await ada.typing(guild.general)
        hidden = await ada.send(guild.general, "secret")
        await ada.react(hidden, "👍")
        await ada.send(guild.general, f"{local.bot_user.mention} look")
        await ada.send_dm("direct")
        await bot.hears("message", lambda message: message.content == "direct")
        texts = [args[0].content for name, args in bot.heard if name == "message"]
        assert texts == ["", f"<@{local.bot_user.id}> look", "direct"]
        events = {orjson.loads(text)["t"] for text in bot.raw}
        assert events == {"READY", "GUILD_CREATE", "GUILD_ROLE_CREATE", "MESSAGE_CREATE", None} - {"GUILD_ROLE_CREATE"}
        assert await local.dispatch("PRESENCE_UPDATE", {"guild_id": str(guild.id)}, guild_id=guild.id) is None


async def test_any_event_is_sent_as_it_is_and_told_to_the_letter():
    async with connected() as (local, bot):
        guild = local.add_guild("Lab", owner=local.add_person("ada"))
        data = {"guild_id": str(guild.id), "huge": 2**63 - 1, "text": "ü 👍"}
        text = await local.dispatch("SOMETHING_NEW", data, guild_id=guild.id)
        await bot.hears("socket_raw_receive", lambda raw: raw == text)
        record = local.dispatched[-1]
        assert (record.event, record.guild_id, record.shard, record.text) == ("SOMETHING_NEW", guild.id, 0, text)


async def test_reactions_edits_and_deletions_reach_the_bot():
    async with connected(intents=with_content()) as (local, bot):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        message = await ada.send(guild.general, "helo")
        await ada.edit(message, "hello")
        await bot.hears("message_edit", lambda _, after: after.content == "hello")
        await ada.react(message, "👍")
        reaction = await bot.hears("reaction_add")
        assert (str(reaction.emoji), reaction.count) == ("👍", 1)
        await (await reaction.message.fetch()).add_reaction("👍")
        assert len(message.reactions["👍"]) == 2
        await ada.typing(guild.general)
        await bot.hears("typing")
        await ada.delete(message)
        await bot.hears("message_delete")


async def test_an_intent_without_approval_is_refused():
    async with LocalDiscord() as local:
        local.settings.approved_intents = 0
        bot = ProbeBot(None, with_content())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(discord.http.Route, "BASE", local.api_base)
            with pytest.raises(discord.PrivilegedIntentsRequired):
                await bot.start(local.token)


@asynccontextmanager
async def socket(local: LocalDiscord, query: str = "?v=10&encoding=json"):
    async with aiohttp.ClientSession() as session, session.ws_connect(local.gateway_url + query) as opened:
        yield opened


def identify(local: LocalDiscord, **changes: Any) -> dict[str, Any]:
    return {"op": 2, "d": {"token": local.token, "intents": 1, "properties": {}} | changes}


async def test_what_a_client_may_not_send_closes_the_connection():
    async with LocalDiscord() as local:
        wrong: list[tuple[int, list[Any]]] = [
            (4001, [{"op": 77}]),
            (4001, [{"op": []}]),
            (4002, [identify(local), {"op": 8, "d": {}}]),
            (4004, [{"op": 2, "d": None}]),
            (4002, ["{"]),
            (4002, [[]]),
            (4002, [{"op": 1, "d": "x" * 5000}]),
            (4003, [{"op": 8, "d": {"guild_id": "1"}}]),
            (4003, [{"op": 3, "d": {}}]),
            (4004, [identify(local, token="wrong")]),
            (4005, [identify(local), identify(local)]),
            (4010, [identify(local, shard=[2, 2])]),
            (4013, [identify(local, intents=1 << 40)]),
            (4008, [{"op": 1, "d": None}] * 121),
        ]
        for code, frames in wrong:
            async with socket(local) as opened:
                for frame in frames:
                    await opened.send_str(frame if isinstance(frame, str) else orjson.dumps(frame).decode())
                async for _ in opened:
                    pass
                assert (opened.close_code, frames[-1]) == (code, frames[-1])
        async with socket(local, "?v=6&encoding=json") as opened:
            async for _ in opened:
                pass
            assert opened.close_code == 4012


async def test_a_resume_from_the_future_is_an_invalid_sequence():
    async with LocalDiscord() as local:
        async with socket(local) as opened:
            assert (await opened.receive_json())["op"] == 10
            await opened.send_json(identify(local))
            ready = await opened.receive_json()
            assert ready["s"] == 1
            await opened.close(code=4000)
        resume = {"token": local.token, "session_id": ready["d"]["session_id"]}
        async with socket(local) as opened:
            await opened.send_json({"op": 6, "d": resume | {"seq": 99}})
            async for _ in opened:
                pass
            assert opened.close_code == 4007
        async with socket(local) as opened:
            await opened.receive_json()
            await opened.send_json({"op": 6, "d": resume | {"seq": 1}})
            resumed = await opened.receive_json()
            assert (resumed["t"], resumed["s"]) == ("RESUMED", 2)
            await opened.send_json({"op": 1, "d": 2})
            assert (await opened.receive_json())["op"] == 11


async def test_a_resume_takes_the_session_over_from_the_connection_it_had():
    async with LocalDiscord() as local, socket(local) as first:
        await first.receive_json()
        await first.send_json(identify(local))
        session_id = (await first.receive_json())["d"]["session_id"]
        async with socket(local) as second:
            await second.receive_json()
            resume = {"token": local.token, "session_id": session_id, "seq": 1}
            await second.send_json({"op": 6, "d": resume})
            assert (await second.receive_json())["t"] == "RESUMED"
            assert await first.receive() is not None
            text = await local.dispatch("SOMETHING_NEW", {})
            assert (await second.receive()).data == text
        assert first.closed


async def test_who_asks_for_zstd_where_it_is_not_installed_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    async with LocalDiscord() as local:
        async with socket(local, "?v=10&encoding=json&compress=zstd-stream") as opened:
            assert (await opened.receive_json())["op"] == 10
        local.settings.compresses = True
        async with socket(local, "?v=10&encoding=json&compress=zstd-stream") as opened:
            closed = await opened.receive()
            assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 4012)
            assert "zstandard" in closed.extra


async def test_who_begins_more_sessions_than_are_left_has_a_token_no_longer():
    async with LocalDiscord() as local:
        local.settings.session_starts.exhaust(60)
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bot {local.token}"}
            async with session.get(f"{local.api_base}/gateway/bot", headers=headers) as answer:
                limit = (await answer.json())["session_start_limit"]
        assert limit["remaining"] == 0
        assert 59_000 < limit["reset_after"] <= 60_000
        async with socket(local) as websocket:
            await websocket.receive()
            await websocket.send_json(identify(local))
            await websocket.receive()
            assert websocket.close_code == 4004
        assert [attempt.step for attempt in local.attempts] == ["HELLO"]


async def test_a_token_that_was_reset_opens_nothing_and_what_it_had_opened_is_over():
    async with LocalDiscord() as local, socket(local) as ws:
        before = local.token
        await ws.receive_json()
        await ws.send_json(identify(local))
        session = (await ws.receive_json())["d"]["session_id"]
        new = await local.reset_token()
        assert new == local.token != before
        assert (await ws.receive()).data == 4004
        for token, status in ((before, 401), (new, 200)):
            async with aiohttp.ClientSession(headers={"Authorization": f"Bot {token}"}) as http:
                assert (await http.get(f"{local.api_base}/users/@me")).status == status
        resume = {"token": new, "session_id": session, "seq": 1}
        async with socket(local) as ws:
            await ws.receive_json()
            await ws.send_json({"op": 6, "d": resume})
            told = await ws.receive_json()
            assert (told["op"], told["d"]) == (9, False)
