"""One bot for a data folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from bot import constants
from bot.stores.embedded.errors import FolderInUse
from bot.stores.embedded.folder import LOCK
from bot.stores.embedded.identity import identify, is_alive


async def lock_folder(folder: Path) -> int:
    """The descriptor that holds the lock, or `FolderInUse`.

    The servers inherit it, so that it is held until the last of them is gone; those of a bot that is no more are
    waited for.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + constants.FOLDER_LOCK_WITHIN_S
    while not _try_lock(descriptor):
        holder = os.pread(descriptor, 100, 0).decode()
        if is_alive(holder) or asyncio.get_running_loop().time() > deadline:
            os.close(descriptor)
            pid = holder.partition(" ")[0] or "unknown"
            raise FolderInUse(
                f"Another bot uses the data folder {folder} (process {pid}). "
                "Stop it, or set another folder in [embedded]. "
                "For a standby give both bots servers of their own (DATABASE_URL, REDIS_URL, NATS_URL)."
            )
        await asyncio.sleep(constants.EMBEDDED_POLL_S)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, identify(os.getpid()).encode(), 0)
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
