"""Who is kept out for a while after harming others: twice as long each time, until that is forgotten."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Bar:
    seconds: float
    until: float  # of time.monotonic()


class Bars[KeyT]:
    """For `first_s` seconds the first time, and up to `longest_s`, after which without one it is as at first."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._of: dict[KeyT, _Bar] = {}

    def bar(self, key: KeyT) -> float:
        """From now on; for how many seconds."""
        now = time.monotonic()
        self._of = {known: bar for known, bar in self._of.items() if bar.until > now - self._longest_s}
        last = self._of.get(key)
        seconds = min(last.seconds * 2, self._longest_s) if last else self._first_s
        self._of[key] = _Bar(seconds, now + seconds)
        return seconds

    def holds(self, key: KeyT) -> bool:
        """Whether it is kept out now."""
        bar = self._of.get(key)
        return bar is not None and bar.until > time.monotonic()

    def held(self) -> list[KeyT]:
        """All that are kept out now."""
        return [key for key in self._of if self.holds(key)]
