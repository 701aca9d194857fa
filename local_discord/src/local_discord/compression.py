"""The gateway's transport compression: one stream for a connection, flushed after each message."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard


def compression(method: str | None) -> Callable[[bytes], bytes] | None:
    """What compresses a connection's messages one after the other; None for a method that Discord does not know."""
    if method == "zlib-stream":
        deflate = zlib.compressobj()
        return lambda data: deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)
    if method == "zstd-stream":
        stream = zstandard.ZstdCompressor().compressobj()
        return lambda data: stream.compress(data) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return None
