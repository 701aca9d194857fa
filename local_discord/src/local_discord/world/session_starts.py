"""How many sessions the bot may still begin today, as `/gateway/bot` tells it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from local_discord.wire import Json

_DAY_S = 86_400.0


@dataclass
class SessionStarts:
    """Each IDENTIFY takes one; all of them are back a day after the first look, or when `exhaust` says."""

    total: int = 1000
    remaining: int = 1000
    max_concurrency: int = 16
    _resets_at: float = field(default_factory=lambda: time.monotonic() + _DAY_S)

    def exhaust(self, reset_after_s: float) -> None:
        """None is left for so many seconds."""
        self.remaining, self._resets_at = 0, time.monotonic() + reset_after_s

    def advance(self, seconds: float) -> None:
        """The clock was moved on."""
        self._resets_at -= seconds

    def take(self) -> bool:
        """False if there was none: then Discord resets the bot's token."""
        self._reset_if_due()
        self.remaining -= 1
        return self.remaining >= 0

    def payload(self) -> Json:
        """As the API tells it."""
        self._reset_if_due()
        return {
            "total": self.total,
            "remaining": max(self.remaining, 0),
            "reset_after": int((self._resets_at - time.monotonic()) * 1000),
            "max_concurrency": self.max_concurrency,
        }

    def _reset_if_due(self) -> None:
        if time.monotonic() >= self._resets_at:
            self.remaining, self._resets_at = self.total, time.monotonic() + _DAY_S
