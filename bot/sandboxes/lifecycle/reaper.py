"""What time does to sandboxes: a warning, the expiry, the end of the grace time, and the end of what is stuck."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

from loguru import logger

from bot import constants, log
from bot.concurrency import gather_bounded
from bot.errors import ServiceUnavailable
from bot.sandboxes.lifecycle.notices import NoticeOutbox
from bot.sandboxes.lifecycle.teardown import Teardown, describe
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Pool, connected, transaction

Announce = Callable[[Collection[int]], Awaitable[None]]
"""Told which guilds' routes have just been committed anew."""
MarkExpired = Callable[[UUID], Awaitable[bool]]
"""Ends the running time of one sandbox; False if it is not due any more."""
Work = Callable[[UUID], Awaitable[object]]
"""One step for one sandbox."""
Outcomes = dict[UUID, object]
"""What became of each sandbox; an exception if it failed."""

_MISSED_TRIES = 10
"""After that many another process has ended a sandbox that failed here."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep changed: warnings written, sandboxes marked as expired, expired ones and stuck ones destroyed."""

    warned: int
    expired: int
    destroyed: int
    recovered: int


class Reaper:
    """Any number of processes may sweep at the same time: every change has one winner."""

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        outbox: NoticeOutbox,
        teardown: Teardown,
        mark_expired: MarkExpired,
        announce: Announce,
        *,
        warn_before: timedelta,
        grace: timedelta,
        stuck_after: timedelta,
    ) -> None:
        self._pool, self._records, self._outbox, self._teardown = pool, records, outbox, teardown
        self._mark_expired, self._announce = mark_expired, announce
        self._warn_before, self._grace, self._stuck_after = warn_before, grace, stuck_after
        self._failing: dict[UUID, float] = {}  # when it was last tried, of time.monotonic()
        self.counts: Counter[str] = Counter()
        """What its sweeps have changed since the start, by the fields of `Sweep`."""

    async def sweep(self) -> Sweep:
        """One turn over everything that is due; one sandbox that fails stops none of the others.

        `ServiceUnavailable` if PostgreSQL is away. Where another store is, a sandbox stays `destroying` and is tried
        again by the next sweep: that is told once when it begins and once when it ends, not at every try.
        """
        marked, ended = await self.mark_due(), await self.end_due()
        return Sweep(marked.warned, marked.expired, ended.destroyed, ended.recovered)

    async def mark_due(self) -> Sweep:
        """The half of a sweep that warns and marks as expired: it waits for no teardown."""
        warned = await self._outbox.write_warnings(self._warn_before)
        expired = await self._each(await self._find_expired(), self._mark_expired, constants.MAX_CONCURRENT_EXPIRIES)
        self._tell(expired)
        return self._count(Sweep(warned, sum(outcome is True for outcome in expired.values()), 0, 0))

    async def end_due(self) -> Sweep:
        """The half that destroys."""
        await self._teardown.heartbeats.release()
        limit = constants.MAX_CONCURRENT_TEARDOWNS
        overdue = await self._each(await self._find_overdue(), self._begin_overdue, limit)
        stuck = await self._each(await self._find_stuck(), self._begin_stuck, limit)
        ended = await self._finish([*overdue.values(), *stuck.values()])
        self._tell({**overdue, **stuck, **ended})
        destroyed = {sandbox_id for sandbox_id, outcome in ended.items() if outcome is True}
        return self._count(Sweep(0, 0, len(destroyed & overdue.keys()), len(destroyed & stuck.keys())))

    async def take_over_all(self) -> None:
        """What is unfinished is stuck, whatever its heartbeats: said by a process that has the database for itself,
        before it begins to work."""
        await self._teardown.heartbeats.release_all()

    async def due(self) -> Sweep:
        """What a sweep would change now; warnings are not counted."""
        expired, overdue, stuck = await self._find_expired(), await self._find_overdue(), await self._find_stuck()
        return Sweep(0, len(expired), len(overdue), len(stuck))

    def _count(self, sweep: Sweep) -> Sweep:
        self.counts.update(asdict(sweep))
        return sweep

    async def _finish(self, begun: Iterable[object]) -> Outcomes:
        sandboxes = [sandbox for sandbox in begun if isinstance(sandbox, Sandbox)]
        outcomes = await self._teardown.finish_all(sandboxes)
        return {sandbox.id: outcome for sandbox, outcome in zip(sandboxes, outcomes, strict=True)}

    async def _begin_overdue(self, sandbox_id: UUID) -> Sandbox | None:
        """None if it is not due any more, or another process was faster."""
        async with transaction(self._pool) as connection:
            sandbox = await self._records.lock(connection, sandbox_id)
            # Looked at again under the lock: an extension may have committed since the list was read.
            over = sandbox.expires_at + self._grace <= await self._records.now(connection)
            if sandbox.status is not SandboxStatus.EXPIRED or not over:
                return None
            await self._teardown.begin(connection, sandbox, None, "expired")
        await self._announce(sandbox.guild_ids)
        return sandbox

    async def _begin_stuck(self, sandbox_id: UUID) -> Sandbox | None:
        """None if somebody works on it (again), or another process was faster."""
        async with transaction(self._pool) as connection:
            # The claim is a heartbeat that asks for none before it, so one process wins and has the sandbox for as long
            # as it lives; one that is only slow and comes back finds `destroying`, and its own teardown repeats ours.
            if await self._records.value(connection, "claim_stuck", sandbox_id, self._stuck_after) is None:
                return None
            sandbox = await self._records.lock(connection, sandbox_id)
            if sandbox.status is not SandboxStatus.DESTROYING:
                await self._teardown.begin(connection, sandbox, None, "stuck")
        await self._announce(sandbox.guild_ids)
        return sandbox

    async def _find_expired(self) -> Sequence[UUID]:
        async with connected(self._pool) as connection:
            return [sandbox.id for sandbox in await self._records.many(connection, "find_expired", None)]

    async def _find_overdue(self) -> Sequence[UUID]:
        return await self._find("find_overdue", self._grace)

    async def _find_stuck(self) -> Sequence[UUID]:
        return await self._find("find_stuck", self._stuck_after)

    async def _find(self, query: str, since: timedelta) -> Sequence[UUID]:
        async with connected(self._pool) as connection:
            return [row["id"] for row in await self._records.rows(connection, query, since, None)]

    async def _each(self, sandbox_ids: Sequence[UUID], work: Work, limit: int) -> Outcomes:
        """One transaction for each; `ServiceUnavailable`, after all were tried, if PostgreSQL went away meanwhile."""

        async def named(sandbox_id: UUID) -> object:
            with log.context(sandbox=str(sandbox_id)):
                return await work(sandbox_id)

        outcomes = await gather_bounded(sandbox_ids, named, limit=limit)
        for outcome in outcomes:
            if isinstance(outcome, ServiceUnavailable):
                raise outcome
        return dict(zip(sandbox_ids, outcomes, strict=True))

    def _tell(self, outcomes: Outcomes) -> None:
        """A sandbox may fail at every sweep until somebody mends the reason; only the first failure is news."""
        failed = {sandbox_id: why for sandbox_id, why in outcomes.items() if isinstance(why, BaseException)}
        for sandbox_id in failed.keys() - self._failing.keys():
            logger.warning("a sandbox cannot be ended", sandbox=str(sandbox_id), error=describe(failed[sandbox_id]))
        for sandbox_id in self._failing.keys() & (outcomes.keys() - failed.keys()):
            logger.info("a sandbox could be ended at last", sandbox=str(sandbox_id))
        now = time.monotonic()
        since = now - _MISSED_TRIES * self._stuck_after.total_seconds()
        others = {known: at for known, at in self._failing.items() if known not in outcomes and at > since}
        self._failing = others | dict.fromkeys(failed, now)
