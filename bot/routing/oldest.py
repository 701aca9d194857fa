"""How long the oldest event that NATS has not acknowledged has waited, and what NATS says of it."""

from __future__ import annotations

import time

from bot.errors import Lack
from bot.routing.acks import AckError


class OldestEvent:
    """Looked at every so often, for a time of each event would cost more. Only time with a connection counts."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._since = 0.0
        self.reason = ""
        """Why it is not stored, as NATS has said; empty if it says nothing, as when it could not write."""
        self.lack: Lack | None = None

    def look(self, number: int | None) -> None:
        """It is the oldest now; None: all are acknowledged."""
        if number != self._number:
            is_first = self._number is None
            self._number, self._since = number, time.monotonic()
            if not is_first:  # what was said before this look may be of the first one
                self.reason, self.lack = "", None

    def begin_anew(self) -> None:
        """The connection is a new one."""
        self._since = time.monotonic()
        self.reason, self.lack = "", None

    def fail(self, error: AckError) -> None:
        """NATS answers, and does not store it."""
        self.reason, self.lack = error.description, error.lack

    @property
    def waits_s(self) -> float:
        """For how long; 0 if there is none."""
        return 0.0 if self._number is None else time.monotonic() - self._since
