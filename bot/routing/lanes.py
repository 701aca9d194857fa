"""The events of one stream, and how it is brought to take events again after it has taken none."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from bot import constants
from bot.clock import elapsed
from bot.errors import Lack


@dataclass(slots=True)
class Gap:
    """Events that were lost, for their stream took none for too long. `number`: of the marker that stands for them."""

    number: int
    since: float
    """When the last one before them had come; this and `until`, when the last of them came, by `clock.elapsed`."""
    until: float
    events: int = 0

    def add(self) -> None:
        """One more is lost, just now."""
        self.until = elapsed()
        self.events += 1


@dataclass(slots=True)
class Recovery:
    """How a stream that takes nothing is tried: with its oldest event, again and again, and when that is stored, with
    twice as many each time. So nothing can be stored before what it follows, and nobody is flooded."""

    sent_before: int
    """Up to this number everything has been sent once."""
    due_at: float
    """When the oldest event is sent again; all times are of `clock.elapsed`."""
    pause_s: float = field(default_factory=lambda: constants.RECOVERY_FIRST_PAUSE_S)
    burst: int = 1
    sent_up_to: int = 0
    """The last number of the burst."""
    is_leaderless: bool = False
    """Nobody listens where its events go."""
    lack: Lack | None = None
    """What JetStream has no more of for it, as it has said last."""
    is_apart: bool = False
    """Its events wait beside the window: other streams take theirs."""
    apart_bytes: int = 0
    began_at: float = field(default_factory=elapsed)
    kept_at: float = field(default_factory=elapsed)
    """When its last event came that is kept."""

    @property
    def has_failed(self) -> bool:
        """Whether its oldest event was tried, and the time for an answer is over."""
        return self.burst == 1 and self.pause_s > 2 * constants.RECOVERY_FIRST_PAUSE_S

    def fall_back(self, now: float) -> None:
        """It has failed again, and is tried with one event."""
        self.due_at = now + self.pause_s
        self.burst = 1


class Lane:
    """What was published to one stream and is not acknowledged yet."""

    __slots__ = ("_oldest", "_since", "gap", "pending", "prefix", "recovery", "unsent")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        """Of its subjects, without the last dot."""
        self.pending: dict[int, bytes] = {}
        """Unacknowledged frames by number, in order, as they go over the wire, so that a repeat costs nothing."""
        self.unsent: list[bytes] = []
        """Those of them that the writer has yet to hand over."""
        self.recovery: Recovery | None = None
        """None: it takes events, and they are sent as they come."""
        self.gap: Gap | None = None
        """What is being lost; its marker is among `pending`."""
        self._oldest, self._since = 0, 0.0

    @property
    def oldest(self) -> int | None:
        """The number of the oldest event; None if there is none."""
        return next(iter(self.pending), None)

    @property
    def is_all_sent(self) -> bool:
        """Whether the last burst has left nothing."""
        return len(self.unsent) == len(self.pending)

    @property
    def is_apart(self) -> bool:
        """Whether its events wait beside the window."""
        return self.recovery is not None and self.recovery.is_apart

    def is_silent(self, now: float, after_s: float) -> bool:
        """Whether its oldest event has been the same for so long, as far as looks like this one tell."""
        if self.oldest != self._oldest:
            self._oldest, self._since = self.oldest or 0, now
        return bool(self.pending) and now - self._since >= after_s

    def hold_back(self, now: float, last_number: int) -> bool:
        """It takes nothing: from now on only its oldest event is sent. True if more were."""
        if self.recovery is None:
            self.recovery = Recovery(last_number, now + constants.RECOVERY_FIRST_PAUSE_S)
        elif self.recovery.burst > 1:
            self.recovery.fall_back(now)
        else:
            return False
        self.unsent.clear()
        return True

    def try_again(self, now: float) -> int:
        """Send the oldest event; how many that have been sent before are sent again."""
        recovery = self._recovery()
        recovery.pause_s = min(2 * recovery.pause_s, constants.RECOVERY_LONGEST_PAUSE_S)
        recovery.fall_back(now)
        return self._send(recovery)

    def go_on(self, now: float, patience_s: float) -> int:
        """Send more if what was sent last is stored; how many of it again. `patience_s`: after how long without an
        acknowledgement it has failed."""
        recovery = self._recovery()
        oldest = self.oldest
        if oldest is not None and oldest <= recovery.sent_up_to:
            return 0
        recovery.burst = min(2 * recovery.burst, constants.RECOVERY_MOST_AT_ONCE)
        recovery.pause_s, recovery.due_at = constants.RECOVERY_FIRST_PAUSE_S, now + patience_s
        return self._send(recovery)

    def recover(self) -> None:
        """It takes events again."""
        self.recovery, self._oldest = None, 0

    def sends_next(self, number: int) -> bool:
        """Whether it is in the next burst."""
        return number in islice(self.pending, 2 * self._recovery().burst)

    def _send(self, recovery: Recovery) -> int:
        numbers = list(islice(self.pending, recovery.burst))
        self.unsent = [self.pending[number] for number in numbers]
        recovery.sent_up_to = numbers[-1] if numbers else 0
        return sum(number <= recovery.sent_before for number in numbers)

    def _recovery(self) -> Recovery:
        assert self.recovery is not None
        return self.recovery
