"""One bot a data folder, told apart by name when a second one comes."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from bot.stores.embedded_servers import EmbeddedError

_LOCK_WITHIN_S = 10.0
_POLL_S = 0.02


class FolderInUse(EmbeddedError):
    """A bot that lives has it."""


async def lock_folder(folder: Path) -> int:
    """Held until the last server is gone, for they inherit it. Waits for the servers of a bot that is no more."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + _LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode()
            process = holder.partition(" ")[0] or "unknown"
            if _lives(holder) or asyncio.get_running_loop().time() > deadline:
                os.close(descriptor)
                raise FolderInUse(
                    f"Another bot uses the data folder {folder} (process {process}). "
                    "Stop it, or set another folder in [embedded]."
                ) from None
            await asyncio.sleep(_POLL_S)
        else:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, _identity(os.getpid()).encode(), 0)
            return descriptor


def _identity(pid: int) -> str:
    """The process and when it started, for process numbers are used again."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = ""
    return f"{pid} {started}".strip()


def _lives(identity: str) -> bool:
    pid = identity.partition(" ")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _identity(int(pid)) == identity
