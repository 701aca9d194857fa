"""A session's sequence numbers, worked out from the stream's: no state but what is written down once. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

READY_SEQUENCE = 1

_REST, _MOST_DIGITS = b',"op":0,"d":', 20
_encode = msgspec.json.Encoder().encode


class Numbering(msgspec.Struct, frozen=True):
    """`s = offset + (stream sequence - base)`. Numbers that no event gets are as good as any others for a client.

    READY is 1, the guilds of the beginning are 2 to `offset`. What the stream held up to `mark` when the state of the
    guilds was read is older than that state.
    """

    base: int
    offset: int
    mark: int

    def number(self, stream_sequence: int) -> int:
        """What a client is told."""
        return self.offset + stream_sequence - self.base

    def stream_sequence(self, number: int) -> int | None:
        """The last event that a client with this number has seen; None if it has not got all of its beginning."""
        return self.base + number - self.offset if number >= self.offset else None


def numbered(name: bytes, payload: bytes, number: int) -> bytes | None:
    """An event as Discord sent it, with another number; None if it isn't written as Discord writes."""
    head = b'{"t":"%b","s":' % name
    rest = payload.find(_REST, len(head), len(head) + _MOST_DIGITS + len(_REST))
    return b"%b%d%b" % (head, number, payload[rest:]) if rest >= 0 and payload.startswith(head) else None


def dispatch(name: str, number: int | None, data: Any) -> bytes:
    """An event of our own making."""
    return _encode({"t": name, "s": number, "op": 0, "d": data})


def operation(op: int, data: Any = None) -> bytes:
    """A message that is no event."""
    return _encode({"t": None, "s": None, "op": op, "d": data})
