"""Which process a number means, for numbers are used again."""

from __future__ import annotations

import os
from pathlib import Path


def identify(pid: int) -> str:
    """The number and, on Linux, when that process started: `4711 123456`."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = ""
    return f"{pid} {started}".strip()


def is_alive(identity: str) -> bool:
    """Whether the very process that `identify` saw is still there; false for what is no identity."""
    pid = identity.partition(" ")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return identify(int(pid)) == identity
