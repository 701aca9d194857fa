"""Bounds what logins to NATS cost: how many are answered, what PostgreSQL is asked, and who counts as connected."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from loguru import logger

from bot import constants
from bot.stores.bars import Bars


@dataclass(frozen=True, slots=True)
class Login:
    """What a running sandbox's token is checked by, until when it counts, and for what in Valkey: in a database of the
    sandbox's own, or None, and whether for scripts."""

    token_sha256: str
    expires_at: datetime
    redis_database: int | None = None
    scripts: bool = True


LookUp = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, Login]]]
"""Leaves out a sandbox that does not run or has no token."""


class LoginLimits:
    """So many logins of one sandbox, and so many refusals, in a while; none of a sandbox that is barred."""

    def __init__(self) -> None:
        self._logins: Counter[UUID] = Counter()
        self._refusals = 0
        self._until = 0.0  # of time.monotonic(), as the times below
        self.bars = Bars[UUID](constants.FLOOD_BARS_FIRST_S, constants.FLOOD_BARS_LONGEST_S)

    def admit(self, sandbox_id: UUID) -> bool:
        """Counts one more login; false if it is one too many, or barred."""
        if self.bars.holds(sandbox_id):
            return False
        self._begin_anew()
        self._logins[sandbox_id] += 1
        return self._logins[sandbox_id] <= constants.NATS_MOST_LOGINS

    def may_refuse(self) -> bool:
        """Counts one more refusal; false if it is one too many."""
        self._begin_anew()
        self._refusals += 1
        return self._refusals <= constants.NATS_MOST_REFUSALS

    def _begin_anew(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            self._until = now + constants.NATS_LOGINS_COUNTED_FOR_S
            self._logins.clear()
            self._refusals = 0


class Unanswered:
    """Tells of logins that get no answer when that begins and when it is over, not of each: workers try for ever."""

    def __init__(self) -> None:
        self._count, self._last = 0, 0.0  # of time.monotonic()

    def note(self, error: BaseException) -> None:
        """One more."""
        if self._count == 0:
            logger.warning("logins to NATS are not answered", error=repr(error))
        self._count, self._last = self._count + 1, time.monotonic()

    def over(self) -> None:
        """One could be checked. It is over when none has failed for a while beside those."""
        if self._count and time.monotonic() > self._last + constants.NATS_LOGINS_COUNTED_FOR_S:
            logger.info("logins to NATS are answered again", unanswered=self._count)
            self._count = 0


class BatchedLookUp:
    """One question at a time, for all that wait: strangers by the thousand take no connection from anybody else."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._waiting: dict[UUID, asyncio.Future[Login | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, sandbox_id: UUID) -> Login | None:
        """As it is at some moment after the call."""
        waiting = self._waiting.setdefault(sandbox_id, asyncio.get_running_loop().create_future())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask())
        return await asyncio.shield(waiting)

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                async with asyncio.timeout(constants.NATS_LOGIN_ANSWER_WITHIN_S):  # by then nobody waits any more
                    found = await self._look_up(batch)
            except Exception as error:
                for waiting in batch.values():
                    waiting.set_exception(error)
                    waiting.exception()  # whoever waited may have given up
            else:
                for sandbox_id, waiting in batch.items():
                    waiting.set_result(found.get(sandbox_id))


class RecentLogins:
    """Connections that logged in so lately that their server may not list them yet."""

    def __init__(self) -> None:
        self._of: dict[UUID, dict[tuple[str, int], float]] = {}
        """When each was answered, of time.monotonic()."""

    @contextmanager
    def count(self, sandbox_id: UUID, connection: tuple[str, int]) -> Iterator[set[tuple[str, int]]]:
        """The ones that asked earlier; this one counts from now on, unless it is refused by an exception."""
        recent = self._of.setdefault(sandbox_id, {})
        listed_by_now = time.monotonic() - constants.NATS_LOGIN_UNLISTED_S
        for known in [known for known, answered_at in recent.items() if answered_at <= listed_by_now]:
            del recent[known]
        earlier = set(recent)
        recent[connection] = float("inf")  # it is still to be answered, however long that takes
        try:
            yield earlier
        except BaseException:
            recent.pop(connection, None)
            raise
        else:
            recent[connection] = time.monotonic()
        finally:
            if len(self._of) > constants.NATS_MOST_RECENT_LOGINS:
                del self._of[next(iter(self._of))]
