"""A store's small file system in a test, filled for as long as that takes."""

from __future__ import annotations

import asyncio
import math
import subprocess
import tempfile
from contextlib import asynccontextmanager, contextmanager
from functools import cache

import pytest

from tests.chaos.disks import Disk


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


@asynccontextmanager
async def full(*disks):
    """For as long as the context lasts, whatever servers give back meanwhile."""
    filling = [asyncio.create_task(disk.fill(math.inf)) for disk in disks]
    await asyncio.sleep(0)  # each has begun
    try:
        yield
    finally:
        for task in filling:
            task.cancel()
        await asyncio.wait(filling)
