"""Discord's time, told by the ids of what it has just made. It is its time that a deadline of its own is counted by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bot import constants


class DiscordClock:
    """By the smallest offset between its clock and ours of late, that of what came the fastest: it is never ahead."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._before = self._smallest = math.inf
        """Of the window before and of this one, so that there always is a whole one to judge by."""

    def observe(self, stamped_at: float) -> None:
        """Something that Discord has stamped with that time (Unix) has come just now, be it late."""
        now = self._clock()
        if now - self._began_at > constants.DISCORD_CLOCK_WINDOW_S:
            self._began_at, self._before, self._smallest = now, self._smallest, math.inf
        self._smallest = min(self._smallest, now - stamped_at)

    def now(self) -> float | None:
        """What time (Unix) it is at Discord; None if nothing has come yet."""
        offset = min(self._before, self._smallest)
        return self._clock() - offset if math.isfinite(offset) else None
