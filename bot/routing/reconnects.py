"""How soon a client's shards may connect again, and whether Discord lets them begin sessions at all.

A RESUME is free, but one after the other without a pause is what Discord bans addresses for. Of IDENTIFYs there are a
thousand a day; who sends more loses the bot's token.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from loguru import logger

from bot import constants

ReadLimit = Callable[[], Awaitable[Mapping[str, int]]]
"""Asks Discord for its `session_start_limit`; times in it are milliseconds."""


class Backoff:
    """Exponential, with full jitter. The first attempt is free, and again once a connection has lived for a while:
    that it came about proves nothing, where it is cut at once."""

    def __init__(self, first_s: float, longest_s: float, lived_s: float) -> None:
        self._first_s, self._longest_s, self._lived_s = first_s, longest_s, lived_s
        self._connected_at: float | None = None
        self.attempts = 0
        """Since the last connection that has lived."""

    def next_pause(self) -> float:
        """Seconds to wait before the attempt that is made now."""
        connected_at, self._connected_at = self._connected_at, None
        if connected_at is not None and time.monotonic() - connected_at >= self._lived_s:
            self.attempts = 0
        exponent = min(self.attempts, 20)  # beyond that the longest pause is long reached
        self.attempts += 1
        longest = min(self._longest_s, self._first_s * 2 ** (exponent - 1)) if exponent else 0.0
        return random.uniform(0, longest)  # noqa: S311 - no secret

    def connected(self) -> None:
        """The attempt has led to a connection, which may live from now on."""
        self._connected_at = time.monotonic()


def _resumes() -> Backoff:
    return Backoff(constants.RESUME_PAUSE_S, constants.RESUME_PAUSE_LONGEST_S, constants.RESUME_LIVED_S)


def _identifies() -> Backoff:
    return Backoff(constants.IDENTIFY_PAUSE_S, constants.IDENTIFY_PAUSE_LONGEST_S, constants.IDENTIFY_LIVED_S)


@dataclass
class ShardPace:
    """One shard's two back-offs, and why its last connection ended, for the log."""

    resumes: Backoff = field(default_factory=_resumes)
    identifies: Backoff = field(default_factory=_identifies)
    ended: str = ""


class IdentifyBudget:
    """Discord's limit of new sessions, for all shards of the process: read before each, and obeyed."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._sent_at: dict[int, float] = {}
        """When a session was last begun, by what Discord counts shards together by."""

    @asynccontextmanager
    async def turn(self, shard_id: int, read: ReadLimit) -> AsyncIterator[None]:
        """Entered when the shard may IDENTIFY, which it does inside: another one would read a limit that is used up."""
        async with self._turn:
            limit = await self._until_left(read)
            key = shard_id % max(1, limit.get("max_concurrency", 1))
            if key in self._sent_at:
                await asyncio.sleep(self._sent_at[key] + constants.IDENTIFY_EVERY_S - time.monotonic())
            try:
                yield
            finally:
                self._sent_at[key] = time.monotonic()

    @staticmethod
    async def _until_left(read: ReadLimit) -> Mapping[str, int]:
        is_told = False
        while (limit := await read()).get("remaining", 1) <= 0:
            reset_s = max(limit.get("reset_after", 0) / 1000, constants.IDENTIFY_LIMIT_READ_SOONEST_S)
            if not is_told:
                until = datetime.now(UTC) + timedelta(seconds=reset_s)
                logger.error(
                    "Discord allows no new session before its limit is reset, waiting",
                    until=until.isoformat(timespec="seconds"),
                    a_day=limit.get("total"),
                )
            is_told = True
            await asyncio.sleep(min(reset_s, constants.IDENTIFY_LIMIT_READ_EVERY_S))
        if is_told:
            logger.info("Discord allows new sessions again", remaining=limit.get("remaining"))
        return limit


class Reconnects:
    """Of one client: the pace of each shard, and the limit that they share."""

    def __init__(self) -> None:
        self._shards: dict[int, ShardPace] = {}
        self.budget = IdentifyBudget()
        self.attempts: Counter[str] = Counter()
        """How often connecting was tried, by what it was to do."""

    def of(self, shard_id: int) -> ShardPace:
        """Its pace since the process began."""
        return self._shards.setdefault(shard_id, ShardPace())

    async def pause(self, shard_id: int, *, resumes: bool) -> None:
        """Until the shard may try to resume, or else to begin a session; a pause is said in the log."""
        pace = self.of(shard_id)
        backoff = pace.resumes if resumes else pace.identifies
        pause_s, doing = backoff.next_pause(), "resume" if resumes else "identify"
        self.attempts[doing] += 1
        if backoff.attempts > 1:
            logger.warning(
                "connecting to Discord again after a pause",
                shard=shard_id,
                to=doing,
                attempt=backoff.attempts,
                pause_s=round(pause_s, 2),
                why=pace.ended,
            )
        elif pace.ended:
            logger.info("connecting to Discord again", shard=shard_id, why=pace.ended)
        await asyncio.sleep(pause_s)
