"""File systems of their own, so small that they can be filled."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import cache

import pytest


@cache
def _may_mount():
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


needs_mount = pytest.mark.skipif(not _may_mount(), reason="mounting a file system needs root")


@contextmanager
def small_disk(folder, megabytes):
    """Mounted there, without what the folder may hold already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = f"size={megabytes}m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Disk:
    def __init__(self, folder):
        self._ballast = folder / "ballast"

    def fill(self):
        """Until not even a page fits."""
        size = 1 << 20
        with self._ballast.open("ab", buffering=0) as file:
            while size >= 512:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self):
        self._ballast.unlink(missing_ok=True)


@contextmanager
def full(*disks):
    """Full for as long as the context lasts, whatever servers give back meanwhile."""

    async def keep_full():
        while True:
            for disk in disks:
                disk.fill()
            await asyncio.sleep(0.05)

    for disk in disks:
        disk.fill()
    filling = asyncio.get_running_loop().create_task(keep_full())
    try:
        yield
    finally:
        filling.cancel()
        with suppress(OSError):
            for disk in disks:
                disk.free()
