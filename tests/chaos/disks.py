"""Small file systems for the stores, to be filled and freed again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MEGABYTES = {"postgres": 1024, "redis": 48, "nats": 192}
"""By store. PostgreSQL, which may keep a gigabyte of its log, is in the data folder itself, with the bot's files."""
_FILLED_AGAIN_EVERY_S = 0.05


class Disk:
    """A file system in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def fill(self, seconds: float) -> None:
        """For so long nobody finds room on it: not where somebody makes some, either."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                with suppress(OSError):  # somebody has been faster
                    self._take_all()
                await asyncio.sleep(_FILLED_AGAIN_EVERY_S)
        finally:
            self._ballast.unlink(missing_ok=True)

    def _take_all(self) -> None:
        with self._ballast.open("ab") as file:
            room = os.statvfs(self._folder)
            if free := room.f_bavail * room.f_frsize:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)

    @property
    def _ballast(self) -> Path:
        return self._folder / "ballast"


def leave_mounts_to_this_process() -> bool:
    """What it mounts from now on nobody else sees, and it ends with it. False where that is not allowed."""
    try:
        os.unshare(os.CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextmanager
def mounted(data: Path) -> Iterator[Mapping[str, Disk]]:
    """By store, where it has its files in that data folder. After `leave_mounts_to_this_process`."""
    folders = {store: data if store == "postgres" else data / store for store in MEGABYTES}
    with ExitStack() as stack:
        for store, folder in folders.items():
            folder.mkdir()  # as nobody has mounted anything there
            options = f"size={MEGABYTES[store]}m,mode=700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        yield {store: Disk(folder) for store, folder in folders.items()}
