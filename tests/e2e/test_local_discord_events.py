"""Whatever the bot changes by the local Discord's API is told by its gateway."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local_discord.world.invites import Invite
from tests.e2e.test_local_discord_support import Api, plain

PICTURE = "data:image/png;base64,AAAA"
NEXT_YEARS = {"scheduled_start_time": "2090-01-01T00:00:00+00:00", "scheduled_end_time": "2090-01-02T00:00:00+00:00"}
EVENT = {"name": "x", "privacy_level": 2, "entity_type": 3, "entity_metadata": {"location": "x"}, **NEXT_YEARS}
RULE = {"name": "x", "event_type": 1, "trigger_type": 3, "actions": [{"type": 1}]}
POLL = {"question": {"text": "?"}, "answers": [{"poll_media": {"text": "x"}}]}
G, C = "/guilds/{guild}", "/channels/{channel}"
STEPS: list[tuple[str, str, Any, str]] = [
    # method, path, form, the events that are told; `new` is what the step before has made, and `kept` an earlier one.
    ("PATCH", G, {"name": "Lab 2"}, "GUILD_UPDATE"),
    ("PATCH", f"{G}/welcome-screen", {"enabled": True}, "GUILD_UPDATE"),
    ("PATCH", f"{G}/widget", {"enabled": True}, "GUILD_UPDATE"),
    ("PUT", f"{G}/incident-actions", {"dms_disabled_until": None}, "GUILD_UPDATE"),
    ("POST", f"{G}/channels", {"name": "new"}, "CHANNEL_CREATE"),
    ("PATCH", f"{G}/channels", [{"id": "{new}", "position": 3}], "CHANNEL_UPDATE"),
    ("PATCH", "/channels/{new}", {"topic": "x"}, "CHANNEL_UPDATE"),
    ("PUT", "/channels/{new}/permissions/{guild}", {"type": 0, "deny": "0"}, "CHANNEL_UPDATE"),
    ("DELETE", "/channels/{new}/permissions/{guild}", None, "CHANNEL_UPDATE"),
    ("DELETE", "/channels/{new}", None, "CHANNEL_DELETE"),
    ("POST", f"{G}/roles", {"name": "new"}, "GUILD_ROLE_CREATE"),
    ("PATCH", f"{G}/roles/{{new}}", {"name": "newer"}, "GUILD_ROLE_UPDATE"),
    ("PATCH", f"{G}/roles", [{"id": "{new}", "position": 1}], "GUILD_ROLE_UPDATE"),
    ("PUT", f"{G}/members/{{bob}}/roles/{{new}}", None, "GUILD_MEMBER_UPDATE"),
    ("DELETE", f"{G}/members/{{bob}}/roles/{{new}}", None, "GUILD_MEMBER_UPDATE"),
    ("DELETE", f"{G}/roles/{{new}}", None, "GUILD_ROLE_DELETE"),
    ("PATCH", f"{G}/members/{{bob}}", {"nick": "bobby"}, "GUILD_MEMBER_UPDATE"),
    ("PATCH", f"{G}/members/@me", {"nick": "botty"}, "GUILD_MEMBER_UPDATE"),
    ("POST", f"{C}/typing", None, "TYPING_START"),
    ("POST", f"{C}/messages", {"content": "x"}, "MESSAGE_CREATE"),
    ("PATCH", f"{C}/messages/{{new}}", {"content": "y"}, "MESSAGE_UPDATE"),
    ("PUT", f"{C}/messages/{{new}}/reactions/👍/@me", None, "MESSAGE_REACTION_ADD"),
    ("DELETE", f"{C}/messages/{{new}}/reactions/👍/@me", None, "MESSAGE_REACTION_REMOVE"),
    ("PUT", f"{C}/messages/{{new}}/reactions/👍/@me", None, "MESSAGE_REACTION_ADD"),
    ("DELETE", f"{C}/messages/{{new}}/reactions/👍", None, "MESSAGE_REACTION_REMOVE_EMOJI"),
    ("DELETE", f"{C}/messages/{{new}}/reactions", None, "MESSAGE_REACTION_REMOVE_ALL"),
    ("PUT", f"{C}/messages/pins/{{new}}", None, "CHANNEL_PINS_UPDATE MESSAGE_UPDATE MESSAGE_CREATE"),
    ("DELETE", f"{C}/messages/pins/{{new}}", None, "CHANNEL_PINS_UPDATE MESSAGE_UPDATE"),
    ("DELETE", f"{C}/messages/{{new}}", None, "MESSAGE_DELETE"),
    ("POST", f"{C}/messages", {"poll": POLL}, "MESSAGE_CREATE"),
    ("POST", f"{C}/polls/{{new}}/expire", None, "MESSAGE_UPDATE MESSAGE_CREATE"),
    ("POST", f"{C}/messages/{{new}}/threads", {"name": "x"}, "THREAD_CREATE MESSAGE_UPDATE MESSAGE_CREATE"),
    ("PATCH", "/channels/{new}", {"name": "y"}, "THREAD_UPDATE"),
    ("PUT", "/channels/{new}/thread-members/{bob}", None, "THREAD_MEMBERS_UPDATE"),
    ("DELETE", "/channels/{new}/thread-members/{bob}", None, "THREAD_MEMBERS_UPDATE"),
    ("DELETE", "/channels/{new}", None, "THREAD_DELETE"),
    ("POST", f"{C}/invites", {"unique": True}, "INVITE_CREATE"),
    ("DELETE", "/invites/{code}", None, "INVITE_DELETE"),
    ("POST", f"{C}/webhooks", {"name": "x"}, "WEBHOOKS_UPDATE"),
    ("PATCH", "/webhooks/{new}", {"name": "y"}, "WEBHOOKS_UPDATE"),
    ("DELETE", "/webhooks/{new}", None, "WEBHOOKS_UPDATE"),
    ("POST", f"{G}/emojis", {"name": "xx", "image": PICTURE}, "GUILD_EMOJIS_UPDATE"),
    ("PATCH", f"{G}/emojis/{{new}}", {"name": "yy"}, "GUILD_EMOJIS_UPDATE"),
    ("DELETE", f"{G}/emojis/{{new}}", None, "GUILD_EMOJIS_UPDATE"),
    ("POST", f"{G}/stickers", {"name": "xx", "tags": "x", "description": ""}, "GUILD_STICKERS_UPDATE"),
    ("DELETE", f"{G}/stickers/{{new}}", None, "GUILD_STICKERS_UPDATE"),
    ("POST", f"{G}/soundboard-sounds", {"name": "xx", "sound": PICTURE}, "GUILD_SOUNDBOARD_SOUND_CREATE"),
    ("PATCH", f"{G}/soundboard-sounds/{{new}}", {"name": "yy"}, "GUILD_SOUNDBOARD_SOUND_UPDATE"),
    ("DELETE", f"{G}/soundboard-sounds/{{new}}", None, "GUILD_SOUNDBOARD_SOUND_DELETE"),
    ("POST", f"{G}/scheduled-events", EVENT, "GUILD_SCHEDULED_EVENT_CREATE"),
    ("PATCH", f"{G}/scheduled-events/{{new}}", {"status": 2}, "GUILD_SCHEDULED_EVENT_UPDATE"),
    ("DELETE", f"{G}/scheduled-events/{{new}}", None, "GUILD_SCHEDULED_EVENT_DELETE"),
    ("POST", f"{G}/auto-moderation/rules", RULE, "AUTO_MODERATION_RULE_CREATE"),
    ("PATCH", f"{G}/auto-moderation/rules/{{new}}", {"enabled": True}, "AUTO_MODERATION_RULE_UPDATE"),
    ("DELETE", f"{G}/auto-moderation/rules/{{new}}", None, "AUTO_MODERATION_RULE_DELETE"),
    ("POST", "/stage-instances", {"channel_id": "{stage}", "topic": "x"}, "STAGE_INSTANCE_CREATE"),
    ("PATCH", "/stage-instances/{stage}", {"topic": "y"}, "STAGE_INSTANCE_UPDATE"),
    ("DELETE", "/stage-instances/{stage}", None, "STAGE_INSTANCE_DELETE"),
    ("PUT", "/channels/{voice}/voice-status", {"status": "x"}, "VOICE_CHANNEL_STATUS_UPDATE"),
    ("PATCH", "/users/@me", {"username": "botty"}, "USER_UPDATE"),
    ("DELETE", f"{G}/members/{{bob}}", None, "GUILD_MEMBER_REMOVE"),
    ("PUT", f"{G}/bans/{{carl}}", None, "GUILD_BAN_ADD GUILD_MEMBER_REMOVE"),
    ("DELETE", f"{G}/bans/{{carl}}", None, "GUILD_BAN_REMOVE"),
    ("DELETE", "/users/@me/guilds/{guild}", None, "GUILD_DELETE"),
]


@pytest.fixture
async def api():
    async with plain("administrator") as api:
        yield api


async def test_each_change_is_told_once_and_in_order(api: Api):
    heard: list[str] = []
    places = await _places(api)
    api.local.world.core.events.subscribe(lambda event, *_: heard.append(event))
    for method, path, form, told in STEPS:
        heard.clear()
        status, body = await api(method, _filled(path, places), json=_filled(form, places))
        assert (method, path, status in (200, 201, 204), body) == (method, path, True, body)
        found = [event for event in heard if event != "GUILD_AUDIT_LOG_ENTRY_CREATE"]
        assert (method, path, found) == (method, path, told.split())
        if method == "POST" and body:
            places["new"] = body.get("id") or body.get("sound_id")


async def _places(api: Api) -> dict[str, Any]:
    bob, carl = api.local.add_person("bob"), api.local.add_person("carl")
    for person in (bob, carl):
        api.guild.add_member(person)
    guild = api.guild
    invite = api.local.world.invites.create(Invite(guild.general, api.ada), unique=True)
    stage, voice = guild.add_channel("stage", 13), guild.add_channel("voice", 2)
    found: dict[str, Any] = {
        "guild": guild,
        "channel": guild.general,
        "stage": stage,
        "voice": voice,
        "bob": bob,
        "carl": carl,
    }
    return {name: one.id for name, one in found.items()} | {"code": invite.code}


def _filled(form: Any, places: dict[str, Any]) -> Any:
    match form:
        case str():
            return re.sub(r"\{(\w+)\}", lambda found: str(places[found[1]]), form)
        case dict():
            return {key: _filled(value, places) for key, value in form.items()}
        case list():
            return [_filled(value, places) for value in form]
        case _:
            return form
