"""A sandbox's events, as a worker sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
from nats.aio.msg import Msg

from sandbox_worker import protocol
from sandbox_worker.discord_api import DEFERRED_MESSAGE, MESSAGE, DiscordApi, message
from sandbox_worker.errors import NotAnInteraction
from sandbox_worker.gateway_events import LOCATIONS, Location
from sandbox_worker.nats_connection import NatsConnection
from sandbox_worker.text import replace_lone_surrogates


class _Envelope(msgspec.Struct):
    d: msgspec.Raw


class _Dispatch(msgspec.Struct):
    d: Any


_check = msgspec.json.Decoder(_Envelope).decode
"""That it is a dispatch, for a fifth of what decoding it costs, which only a worker that looks inside pays."""

_decode = msgspec.json.Decoder(_Dispatch).decode


def _readable(raw: bytes) -> bytes:
    """For what a decoder has refused: the event may hold halves of surrogate pairs."""
    return replace_lone_surrogates(raw.decode(errors="replace")).encode()


@dataclass(frozen=True)
class StoredEvent:
    """A gateway event as Discord sent it, from the sandbox's stream."""

    name: str
    sequence: int
    """Its place in the stream; grows from event to event. A stream that was made again counts from 1."""
    stored_at: datetime
    redelivered: int
    """How often it has been delivered before."""
    raw: bytes = field(repr=False)
    too_large: int | None
    """The size in bytes of an event that did not fit; what is here then has its ids only."""
    stream_created_at: datetime | None = field(default=None, kw_only=True)
    """Which stream `sequence` is of; None while the bot, who knows, is away."""
    traceparent: str | None = field(default=None, kw_only=True)
    """Where it belongs in a trace (W3C Trace Context), for a tracing library; None from a bot that doesn't say."""

    @cached_property
    def data(self) -> Any:
        """The event's own part (`d`), decoded. Half of a surrogate pair, such as of an emoji that was cut, is U+FFFD
        here: no store or terminal would take it."""
        try:
            return _decode(self.raw).d
        except msgspec.MsgspecError:
            return _decode(_readable(self.raw)).d

    @property
    def guild_id(self) -> int | None:
        """None for the few events that do not say, such as an ephemeral message."""
        match LOCATIONS.get(self.name, Location.GUILD_ID):
            case Location.GUILD_ID:
                return self._number("guild_id")
            case Location.ID:
                return self._number("id")
            case _:
                return None

    def _number(self, key: str) -> int | None:
        value = str(self.data.get(key, "")) if isinstance(self.data, dict) else ""
        return int(value) if value.isdigit() else None


@dataclass(frozen=True)
class Event(StoredEvent):
    """Comes again 30 seconds after it was handed out, or last said to be in progress, to any worker of the sandbox,
    unless it is settled by one of `ack`, `retry` and `terminate`. Each of them waits out an outage of NATS."""

    possible_duplicate: bool = field(default=False, kw_only=True)
    """It may have been delivered before, and even have been acknowledged: `redelivered` says so, or NATS has lost the
    consumer that knew it, or the bot, who knows of that, is away."""
    _ack_subject: str = field(repr=False)
    _connection: NatsConnection = field(repr=False)
    _discord: DiscordApi = field(repr=False)

    async def ack(self) -> None:
        """Done with."""
        await self._connection.publish(self._ack_subject)

    async def in_progress(self) -> None:
        """Not done with yet: another 30 seconds."""
        await self._connection.publish(self._ack_subject, b"+WPI")

    async def retry(self, after: timedelta = timedelta()) -> None:
        """Have it delivered again, not earlier than that."""
        nanoseconds = int(after / timedelta(microseconds=1)) * 1000
        await self._connection.publish(self._ack_subject, b'-NAK {"delay": %d}' % nanoseconds)

    async def terminate(self) -> None:
        """Never deliver it again: it cannot be dealt with."""
        await self._connection.publish(self._ack_subject, b"+TERM")

    async def reply(self, content: str = "", *, ephemeral: bool = False, **fields: Any) -> None:
        """The first answer to an interaction, within 3 seconds. `fields` are Discord's own, such as `embeds`."""
        await self.respond(MESSAGE, message(content, ephemeral=ephemeral, **fields))

    async def defer(self, *, ephemeral: bool = False) -> None:
        """The first answer, which makes 15 minutes of the 3 seconds: `edit_reply` says what it is."""
        await self.respond(DEFERRED_MESSAGE, message(ephemeral=ephemeral))

    async def respond(self, kind: int, data: dict[str, Any] | None = None) -> None:
        """A first answer of any kind (Discord's interaction callback type), such as the choices of an autocomplete."""
        await self._discord.respond(self._interaction(), kind, data)

    async def edit_reply(self, content: str = "", **fields: Any) -> None:
        """Changes the first answer, or is what a deferred one is."""
        await self._discord.edit_reply(self._interaction(), message(content, **fields))

    async def follow_up(self, content: str = "", *, ephemeral: bool = False, **fields: Any) -> None:
        """One more message after the first answer."""
        await self._discord.follow_up(self._interaction(), message(content, ephemeral=ephemeral, **fields))

    def _interaction(self) -> dict[str, Any]:
        if self.name != "INTERACTION_CREATE" or self.too_large is not None:
            raise NotAnInteraction(self.name)
        return dict(self.data)


def _check_dispatch(raw: bytes) -> None:
    """`MsgspecError` if it is none."""
    try:
        _check(raw)
    except msgspec.MsgspecError:
        if b"\\u" not in raw:
            raise
        _check(_readable(raw))


class EventParser:
    """Tells a sandbox's events from what else may be in its inbox: another sandbox can make the server send messages
    there that are not of this one's stream."""

    def __init__(self, prefix: str, *, stream: str = "") -> None:
        """Without a `stream`, those of any."""
        self._prefix, self._stream = prefix, stream

    def fields(self, message: Msg) -> dict[str, Any] | None:
        """Of a `StoredEvent`, by name; None if it is none."""
        delivery = self.delivery(message)
        name = message.subject.removeprefix(self._prefix)
        if delivery is None or name == message.subject:
            return None
        try:
            _check_dispatch(message.data)
        except msgspec.MsgspecError:
            return None
        headers = message.headers or {}
        size = headers.get(protocol.TOO_LARGE_HEADER)
        return {
            "name": name,
            "sequence": delivery.stream_sequence,
            "stored_at": datetime.fromtimestamp(delivery.stored_ns / 1e9, UTC),
            "redelivered": delivery.times - 1,
            "raw": message.data,
            "too_large": int(size) if size else None,
            "traceparent": headers.get(protocol.TRACE_HEADER),
        }

    def delivery(self, message: Msg) -> protocol.Delivery | None:
        """None if its reply is no acknowledgement on the sandbox's stream, so that nothing may be sent there: it may
        name any subject."""
        delivery = protocol.read_delivery(message.reply)
        return delivery if delivery is not None and self._stream in ("", delivery.stream) else None
