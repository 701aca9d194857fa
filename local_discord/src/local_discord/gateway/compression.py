"""The gateway's transport compression: one stream for a connection, flushed after each message."""

from __future__ import annotations

import zlib
from collections.abc import Callable

Compress = Callable[[bytes], bytes]


def compression(method: str | None) -> Compress | None:
    """What compresses a connection's messages one after the other; None for a method that Discord does not know.

    `ModuleNotFoundError` for zstd where the package zstandard is not installed.
    """
    if method == "zlib-stream":
        return _zlib_stream()
    if method == "zstd-stream":
        return _zstd_stream()
    return None


def _zlib_stream() -> Compress:
    stream = zlib.compressobj()
    return lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)


def _zstd_stream() -> Compress:
    import zstandard  # only clients that have it themselves ask for it, so it is no dependency

    stream = zstandard.ZstdCompressor().compressobj()
    return lambda data: stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
