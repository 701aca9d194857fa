"""A gateway message, read once into the one value that the router and the tap look at. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

from sandbox_worker.gateway_events import LOCATIONS, Location
from sandbox_worker.text import replace_lone_surrogates

DISPATCH = 0
"""The op of a message that carries an event; every other one concerns the connection itself."""

OF_MESSAGES = frozenset({"MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE"})
"""The events of one message: that it was written, changed or deleted."""

_DISCORD_EPOCH_MS = 1_420_070_400_000
_EPHEMERAL = 64
_ELSEWHERE = {name: location for name, location in LOCATIONS.items() if location is not Location.GUILD_ID}

_Id = str | int | None


class InteractionKind(IntEnum):
    """What somebody did; others than these are of no person."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    FORM = 5


_EXPECTS_MESSAGE = (InteractionKind.COMMAND, InteractionKind.COMPONENT, InteractionKind.FORM)


class _Identified(msgspec.Struct):
    id: _Id = None


class _Meta(msgspec.Struct):
    guild_id: _Id = None


class InteractionData(msgspec.Struct, frozen=True):
    """Which command was used, or which component or form. None, and a type of 1, are what is not there."""

    name: str | None = None
    type: int = 1
    """The command's: 1 is a slash command."""
    guild_id: _Id = None
    """The server that the command belongs to; None of one of the whole application."""
    custom_id: str | None = None
    id: _Id = None

    @property
    def command_id(self) -> int:
        """0 if it has none."""
        return _number(self.id) or 0


_NO_DATA = InteractionData()


class _Membership(msgspec.Struct):
    user: _Identified | None = None


class _OfMember(msgspec.Struct):
    d: _Membership | None = None


class _Asked(_Membership):
    member: _Membership | None = None
    """In a server; elsewhere the user stands by itself."""


class _OfInteraction(msgspec.Struct):
    d: _Asked | None = None


_decode_of_member = msgspec.json.Decoder(_OfMember).decode
_decode_of_interaction = msgspec.json.Decoder(_OfInteraction).decode
_decode_interaction_data = msgspec.json.Decoder(InteractionData | None).decode
_decode_identified = msgspec.json.Decoder(_Identified | None).decode
_decode_meta = msgspec.json.Decoder(_Meta | None).decode

_ABSENT = msgspec.Raw(b"null")


class _Body(msgspec.Struct, gc=False):
    """What routing may look at of `d`; what only few events have is left as it came until somebody asks."""

    id: _Id = None
    guild_id: _Id = None
    channel_id: _Id = None
    type: Any = None
    flags: Any = None
    meta: msgspec.Raw = _ABSENT
    data: msgspec.Raw = _ABSENT
    message: msgspec.Raw = _ABSENT
    interaction_metadata: msgspec.Raw = _ABSENT


_NO_BODY = _Body()


