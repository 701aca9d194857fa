"""Where each gateway event keeps its guild's id, and the one decoding of an event that routing needs. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

DISPATCH = 0


class Location(Enum):
    """Where an event's guild id is."""

    ID = "d.id"
    GUILD_ID = "d.guild_id"
    META = "d.meta.guild_id"
    NOWHERE = "none"


_BY_ID = "GUILD_CREATE GUILD_UPDATE GUILD_DELETE"
_NOWHERE = "READY RESUMED USER_UPDATE SUBSCRIPTION_CREATE SUBSCRIPTION_UPDATE SUBSCRIPTION_DELETE"
_BY_GUILD_ID = """
APPLICATION_COMMAND_PERMISSIONS_UPDATE AUTO_MODERATION_ACTION_EXECUTION AUTO_MODERATION_RULE_CREATE
AUTO_MODERATION_RULE_DELETE AUTO_MODERATION_RULE_UPDATE CHANNEL_CREATE CHANNEL_DELETE CHANNEL_INFO CHANNEL_PINS_UPDATE
CHANNEL_UPDATE ENTITLEMENT_CREATE ENTITLEMENT_DELETE ENTITLEMENT_UPDATE GUILD_AUDIT_LOG_ENTRY_CREATE GUILD_BAN_ADD
GUILD_BAN_REMOVE GUILD_EMOJIS_UPDATE GUILD_INTEGRATIONS_UPDATE GUILD_MEMBERS_CHUNK GUILD_MEMBER_ADD GUILD_MEMBER_REMOVE
GUILD_MEMBER_UPDATE GUILD_ROLE_CREATE GUILD_ROLE_DELETE GUILD_ROLE_UPDATE GUILD_SCHEDULED_EVENT_CREATE
GUILD_SCHEDULED_EVENT_DELETE GUILD_SCHEDULED_EVENT_UPDATE GUILD_SCHEDULED_EVENT_USER_ADD
GUILD_SCHEDULED_EVENT_USER_REMOVE GUILD_SOUNDBOARD_SOUNDS_UPDATE GUILD_SOUNDBOARD_SOUND_CREATE
GUILD_SOUNDBOARD_SOUND_DELETE GUILD_SOUNDBOARD_SOUND_UPDATE GUILD_STICKERS_UPDATE INTEGRATION_CREATE INTEGRATION_DELETE
INTEGRATION_UPDATE INTERACTION_CREATE INVITE_CREATE INVITE_DELETE MESSAGE_CREATE MESSAGE_DELETE MESSAGE_DELETE_BULK
MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL
MESSAGE_REACTION_REMOVE_EMOJI MESSAGE_UPDATE PRESENCE_UPDATE SOUNDBOARD_SOUNDS STAGE_INSTANCE_CREATE
STAGE_INSTANCE_DELETE STAGE_INSTANCE_UPDATE THREAD_CREATE THREAD_DELETE THREAD_LIST_SYNC THREAD_MEMBERS_UPDATE
THREAD_MEMBER_UPDATE THREAD_UPDATE TYPING_START VOICE_CHANNEL_EFFECT_SEND VOICE_CHANNEL_START_TIME_UPDATE
VOICE_CHANNEL_STATUS_UPDATE VOICE_SERVER_UPDATE VOICE_STATE_UPDATE WEBHOOKS_UPDATE
"""

LOCATIONS: dict[str, Location] = {
    **dict.fromkeys(_BY_ID.split(), Location.ID),
    **dict.fromkeys(_BY_GUILD_ID.split(), Location.GUILD_ID),
    **dict.fromkeys(_NOWHERE.split(), Location.NOWHERE),
    "RATE_LIMITED": Location.META,
}
"""Every dispatch event of API v10. One that is not here is looked at in `d.guild_id`, never in `d.id`, which in most
events is another object's."""

_Id = str | int | None


class _Identified(msgspec.Struct):
    id: _Id = None


class _Meta(msgspec.Struct):
    guild_id: _Id = None


class _InteractionData(msgspec.Struct):
    name: str | None = None
    custom_id: str | None = None


_ABSENT = msgspec.Raw(b"null")


class _Body(msgspec.Struct, gc=False):
    id: _Id = None
    guild_id: _Id = None
    channel_id: _Id = None
    type: Any = None
    meta: msgspec.Raw = _ABSENT
    data: msgspec.Raw = _ABSENT
    interaction_metadata: msgspec.Raw = _ABSENT


class Envelope(msgspec.Struct, gc=False):
    """What routing reads of a gateway message; the rest is skipped, not built."""

    op: int = -1
    t: str | None = None
    s: int | None = None
    d: _Body | list[Any] | bool | int | float | str | None = None


_decoder = msgspec.json.Decoder(Envelope)
_decode_interaction = msgspec.json.Decoder(_InteractionData | None).decode
_decode_identified = msgspec.json.Decoder(_Identified | None).decode
_decode_meta = msgspec.json.Decoder(_Meta | None).decode


def decode(text: str) -> Envelope | None:
    """None for what is no gateway message."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None


def guild_id_of(envelope: Envelope) -> int | None:
    """The guild that the event belongs to; None if it belongs to none, or says none."""
    body = envelope.d
    if type(body) is not _Body:
        return None
    match LOCATIONS.get(envelope.t or "", Location.GUILD_ID):
        case Location.GUILD_ID:
            return _number(body.guild_id)
        case Location.ID:
            return _number(body.id)
        case Location.META:
            return _number(_meta_guild(body.meta))
        case Location.NOWHERE:
            return None


def channel_id_of(envelope: Envelope) -> int | None:
    body = envelope.d
    return _number(body.channel_id) if type(body) is _Body else None


def object_id_of(envelope: Envelope) -> int | None:
    """The id of what the event is about, as far as it has one of its own."""
    body = envelope.d
    return _number(body.id) if type(body) is _Body else None


def answered_interaction(envelope: Envelope) -> int | None:
    """The id of the interaction that a message answers."""
    body = envelope.d
    if type(body) is not _Body or body.interaction_metadata is _ABSENT:
        return None
    try:
        interaction = _decode_identified(body.interaction_metadata)
    except msgspec.MsgspecError:
        return None
    return _number(interaction.id) if interaction else None


def interaction_target(envelope: Envelope) -> str:
    """The command's name or the component's or modal's custom id; empty if it has neither."""
    body = envelope.d
    if type(body) is not _Body:
        return ""
    try:
        data = _decode_interaction(body.data)
    except msgspec.MsgspecError:
        return ""
    return (data.custom_id or data.name or "") if data else ""


def _meta_guild(meta: msgspec.Raw) -> _Id:
    try:
        decoded = _decode_meta(meta)
    except msgspec.MsgspecError:
        return None
    return decoded.guild_id if decoded else None


def _number(value: _Id) -> int | None:
    if value is None or type(value) is int:
        return value
    try:
        return int(value)
    except ValueError:
        return None
