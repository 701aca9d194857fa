"""What is published and not acknowledged: in the order of its numbers, by stream, and how much of it there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from loguru import logger

from bot import constants
from bot.clock import elapsed
from bot.routing import frames
from bot.routing.lanes import Gap, Lane


class Unstored(NamedTuple):
    """Since when (`clock.elapsed`) events may be missing, and up to which number."""

    since: float
    up_to: int


class Load(NamedTuple):
    """How full it is: events in the `window` of at most `window_max`, those `apart` from it, the bytes of all of them,
    and how many streams take nothing just now."""

    window: int
    window_max: int
    apart: int
    size: int
    recovering: int


type GapFrame = Callable[[Lane, Gap], bytes]
"""The marker of a gap, as it goes over the wire."""


class Backlog:
    """The streams share a window. One that takes nothing while others do is set apart from it, with so many bytes of
    its own. What is too much for them is lost, and a marker stands for it, in its place in the order."""

    def __init__(self, window: int, gap_frame: GapFrame) -> None:
        """`window`: how many events there may be before `is_full`."""
        self._window, self._gap_frame = window, gap_frame
        self._window_bytes = constants.PUBLISH_BUFFER_BYTES  # read once and not for each event
        self.lanes: dict[str, Lane] = {}
        self.lane_by_subject: dict[str, Lane] = {}
        """As far as known: to cut the last token off takes longer than all else that is done to keep an event."""
        self._lane_of: dict[int, Lane] = {}
        """By the number of each event; a dict keeps its order."""
        self._unsent: list[Lane] = []
        self.unstored: dict[str, Unstored] = {}
        """By the prefix of their subjects, the streams that no place in a gateway session waits for."""
        self._bytes = self._apart = self._apart_bytes = self._completed_otherwise = 0
        self.last_number = self.gaps = 0
        self.progress, self.wake = asyncio.Event(), asyncio.Event()
        """Set when something is complete, or does not wait in the window any more; and when something is to be sent."""

    def __len__(self) -> int:
        return len(self._lane_of)

    @property
    def low_water_mark(self) -> int:
        """Up to this number every event is acknowledged or refused, and what was lost is marked; but for the streams
        that are `unstored`."""
        # Acknowledgements come out of order, and a dict keeps its: its first key is the oldest that is still open.
        if not self.unstored:
            return next(iter(self._lane_of), self.last_number + 1) - 1
        waited_for = (number for number, lane in self._lane_of.items() if lane.prefix not in self.unstored)
        return next(waited_for, self.last_number + 1) - 1

    @property
    def is_full(self) -> bool:
        """Whether as many events, or as many bytes of them, are in the window as may be."""
        return len(self._lane_of) - self._apart >= self._window or self._bytes - self._apart_bytes >= self._window_bytes

    @property
    def load(self) -> Load:
        """Just now."""
        recovering = sum(lane.recovery is not None for lane in self.lanes.values())
        return Load(len(self._lane_of) - self._apart, self._window, self._apart, self._bytes, recovering)

    @property
    def oldest_in_window(self) -> int | None:
        """The number of the oldest event; None if there is none."""
        oldest = (lane.oldest for lane in self.lanes.values() if not lane.is_apart)
        return min((number for number in oldest if number is not None), default=None)

    @property
    def stored_elsewhere(self) -> int:
        """How many events are stored of streams that were not in recovery then."""
        return self.last_number - len(self._lane_of) - self._completed_otherwise

    def find_lane(self, subject: str) -> Lane:
        """Subjects that differ in their last token only are of one stream."""
        prefix = subject.rpartition(".")[0]
        lane = self.lanes.setdefault(prefix, Lane(prefix))
        self.lane_by_subject[subject] = lane
        return lane

    def lane_of(self, number: int) -> Lane | None:
        """None if it is known to be acknowledged or refused."""
        return self._lane_of.get(number)

    def keep(self, lane: Lane, number: int, frame: bytes) -> None:
        """Until it is complete; to be sent now, unless its stream takes nothing. The number is the next one."""
        self.last_number = number
        self._lane_of[number] = lane
        lane.pending[number] = frame
        self._bytes += len(frame)
        if lane.recovery is None:
            if not lane.unsent:
                self.send(lane)
            lane.unsent.append(frame)
        else:
            lane.recovery.kept_at = elapsed()
            self._count_apart(lane, 1, len(frame))

    def complete(self, number: int, *, is_stored: bool = True) -> Lane | None:
        """Its frame need not be kept any longer; None if that was known, as after a repeat. What is refused or given up
        is not stored."""
        lane = self._lane_of.pop(number, None)
        if lane is None:
            return None
        size = len(lane.pending.pop(number))
        self._bytes -= size
        if lane.recovery is not None:
            self._completed_otherwise += 1
            self._count_apart(lane, -1, -size)
        elif not is_stored:
            self._completed_otherwise += 1
        self.progress.set()
        return lane

    def send(self, lane: Lane) -> None:
        """It has something unsent."""
        self._unsent.append(lane)
        self.wake.set()

    def take_unsent(self) -> list[bytes]:
        """All that is to be sent, in each stream's order."""
        lanes, self._unsent = self._unsent, []
        taken: list[bytes] = []
        for lane in lanes:
            taken += lane.unsent
            lane.unsent.clear()
        return taken

    def larger_than(self, size: int) -> list[int]:
        """The numbers of what NATS does not take if so many bytes are its limit."""
        frames_of = (lane.pending.items() for lane in self.lanes.values())
        return [number for pending in frames_of for number, frame in pending if frames.size_of(frame) > size]

    def set_apart(self, lane: Lane) -> None:
        """It takes nothing, and others do: none of them waits for it any more."""
        if lane.recovery is None or lane.recovery.is_apart:
            return
        lane.recovery.is_apart = True
        self._count_apart(lane, len(lane.pending), sum(map(len, lane.pending.values())))
        self.progress.set()

    def recover(self, lane: Lane) -> None:
        """It takes events again: what it still has is in the window."""
        if lane.recovery is not None:
            self._count_apart(lane, -len(lane.pending), -lane.recovery.apart_bytes)
        lane.recover()

    def loses(self, lane: Lane) -> bool:
        """Whether what comes for it now is lost; then it is counted."""
        recovery = lane.recovery
        if recovery is None or not recovery.is_apart:
            return False
        if lane.gap is None:
            if recovery.apart_bytes < constants.LANE_BYTES and self._apart_bytes < constants.LANES_BYTES:
                return False
            self._open_gap(lane, recovery.kept_at)
        assert lane.gap is not None
        lane.gap.add()
        return True

    def close_gap(self, lane: Lane) -> None:
        """Before its stream is sent more: once there is room for many events, or the marker is sent next. At the brim
        there would be a gap for each event."""
        gap = lane.gap
        if gap is None:
            return
        has_room = (lane.recovery.apart_bytes if lane.recovery else 0) <= constants.LANE_BYTES // 2
        if lane.sends_next(gap.number) or (has_room and self._apart_bytes <= constants.LANES_BYTES // 2):
            lane.gap = None
            self._replace(lane, gap.number, self._gap_frame(lane, gap))
            logger.warning("events were lost, and the gap is marked", subjects=f"{lane.prefix}.>", events=gap.events)

    def forget_idle(self) -> None:
        """Streams without events are not looked after."""
        busy = {prefix: lane for prefix, lane in self.lanes.items() if lane.pending or lane.recovery}
        if len(busy) < len(self.lanes):
            self.lanes = busy
            self.lane_by_subject.clear()
        self.unstored = {prefix: each for prefix, each in self.unstored.items() if self._is_unstored(prefix, each)}

    def wait_no_longer(self, lane: Lane, since: float) -> None:
        """For a stream that takes nothing, and may miss events since then if this process ends."""
        known = self.unstored.get(lane.prefix)
        self.unstored[lane.prefix] = Unstored(known.since if known else since, self.last_number)

    def _is_unstored(self, prefix: str, known: Unstored) -> bool:
        lane = self.lanes.get(prefix)
        return lane is not None and (lane.recovery is not None or (lane.oldest or 0) <= known.up_to)

    def _open_gap(self, lane: Lane, since: float) -> None:
        gap = Gap(self.last_number + 1, since, since)
        self.keep(lane, gap.number, self._gap_frame(lane, gap))
        lane.gap = gap
        self.gaps += 1

    def _replace(self, lane: Lane, number: int, frame: bytes) -> None:
        more = len(frame) - len(lane.pending[number])
        lane.pending[number] = frame
        self._bytes += more
        if lane.recovery is not None:
            self._count_apart(lane, 0, more)

    def _count_apart(self, lane: Lane, events: int, size: int) -> None:
        recovery = lane.recovery
        if recovery is not None and recovery.is_apart:
            recovery.apart_bytes += size
            self._apart_bytes += size
            self._apart += events
