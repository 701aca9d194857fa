"""The time of a local Discord: this machine's, or later, for a test need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Runs as this machine's does, ahead of it by what it was moved."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def time(self) -> float:
        """In seconds since 1970."""
        return time.time() + self._ahead_s

    def monotonic(self) -> float:
        """For how long something takes, in seconds since nobody knows when."""
        return time.monotonic() + self._ahead_s

    def now(self) -> datetime:
        """In UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def iso(self) -> str:
        """As Discord writes times."""
        return self.now().isoformat()

    def advance(self, seconds: float) -> None:
        """`ValueError` for a time that lies behind."""
        if seconds < 0:
            raise ValueError("A clock is not turned back.")
        self._ahead_s += seconds
