"""Which events a client has asked for by its intents, and how much of them it may read. Pure."""

from __future__ import annotations

from typing import Any

GUILDS, GUILD_MEMBERS, GUILD_EXPRESSIONS, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 3, 1 << 8
MESSAGE_CONTENT, GUILD_SCHEDULED_EVENTS = 1 << 15, 1 << 16
PRIVILEGED = {"members": GUILD_MEMBERS, "presences": GUILD_PRESENCES, "message_content": MESSAGE_CONTENT}
"""Intents that Discord approves by application, by the names that the settings give them."""

APPROVED = {
    "presences": 1 << 12 | 1 << 13,
    "members": 1 << 14 | 1 << 15,
    "message_content": 1 << 18 | 1 << 19,
}
"""The application's flags that say so, of a large application and of a small one."""

KNOWN = (1 << 18) - 1 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25
"""Bit 17 is in no documentation, and yet among the defaults of interactions.py."""

_EVENTS = {
    0: "GUILD_CREATE GUILD_UPDATE GUILD_DELETE GUILD_ROLE_CREATE GUILD_ROLE_UPDATE GUILD_ROLE_DELETE CHANNEL_CREATE "
    "CHANNEL_UPDATE CHANNEL_DELETE CHANNEL_INFO CHANNEL_PINS_UPDATE THREAD_CREATE THREAD_UPDATE THREAD_DELETE "
    "THREAD_LIST_SYNC THREAD_MEMBER_UPDATE STAGE_INSTANCE_CREATE STAGE_INSTANCE_UPDATE STAGE_INSTANCE_DELETE "
    "VOICE_CHANNEL_STATUS_UPDATE VOICE_CHANNEL_START_TIME_UPDATE",
    1: "GUILD_MEMBER_ADD GUILD_MEMBER_UPDATE GUILD_MEMBER_REMOVE THREAD_MEMBERS_UPDATE",
    2: "GUILD_AUDIT_LOG_ENTRY_CREATE GUILD_BAN_ADD GUILD_BAN_REMOVE",
    3: "GUILD_EMOJIS_UPDATE GUILD_STICKERS_UPDATE GUILD_SOUNDBOARD_SOUND_CREATE GUILD_SOUNDBOARD_SOUND_UPDATE "
    "GUILD_SOUNDBOARD_SOUND_DELETE GUILD_SOUNDBOARD_SOUNDS_UPDATE",
    4: "GUILD_INTEGRATIONS_UPDATE INTEGRATION_CREATE INTEGRATION_UPDATE INTEGRATION_DELETE",
    5: "WEBHOOKS_UPDATE",
    6: "INVITE_CREATE INVITE_DELETE",
    7: "VOICE_STATE_UPDATE VOICE_CHANNEL_EFFECT_SEND",
    8: "PRESENCE_UPDATE",
    9: "MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE MESSAGE_DELETE_BULK",
    10: "MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL MESSAGE_REACTION_REMOVE_EMOJI",
    11: "TYPING_START",
    16: "GUILD_SCHEDULED_EVENT_CREATE GUILD_SCHEDULED_EVENT_UPDATE GUILD_SCHEDULED_EVENT_DELETE "
    "GUILD_SCHEDULED_EVENT_USER_ADD GUILD_SCHEDULED_EVENT_USER_REMOVE",
    20: "AUTO_MODERATION_RULE_CREATE AUTO_MODERATION_RULE_UPDATE AUTO_MODERATION_RULE_DELETE",
    21: "AUTO_MODERATION_ACTION_EXECUTION",
    24: "MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE",
}

INTENT_OF = {name.encode(): 1 << bit for bit, names in _EVENTS.items() for name in names.split()}
"""By the event's name, as in a subject. What is not here reaches every client. Everything in a stream is a server's, so
that the intents for direct messages stand for nothing."""

OF_MEMBERSHIP = frozenset({b"GUILD_MEMBER_UPDATE", b"THREAD_MEMBERS_UPDATE"})
"""Reach a client without the intent if they are about the bot itself."""

_HIDDEN = {"content": "", "embeds": [], "attachments": [], "components": []}


def without_content(message: dict[str, Any], bot_id: str) -> dict[str, Any]:
    """As a bot without the intent reads it: the bot's own messages whole, and those that mention it."""
    people = [message.get("author") or {}, *(message.get("mentions") or ())]
    if any(str(person.get("id")) == bot_id for person in people):
        shown = dict(message)
    else:
        shown = {key: _HIDDEN.get(key, value) for key, value in message.items() if key != "poll"}
    if isinstance(answered := message.get("referenced_message"), dict):
        shown["referenced_message"] = without_content(answered, bot_id)
    if forwarded := message.get("message_snapshots"):
        shown["message_snapshots"] = [_snapshot_without_content(each, bot_id) for each in forwarded]
    return shown


def _snapshot_without_content(snapshot: dict[str, Any], bot_id: str) -> dict[str, Any]:
    """Of a forward, which says nothing of the author."""
    return snapshot | {"message": without_content(snapshot.get("message") or {}, bot_id)}


def readable_guild(guild: dict[str, Any], wanted: int, bot_id: str) -> dict[str, Any]:
    """A GUILD_CREATE as a bot with these intents reads it: without the ones for them no members and presences but its
    own."""
    shown = dict(guild)
    if not wanted & GUILD_MEMBERS:
        members = guild.get("members") or ()
        shown["members"] = [each for each in members if (each.get("user") or {}).get("id") == bot_id]
    if not wanted & GUILD_PRESENCES:
        shown["presences"] = []
    return shown


def is_of_bot(data: dict[str, Any], bot_id: str) -> bool:
    """Whether a change of members, of a server's or of a thread's, is about the bot itself."""
    people = [data.get("user") or {}, *({"id": each.get("user_id")} for each in data.get("added_members") or ())]
    return bot_id in (data.get("removed_member_ids") or ()) or any(str(each.get("id")) == bot_id for each in people)
