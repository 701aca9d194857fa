"""Where tests keep their files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
"""Bytes. A whole run has held less than half of it at a time; a container's usual 64 MB are too few for one server."""


def keep_files_in_memory() -> None:
    """Make temporary files in memory, here and in every process that is started, unless TMPDIR names a folder.

    Each test has a database of its own, and copying one costs several times as much on a disk.
    """
    if "TMPDIR" in os.environ or not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return
    if os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC or shutil.disk_usage(_MEMORY).free < _ROOM:
        return
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
