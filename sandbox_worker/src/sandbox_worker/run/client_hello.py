"""Which server a TLS client wants, as its first message says. Pure."""

from __future__ import annotations

import struct

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0


def is_whole(start: bytes) -> bool:
    """Whether there is nothing to wait for: the first record is there, or it is no TLS."""
    return bool(start) and (start[0] != _HANDSHAKE or (len(start) >= 5 and len(start) >= 5 + _number(start, 3)))


def server_name(start: bytes) -> str | None:
    """None if it names none, or is no TLS."""
    try:
        if start[0] != _HANDSHAKE or start[5] != _CLIENT_HELLO:
            return None
        return _name_in_extensions(start, _extensions(start))
    except (IndexError, struct.error):  # it ends before it should
        return None


def _extensions(start: bytes) -> int:
    """Where they begin: behind version, random, session, cipher suites and compression."""
    place = 5 + 4 + 2 + 32
    place += 1 + start[place]
    place += 2 + _number(start, place)
    return place + 1 + start[place] + 2


def _name_in_extensions(start: bytes, place: int) -> str | None:
    while place < len(start):
        kind, length = _number(start, place), _number(start, place + 2)
        if kind == _SERVER_NAME:
            size = _number(start, place + 7)
            return start[place + 9 : place + 9 + size].decode("ascii", "replace")
        place += 4 + length
    return None


def _number(start: bytes, place: int) -> int:
    return int(struct.unpack_from(">H", start, place)[0])
