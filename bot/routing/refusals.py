"""Tells in the log what NATS has refused, many at a time."""

from __future__ import annotations

import time
from collections import Counter

from loguru import logger

from bot import constants


class RefusalLog:
    """Counts refused events by reason. The first is logged at once, what follows together, at most once a minute."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._logged_at = float("-inf")

    def add(self, reason: str) -> None:
        """One event was refused."""
        self._reasons[reason] += 1
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Log what has been counted, if the last line is old enough."""
        if self._reasons and time.monotonic() - self._logged_at > constants.REFUSALS_LOGGED_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Log what has been counted now; nothing if nothing was refused."""
        if self._reasons:
            logger.warning("events were refused by NATS", reasons=dict(self._reasons))
            self._reasons.clear()
            self._logged_at = time.monotonic()
