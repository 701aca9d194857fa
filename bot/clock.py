"""The clocks by which the bot decides. Its machine's wall clock is none: it may be wrong, and be set at any moment.

What PostgreSQL dates, PostgreSQL compares; what Discord dates is compared with Discord's time; and how long something
has taken, `elapsed` knows.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp

from bot import constants

# On Linux alone the monotonic clock stands still while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


elapsed = partial(time.clock_gettime, _CLOCK)
"""Seconds since a moment that is the same for this boot: nobody sets it, and time asleep counts. Asked for each event,
so no function of Python's."""


class StampedClock:
    """A service's time, Discord's or NATS's, by what it has stamped and when that came.

    It is never ahead of the service, for nothing comes before it is stamped; and behind by what the quickest of the
    last messages took to come. That may be `STAMPED_CLOCK_BEHIND_S` where only answers over HTTP have come: they have
    stamps without fractions.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._before: float | None = None
        """The same of the period before: two clocks drift apart, so no offset holds for ever."""
        self._began_at = 0.0

    def observe(self, stamped_at: float) -> None:
        """Something has come that was stamped with this time (Unix); it may have been long under way."""
        now = elapsed()
        if now - self._began_at > constants.CLOCK_OFFSET_HOLDS_S:
            self._before, self._offset, self._began_at = self._offset, None, now
        offset = stamped_at - now
        self._offset = offset if self._offset is None else max(self._offset, offset)

    def at(self, moment: float) -> float | None:
        """What time (Unix) it was there at a moment of `elapsed`; None if nothing stamped has come yet."""
        known = [offset for offset in (self._offset, self._before) if offset is not None]
        return moment + max(known) if known else None

    def now(self) -> float | None:
        """What time (Unix) it is there, as far as that is known."""
        return self.at(elapsed())

    def follow(self, trace: aiohttp.TraceConfig) -> None:
        """Of a client of Discord's API: each answer tells the time."""
        trace.on_request_end.append(self._on_answer)

    async def _on_answer(self, _: Any, __: SimpleNamespace, answer: aiohttp.TraceRequestEndParams) -> None:
        try:
            self.observe(parsedate_to_datetime(answer.response.headers["Date"]).timestamp())
        except (KeyError, ValueError):
            """Something between that and Discord answers without, or with none."""
