"""Which events a session has asked for, and how much of them it may read."""

from __future__ import annotations

from local_discord.wire import Json, objects

GUILDS = 1 << 0
GUILD_MEMBERS = 1 << 1
GUILD_PRESENCES = 1 << 8
DIRECT_MESSAGES = 1 << 12
MESSAGE_CONTENT = 1 << 15
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
_APPLICATION_FLAGS = {GUILD_PRESENCES: 1 << 13, GUILD_MEMBERS: 1 << 15, MESSAGE_CONTENT: 1 << 19}
KNOWN = (1 << 18) - 1 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25
"""Bit 17 stands for nothing any more; libraries that ask for all intents still send it."""

_EVENTS_OF_BIT = {
    0: "GUILD_CREATE GUILD_UPDATE GUILD_DELETE GUILD_ROLE_CREATE GUILD_ROLE_UPDATE GUILD_ROLE_DELETE CHANNEL_CREATE "
    "CHANNEL_UPDATE CHANNEL_DELETE CHANNEL_INFO THREAD_CREATE THREAD_UPDATE THREAD_DELETE THREAD_LIST_SYNC "
    "THREAD_MEMBER_UPDATE STAGE_INSTANCE_CREATE STAGE_INSTANCE_UPDATE STAGE_INSTANCE_DELETE "
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
    16: "GUILD_SCHEDULED_EVENT_CREATE GUILD_SCHEDULED_EVENT_UPDATE GUILD_SCHEDULED_EVENT_DELETE "
    "GUILD_SCHEDULED_EVENT_USER_ADD GUILD_SCHEDULED_EVENT_USER_REMOVE",
    20: "AUTO_MODERATION_RULE_CREATE AUTO_MODERATION_RULE_UPDATE AUTO_MODERATION_RULE_DELETE",
    21: "AUTO_MODERATION_ACTION_EXECUTION",
}
_GUILD_EVENTS = {event: 1 << bit for bit, events in _EVENTS_OF_BIT.items() for event in events.split()}

_EVENTS_OF_BITS = {
    (9, 12): "MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE MESSAGE_DELETE_BULK",
    (10, 13): "MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL MESSAGE_REACTION_REMOVE_EMOJI",
    (11, 14): "TYPING_START",
    (24, 25): "MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE",
    (0, 12): "CHANNEL_PINS_UPDATE",
}
_TWOFOLD_EVENTS = {event: pair for pair, events in _EVENTS_OF_BITS.items() for event in events.split()}


def wants(intents: int, event: str, data: Json, bot_id: int) -> bool:
    """Whether a session with these intents is sent the event at all.

    Events with a guild and a direct variant count as direct when they carry no `guild_id`. What no intent stands for
    reaches every session, and so does whatever is done to the bot's own member.
    """
    if event == "GUILD_MEMBER_UPDATE" and data.get("user", {}).get("id") == str(bot_id):
        return True
    pair = _TWOFOLD_EVENTS.get(event)
    if pair is not None:
        return bool(intents >> pair["guild_id" not in data] & 1)
    needed = _GUILD_EVENTS.get(event)
    return needed is None or bool(intents & needed)


def readable(intents: int, event: str, data: Json, bot_id: int) -> Json:
    """The event's data as far as the privileged intents show it; the given data itself stays as it is."""
    if event == "GUILD_CREATE" and not intents & GUILD_MEMBERS:
        return _with_the_bot_alone(data, bot_id)
    if event in ("MESSAGE_CREATE", "MESSAGE_UPDATE") and not intents & MESSAGE_CONTENT:
        return _without_content(data, bot_id)
    return data


def application_flags(approved: int) -> int:
    """The flags by which an application knows that privileged intents were approved, in their form for small bots."""
    return sum(flag for intent, flag in _APPLICATION_FLAGS.items() if approved & intent)


def _with_the_bot_alone(data: Json, bot_id: int) -> Json:
    members = [member for member in objects(data.get("members")) if member.get("user", {}).get("id") == str(bot_id)]
    return data | ({"members": members} if "members" in data else {})


def _without_content(data: Json, bot_id: int) -> Json:
    """A direct message keeps it, and so does the bot's own and one that mentions the bot."""
    people = [data.get("author", {}), *data.get("mentions", ())]
    if "guild_id" not in data or any(str(person.get("id")) == str(bot_id) for person in people):
        return data
    hidden = {"content": "", "embeds": [], "attachments": [], "components": []}
    return data | {key: empty for key, empty in hidden.items() if key in data}