class Dispatch(msgspec.Struct, gc=False, rename={"name": "t", "sequence": "s", "_data": "d"}):
    """One gateway message. The decoder fills it in one pass and skips, not builds, all that nobody routes by.

    Ids are integers; None is an id that is not there, or is none. Properties are worked out when asked for and not
    kept: hardly any is asked for twice, and an object that holds no container costs the garbage collector nothing.
    """

    op: int = -1
    name: str | None = None
    """The event's name; None in what is no dispatch."""
    sequence: int | None = None
    """Its number in the session, from which a RESUME goes on."""
    _data: _Body | list[Any] | bool | int | float | str | None = None
    """Any JSON, for a message of another op, or an odd one, may carry what is no object."""

    @property
    def guild_id(self) -> int | None:
        """The guild that the event belongs to; None if it belongs to none, or says none."""
        data = self._data  # not `_body`, here and below, where every event comes by: a call costs as much as the rest
        body = data if type(data) is _Body else _NO_BODY
        location = _ELSEWHERE.get(self.name or "")
        if location is None:
            return _number(body.guild_id)
        if location is Location.ID:
            return _number(body.id)
        return _number(_guild_in(body.meta)) if location is Location.META else None

    @property
    def channel_id(self) -> int | None:
        """Where the event happened, as far as that is a channel."""
        data = self._data
        return _number(data.channel_id) if type(data) is _Body else None

    @property
    def id(self) -> int | None:
        """The id of what the event is about, as far as it has one of its own."""
        return _number(self._body.id)

    @property
    def created_at(self) -> float:
        """When what the event is about was made, as its id says: Unix time by Discord's clock."""
        return made_at(self.id or 0)

    @property
    def expects_message(self) -> bool:
        """Whether an interaction is a command, a component or a form: a suggestion takes no message for an answer."""
        return self._body.type in _EXPECTS_MESSAGE

    @property
    def is_private(self) -> bool:
        """Of a message in a server: whether only one person may see it. Discord does not name the server of such a
        one, and tells no bot of another application's."""
        data = self._data
        if type(data) is not _Body or data.guild_id is None:
            return True
        flags = data.flags
        return bool(flags) and type(flags) is int and flags & _EPHEMERAL != 0

    @property
    def is_plain(self) -> bool:
        """Of a message: whether it is in a server, for everybody, and answers nothing, as nearly all are."""
        data = self._data
        if type(data) is not _Body or data.guild_id is None or data.interaction_metadata is not _ABSENT:
            return False
        return not data.flags or not self.is_private

    @property
    def interaction_kind(self) -> int | None:
        """An `InteractionKind`, or whatever else an interaction says that it is."""
        kind = self._body.type
        return kind if type(kind) is int else None

    @property
    def interaction_data(self) -> InteractionData:
        """What an interaction is with; empty if that cannot be read."""
        try:
            return _decode_interaction_data(self._body.data) or _NO_DATA
        except msgspec.MsgspecError:
            return _NO_DATA

    @property
    def message_id(self) -> int | None:
        """The message that holds the component of an interaction, or from which its form was opened."""
        return _identified(self._body.message)

    @property
    def answered_interaction(self) -> int | None:
        """The id of the interaction that a message answers."""
        return _identified(self._body.interaction_metadata)

    @property
    def _body(self) -> _Body:
        return self._data if type(self._data) is _Body else _NO_BODY


_decode = msgspec.json.Decoder(Dispatch).decode


def made_at(snowflake: int) -> float:
    """When what the id names was made: Unix time by Discord's clock."""
    return ((snowflake >> 22) + _DISCORD_EPOCH_MS) / 1000


def read(text: str) -> Dispatch | None:
    """None for what is no gateway message."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return None


def read_as_sent(text: str) -> tuple[Dispatch | None, str]:
    """As `read`, and the text for other decoders: the same but where people have sent half an emoji, which none takes.
    What is forwarded is the text as it came."""
    try:
        return _decode(text), text
    except (msgspec.MsgspecError, RecursionError):
        readable = replace_lone_surrogates(text)
        return read(readable), readable


def user_in(text: str) -> int | None:
    """Whom an event about a member is about; None if it says nobody."""
    try:
        body = _decode_of_member(text).d
    except (msgspec.MsgspecError, RecursionError):
        return None
    return _number(body.user.id) if body and body.user else None


def asker_in(text: str) -> int | None:
    """Who has made an interaction; None if it says nobody."""
    try:
        asked = _decode_of_interaction(text).d or _Asked()
    except (msgspec.MsgspecError, RecursionError):
        return None
    user = (asked.member or asked).user
    return _number(user.id) if user else None


def _guild_in(meta: msgspec.Raw) -> _Id:
    try:
        decoded = _decode_meta(meta)
    except msgspec.MsgspecError:
        return None
    return decoded.guild_id if decoded else None


def _identified(raw: msgspec.Raw) -> int | None:
    """The id of an object that is in the event."""
    if raw is _ABSENT:
        return None
    try:
        identified = _decode_identified(raw)
    except msgspec.MsgspecError:
        return None
    return _number(identified.id) if identified else None


def _number(value: _Id) -> int | None:
    if value is None or type(value) is int:
        return value
    try:
        return int(value)
    except ValueError:
        return None
