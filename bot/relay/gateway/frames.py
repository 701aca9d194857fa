"""WebSocket frames of a server, made by hand: many in one write, which is what sending costs. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable

import zstandard

Encode = Callable[[Iterable[bytes]], bytes]
"""Messages to the bytes of their frames, one after the other."""

_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88
_SHORT, _MEDIUM = 126, 1 << 16
_pack_medium, _pack_long = struct.Struct("!BBH").pack, struct.Struct("!BBQ").pack
_LEVEL = 1
"""Of both compressions: the higher ones cost several times as much CPU for a tenth less."""


def encoder(method: str | None) -> Encode | None:
    """By a gateway address's `compress`; None for a method that is unknown. One for each connection."""
    if method is None:
        return _plain
    if method == "zlib-stream":
        return _zlib_stream()
    if method == "zstd-stream":
        return _zstd_stream()
    return None


def close_frame(code: int, reason: str) -> bytes:
    """The last frame of a connection; a reason of more than 120 bytes is cut."""
    data = struct.pack("!H", code) + reason.encode()[:120]
    return _head(_CLOSE, len(data)) + data


def _plain(messages: Iterable[bytes]) -> bytes:
    return b"".join([part for message in messages for part in (_head(_TEXT, len(message)), message)])


def _zlib_stream() -> Encode:
    stream = zlib.compressobj(_LEVEL)
    return _compressed(lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))


def _zstd_stream() -> Encode:
    stream = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
    return _compressed(lambda data: stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))


def _compressed(compress: Callable[[bytes], bytes]) -> Encode:
    def encode(messages: Iterable[bytes]) -> bytes:
        parts: list[bytes] = []
        for message in messages:
            data = compress(message)
            parts += (_head(_BINARY, len(data)), data)
        return b"".join(parts)

    return encode


def _head(kind: int, size: int) -> bytes:
    if size < _SHORT:
        return bytes((kind, size))
    if size < _MEDIUM:
        return _pack_medium(kind, 126, size)
    return _pack_long(kind, 127, size)
