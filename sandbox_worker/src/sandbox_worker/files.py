"""Files that must last, also beyond a loss of power."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def replace_file(path: Path, content: str | bytes, *, mode: int = 0o600) -> Path:
    """Whole or not at all, on the disk when this returns, and readable by this user alone unless `mode` says else."""
    target = path.resolve()  # of a link, what it leads to
    draft = target.with_name(f"{target.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)
    return path


def sync_folder(path: Path) -> None:
    """What was made or moved in it is found there after a loss of power."""
    if sys.platform != "win32":  # where no folder can be opened
        sync_file(path)


def sync_file(path: Path) -> None:
    """Bring to the disk what anybody has written of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
