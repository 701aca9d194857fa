"""The one decoding of a gateway event that routing needs. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox_worker.gateway_events import LOCATIONS, Location

DISPATCH = 0

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
    except (msgspec.MsgspecError, RecursionError):
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


def wants_answer(envelope: Envelope) -> bool:
    """Whether an interaction is a command, a component or a form: a suggestion cannot be answered with a message."""
    body = envelope.d
    return type(body) is _Body and body.type in (2, 3, 5)


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
