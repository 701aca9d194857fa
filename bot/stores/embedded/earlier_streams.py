"""Sandboxes' streams that an earlier version has left in another account of NATS, where nobody reaches them.

In the server's store an account is a folder, and nothing in a stream's own folder names it. So before the server starts
a stream is moved as it is: with its events, their ids, numbers and times, and what workers have acknowledged of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from loguru import logger

from bot.stores.stream_marks import MARK

_ACCOUNT = "APP"
"""The bot's own, as the server is configured now."""


def move_earlier_streams(store: Path) -> None:
    """Into the bot's account, one by one: safe to repeat, and to break off. No server may run on the folder.

    One that the account has meanwhile got anew goes on there, and that of before is left until its sandbox is no more:
    then it is moved as well, and dropped as an orphan.
    """
    home = store / "jetstream" / _ACCOUNT / "streams"
    for stream in _earlier_streams(store):
        if _has_events(home / stream.name):
            logger.warning("events of an earlier version are out of reach, their stream was made anew", at=str(stream))
        else:
            _move(stream, home)


def _move(stream: Path, home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(home / stream.name, ignore_errors=True)
    stream.rename(home / stream.name)
    logger.info("a stream of an earlier version was moved", stream=stream.name, account=stream.parts[-3])
    for emptied in (stream.parent, stream.parent.parent):
        with suppress(OSError):
            emptied.rmdir()


def _earlier_streams(store: Path) -> Iterator[Path]:
    """The folders of those that carry our mark."""
    for info in sorted((store / "jetstream").glob("*/streams/*/meta.inf")):
        with suppress(ValueError):  # what is not whole the server cannot read either
            if info.parts[-4] != _ACCOUNT and json.loads(info.read_bytes()).get("description") == MARK:
                yield info.parent


def _has_events(stream: Path) -> bool:
    """Or has had some, as far as its files tell; False too if there is none."""
    return any(block.stat().st_size for block in (stream / "msgs").glob("*.blk"))
