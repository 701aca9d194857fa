"""Values as they were some time ago."""

from __future__ import annotations

from collections import deque
from math import inf
from time import monotonic


class Settled[T]:
    """Holds a value back until what it tells of is on a disk: a record that lasts sooner would tell of what a loss of
    power has taken."""

    def __init__(self, initial: T, after_s: float) -> None:
        """`after_s`: so long a value is held back; until the first one has been, `initial` stands for it."""
        self._after_s, self._settled = after_s, initial
        self._coming: deque[tuple[float, T]] = deque()

    def note(self, value: T, *, known_until: float = inf) -> T:
        """It is this now; what it was `after_s` ago, or before `known_until` if the disk is known to be at work so long
        only."""
        now = monotonic()
        self._coming.append((now + self._after_s, value))
        while self._coming and self._coming[0][0] <= min(now, known_until):
            self._settled = self._coming.popleft()[1]
        return self._settled
