"""The indexes of NATS's streams, of which a loss of power may leave one that hides what the stream holds.

The server trusts a stream's index if its checksum is the one at the end of the newest file of messages. The checksum of
a stream that was empty is NULs, and so does a file end that the disk had been given no content for: the server would
take the stream for empty, and write over the numbers of what it holds. Without an index it reads the messages.
"""

from __future__ import annotations

import os
from pathlib import Path

from loguru import logger

_CHECKSUM_BYTES = 8
_NULS = bytes(_CHECKSUM_BYTES)


def drop_doubtful_indexes(store: Path) -> None:
    """Of streams whose newest file ends in NULs. No server may run on the folder."""
    for index in (store / "jetstream").glob("*/streams/*/msgs/index.db"):
        if _end_of_newest(index.parent) == _NULS:
            index.unlink()
            logger.warning("a stream ends as after a loss of power, NATS reads it anew", stream=index.parts[-3])


def _end_of_newest(messages: Path) -> bytes:
    newest = max(messages.glob("*.blk"), key=lambda file: int(file.stem), default=None)
    if newest is None:
        return b""
    with newest.open("rb") as file:
        file.seek(-min(_CHECKSUM_BYTES, newest.stat().st_size), os.SEEK_END)
        return file.read()
