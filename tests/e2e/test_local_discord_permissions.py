"""What the bot and people may do in the local Discord, and in which words and codes it says no."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
import pytest

from local_discord import UsageError
from local_discord.rules.permissions import bits
from local_discord.world.invites import Invite
from tests.e2e.test_local_discord_support import Api, lab, plain, text_channel

FORUM = 15
BUTTON = {"type": 2, "style": 1, "label": "Press", "custom_id": "a"}


@pytest.fixture
async def api():
    async with plain() as api:
        yield api


async def test_a_hidden_channel_is_closed_to_the_bot_whatever_it_asks(api: Api):
    hidden = api.guild.add_channel("hidden")
    said = await api.ada.send(hidden, "secret")
    hidden.deny(api.local.bot_user, ["view_channel"])
    place = f"/channels/{hidden.id}"
    for method, path in (
        ("GET", place),
        ("GET", f"{place}/messages/{said.id}"),
        ("POST", f"{place}/messages"),
        ("PUT", f"{place}/messages/{said.id}/reactions/👍/@me"),
        ("POST", f"{place}/threads"),
        ("POST", f"{place}/typing"),
        ("PATCH", place),
        ("DELETE", place),
    ):
        status, body = await api(method, path, json={"content": "x", "name": "x"} if method != "GET" else None)
        assert (method, path, status, body["code"]) == (method, path, 403, 50001)


async def test_the_bot_hears_of_a_hidden_channel_and_not_of_what_happens_in_it():
    async with lab(intents=discord.Intents.all()) as (local, bot, guild, ada):
        hidden = guild.add_channel("hidden")
        hidden.deny(local.bot_user, ["view_channel"])
        await ada.react(await ada.send(hidden, "secret"), "👍")
        await ada.typing(hidden)
        seen = await ada.send(guild.general, "seen")
        await bot.hears("message", lambda one: one.id == seen.id)
        assert [bot.count(event) for event in ("message", "raw_reaction_add", "typing")] == [1, 0, 0]
        assert bot.get_channel(hidden.id).overwrites
        await ada.use_foreign_command("anything", channel=hidden)
        await bot.hears("interaction")


@pytest.mark.parametrize(
    ("denied", "form"),
    [
        ("send_messages", {"content": "x"}),
        ("embed_links", {"embeds": [{"title": "x"}]}),
        ("send_polls", {"poll": {"question": {"text": "?"}, "answers": [{"poll_media": {"text": "x"}}]}}),
        ("send_tts_messages", {"content": "x", "tts": True}),
    ],
)
async def test_what_is_in_a_message_takes_a_permission_of_its_own(api: Api, denied: str, form: dict[str, Any]):
    api.guild.general.deny(api.local.bot_user, [denied])
    status, body = await api("POST", api.messages, json=form)
    assert (status, body["code"]) == (403, 50013)


async def test_of_somebody_elses_message_only_the_embeds_are_hidden_by_whoever_manages_messages(api: Api):
    said = await api.ada.send(api.guild.general, "look")
    message = f"{api.messages}/{said.id}"
    assert (await api("PATCH", message, json={"content": "no"}))[1]["code"] == 50005
    assert (await api("PATCH", message, json={"flags": 4}))[1]["code"] == 50013
    api.guild.add_member(api.local.bot_user, permissions=["manage_messages"])
    assert (await api("PATCH", message, json={"flags": 4}))[1]["flags"] == 4
    assert (await api("PATCH", message, json={"flags": 0}))[1]["flags"] == 0


async def test_overwrites_are_replaced_all_at_once_by_whoever_manages_roles(api: Api):
    api.guild.add_member(api.local.bot_user, permissions=["manage_channels"])
    place, everyone = f"/channels/{api.guild.general.id}", str(api.guild.id)
    form = {"permission_overwrites": [{"id": everyone, "type": 0, "deny": "2048"}]}
    assert (await api("PATCH", place, json=form))[1]["code"] == 50013
    api.guild.add_member(api.local.bot_user, permissions=["manage_channels", "manage_roles"])
    assert (await api("PATCH", place, json=form))[1]["permission_overwrites"][0]["deny"] == "2048"
    form["permission_overwrites"].append({"id": "1", "type": 0, "deny": "0"})
    assert (await api("PATCH", place, json=form))[1]["code"] == 10011
    assert len(api.guild.general.overwrites) == 1
    assert (await api("PATCH", place, json={"permission_overwrites": []}))[1]["permission_overwrites"] == []
    status, body = await api("POST", f"/guilds/{api.guild.id}/channels", json={"name": "new", **form})
    assert (status, body["code"]) == (404, 10011)
    assert [channel.name for channel in api.guild.channels.values()] == ["general"]


async def test_members_are_listed_only_for_whoever_is_approved_for_the_intent(api: Api):
    members = f"/guilds/{api.guild.id}/members"
    assert (await api("GET", members))[0] == 200
    api.local.settings.approved_intents = 0
    assert (await api("GET", members))[1]["code"] == 50001


async def test_whoever_is_timed_out_may_only_read():
    async with lab("moderate_members") as (local, bot, guild, ada):
        bob = local.add_person("bob")
        guild.add_member(bob)
        said = await ada.send(guild.general, "listen")
        member = await text_channel(bot, guild).guild.fetch_member(bob.id)
        await member.timeout(timedelta(minutes=5))
        for refused in (bob.send(guild.general, "no"), bob.react(said, "👍"), bob.command("x", channel=guild.general)):
            with pytest.raises(UsageError):
                await refused
        await member.timeout(None)
        await bob.send(guild.general, "yes")
        with pytest.raises(discord.HTTPException) as too_long:
            await member.edit(timed_out_until=datetime.now(UTC) + timedelta(days=29))
        assert too_long.value.code == 50035
        guild.add_member(bob, permissions=["administrator"])
        with pytest.raises(discord.Forbidden):
            await member.timeout(timedelta(minutes=5))


async def test_people_may_do_what_their_permissions_say_and_are_refused_with_discords_codes(api: Api):
    bob, general = api.local.add_person("bob"), api.guild.general
    with pytest.raises(UsageError, match="is not in"):
        await bob.send(general, "hello?")
    api.guild.add_member(bob)
    said = await api.ada.send(general, "words")
    general.deny(bob, ["send_messages", "add_reactions", "create_public_threads", "pin_messages"])
    forum = api.guild.add_channel("help", FORUM)
    for refused in (
        bob.send(general, "no"),
        bob.react(said, "👍"),
        bob.start_thread(general, "no", message=said),
        bob.delete(said),
        bob.pin(said),
        bob.typing(general),
    ):
        with pytest.raises(UsageError) as failure:
            await refused
        assert failure.value.code == 50013
    with pytest.raises(UsageError) as failure:
        await bob.send(forum, "here")
    assert failure.value.code == 50008
    await api.ada.react(said, "👍")
    await bob.react(said, "👍")
    assert said.reactions == {"👍": {api.ada.id, bob.id}}


async def test_slow_mode_holds_for_people_alone(api: Api):
    bob, general = api.local.add_person("bob"), api.guild.general
    api.guild.add_member(bob)
    general.details["rate_limit_per_user"] = 60
    await bob.send(general, "one")
    with pytest.raises(UsageError) as failure:
        await bob.send(general, "two")
    assert failure.value.code == 20016
    for _ in range(2):
        await api.ada.send(general, "the owner")
        assert (await api("POST", api.messages, json={"content": "the bot"}))[0] == 200


async def test_a_forum_may_want_tags_and_leave_some_to_moderators(api: Api):
    tags = [{"id": "1", "name": "open", "moderated": False}, {"id": "2", "name": "done", "moderated": True}]
    forum = api.guild.add_channel("help", FORUM)
    forum.details["available_tags"], forum.flags = tags, 1 << 4
    form: dict[str, Any] = {"name": "post", "message": {"content": "x"}}
    answers = [
        (await api("POST", f"/channels/{forum.id}/threads", json=form | {"applied_tags": chosen}))[1].get("code")
        for chosen in ([], ["3"], ["2"], ["1"])
    ]
    assert answers == [40067, 10087, 50013, None]
    bob = api.local.add_person("bob")
    api.guild.add_member(bob)
    for chosen, code in ((["done"], 50013), ([], 40067)):
        with pytest.raises(UsageError) as failure:
            await bob.post(forum, "post", "x", tags=chosen)
        assert failure.value.code == code
    assert (await bob.post(forum, "post", "x", tags=["open"])).applied_tags == ["1"]


async def test_a_message_takes_twenty_reactions(api: Api):
    said = await api.ada.send(api.guild.general, "look")
    for number in range(20):
        await api.ada.react(said, chr(0x1F600 + number))
    status, body = await api("PUT", f"{api.messages}/{said.id}/reactions/👍/@me")
    assert (status, body["code"]) == (400, 30010)


async def things(api: Api) -> dict[str, Any]:
    """One of each, for the places of paths."""
    guild, core = api.guild, api.local.world.core
    said = await api.ada.send(guild.general, "words")
    made = {"name": "x", "user": api.ada.payload(), "creator_id": str(api.ada.id)}
    stage = guild.add_channel("stage", 13)
    shelves = {
        "emoji_id": guild.emojis.add(made)["id"],
        "sticker_id": guild.stickers.add(made)["id"],
        "sound_id": guild.sounds.add(made)["sound_id"],
        "guild_scheduled_event_id": guild.scheduled_events.add(made)["id"],
        "rule_id": guild.moderation_rules.add(made)["id"],
    }
    invite = api.local.world.invites.create(Invite(guild.general, api.ada), unique=True)
    webhook = api.local.world.webhooks.create(guild.general, "hook")
    people = {"user_id": api.ada.id, "overwrite_id": api.ada.id, "webhook_id": webhook.id}
    here = {"guild_id": guild.id, "channel_id": guild.general.id, "message_id": said.id, "stage": stage.id}
    names = {"emoji_name": "👍", "answer_id": 1, "code": invite.code, "application_id": core.application_id}
    return shelves | people | here | names | {"role_id": guild.add_role("helper").id, "command_id": 1}


FREE = """
DELETE /channels/{channel_id}/thread-members/@me PUT /channels/{channel_id}/thread-members/@me
GET /guilds/{guild_id} GET /guilds/{guild_id}/channels GET /guilds/{guild_id}/preview GET /guilds/{guild_id}/regions
GET /guilds/{guild_id}/roles GET /guilds/{guild_id}/roles/{role_id} GET /guilds/{guild_id}/roles/member-counts
GET /guilds/{guild_id}/members GET /guilds/{guild_id}/members/{user_id} GET /guilds/{guild_id}/members/search
GET /guilds/{guild_id}/emojis GET /guilds/{guild_id}/emojis/{emoji_id}
GET /guilds/{guild_id}/stickers GET /guilds/{guild_id}/stickers/{sticker_id}
GET /guilds/{guild_id}/soundboard-sounds GET /guilds/{guild_id}/soundboard-sounds/{sound_id}
GET /guilds/{guild_id}/scheduled-events GET /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}
GET /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/users
GET /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/users/counts
GET /guilds/{guild_id}/threads/active GET /guilds/{guild_id}/welcome-screen GET /guilds/{guild_id}/onboarding
GET /guilds/{guild_id}/voice-states/@me GET /guilds/{guild_id}/voice-states/{user_id}
PATCH /guilds/{guild_id}/voice-states/@me PATCH /guilds/{guild_id}/voice-states/{user_id}
GET /guilds/{guild_id}/widget.json PATCH /guilds/{guild_id}/members/@me
"""
"""What takes no permission but to be in the guild; who has not joined, or is not there, is nowhere to be found."""
FREE_WHERE_SEEN = """
GET /channels/{channel_id} GET /channels/{channel_id}/messages GET /channels/{channel_id}/pins
GET /channels/{channel_id}/messages/pins PATCH /channels/{channel_id}/messages/{message_id}
DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me
POST /channels/{channel_id}/followers GET /stage-instances/{channel_id}
GET /channels/{channel_id}/thread-members GET /channels/{channel_id}/thread-members/{user_id}
PUT /channels/{channel_id}/thread-members/{user_id} DELETE /channels/{channel_id}/thread-members/{user_id}
"""
"""What takes no more than to see the channel; history is empty without permission to read it, the message is Ada's, and
the channel is no thread, is not on a stage, and announces nothing."""
OPEN = ("GET /guilds/templates/{code}", "GET /invites/{code}")
FORMS = {
    "PATCH /guilds/{guild_id}/members/{user_id}": {"nick": "x"},
    "POST /channels/{channel_id}/threads": {"name": "x"},
}


@pytest.mark.parametrize(("permissions", "listed"), [([], FREE), (["view_channel"], FREE + FREE_WHERE_SEEN)])
async def test_every_operation_on_a_guild_takes_a_permission(api: Api, permissions: list[str], listed: str):
    found = await things(api)
    api.guild.roles[api.guild.id].permissions = bits(permissions)
    free = set(re.findall(r"[A-Z]+ \S+", listed))
    roots = ("/guilds/{guild_id}", "/channels/{channel_id}", "/webhooks/{webhook_id}", "/stage-instances/", "/invites/")
    let_through = []
    for name in sorted(api.local.served - free):
        method, template = name.split()
        if not template.startswith(roots) or "token}" in name or name in OPEN:
            continue
        places = found | ({"channel_id": found["stage"]} if "stage-instances" in name else {})
        status, body = await api(method, template.format(**places), json=FORMS.get(name, {}))
        if status != 403 or body["code"] not in (50001, 50013):
            let_through.append((name, status, body))
    assert let_through == []
    assert free <= api.local.served
