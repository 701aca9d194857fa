"""How far another clock is from this machine's, as far as that can be known over a network."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any, Self

import aiohttp


@dataclass(frozen=True, slots=True)
class TimeGap:
    """The other clock is ahead by `least` seconds at least and by `most` at most; negative: behind."""

    least: float = float("-inf")
    most: float = float("inf")

    @classmethod
    async def measure(cls, ask: Callable[[], Awaitable[float]]) -> Self:
        """Of what tells its time (Unix) when it is asked."""
        asked_at = time.time()
        told = await ask()
        return cls(told - time.time(), told - asked_at)

    def __and__(self, other: TimeGap) -> TimeGap:
        """Of the same clock, by two answers."""
        return TimeGap(max(self.least, other.least), min(self.most, other.most))

    def __sub__(self, other: TimeGap) -> TimeGap:
        """From the other clock, instead of from this machine's."""
        return TimeGap(self.least - other.most, self.most - other.least)

    @property
    def certain_s(self) -> float:
        """By how many seconds it is ahead for certain; negative: behind."""
        return max(self.least, 0.0) or min(self.most, 0.0)


SAME = TimeGap(0.0, 0.0)


class DateHeaders:
    """Of all that a client of Discord's API is answered; a header has no fractions of a second."""

    def __init__(self) -> None:
        self.gap = TimeGap()
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_start.append(self._on_request)
        self.trace.on_request_end.append(self._on_answer)

    async def _on_request(self, _: Any, context: SimpleNamespace, __: aiohttp.TraceRequestStartParams) -> None:
        context.asked_at = time.time()

    async def _on_answer(self, _: Any, context: SimpleNamespace, answer: aiohttp.TraceRequestEndParams) -> None:
        try:
            told = parsedate_to_datetime(answer.response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return  # something between that and Discord answers without
        self.gap &= TimeGap(told - time.time(), told + 1 - context.asked_at)
