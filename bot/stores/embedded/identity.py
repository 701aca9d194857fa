"""Which process a number means, for numbers are used again, and what it does."""

from __future__ import annotations

import os
from pathlib import Path


def identify(pid: int) -> str:
    """The number and, on Linux, when that process started: `4711 123456`."""
    try:
        started = _read_stat(pid)[19]
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


def is_stopped(identity: str) -> bool:
    """Whether a signal has it stand still, or it has ended; where nothing tells of that, it is taken for stopped."""
    try:
        return not is_alive(identity) or _read_stat(int(identity.partition(" ")[0]))[0] in "TtZ"
    except (OSError, IndexError):
        return True


def cpu_seconds(pid: int) -> float | None:
    """How long a process has computed; None where nothing tells of that."""
    try:
        facts = _read_stat(pid)
        return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return None


def _read_stat(pid: int) -> list[str]:
    """What Linux says of a process, from its state on: what is in brackets before may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
