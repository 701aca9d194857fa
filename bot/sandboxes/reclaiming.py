"""Takes down what nobody asks to be taken down: sandboxes whose grace time is over, and abandoned ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from loguru import logger

from bot.sandboxes.lifecycle.heartbeat import a_few_at_once
from bot.sandboxes.lifecycle.teardown import Teardown
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Pool, connected, transaction

Announce = Callable[[Collection[int]], Awaitable[None]]
Begin = Callable[[UUID], Awaitable[Sandbox | None]]


class Reclaimer:
    """Many at a time: one that fails stops none of the others, and is found again later."""

    def __init__(self, pool: Pool, records: SandboxRecords, teardown: Teardown, announce: Announce) -> None:
        self._pool, self._records, self._teardown, self._announce = pool, records, teardown, announce

    async def find_reclaimable(self, grace: timedelta) -> Sequence[UUID]:
        """Expired, with the grace time over."""
        return await self._find("find_reclaimable", grace)

    async def find_stuck(self, stuck_after: timedelta) -> Sequence[UUID]:
        """Pending, creating or destroying, and attended by nobody for that long."""
        return await self._find("find_stuck", stuck_after)

    async def take_down(self, grace: timedelta, stuck_after: timedelta) -> tuple[int, int]:
        """Destroy all of both kinds that are still so; how many expired and how many stuck ones are destroyed.

        Of several processes one recovers a stuck one at a time.
        """
        over = await self._begin(
            await self.find_reclaimable(grace), lambda sandbox_id: self._begin_reclaim(sandbox_id, grace)
        )
        stuck = await self._begin(
            await self.find_stuck(stuck_after), lambda sandbox_id: self._begin_recover(sandbox_id, stuck_after)
        )
        outcomes = await self._teardown.finish_all([*over, *stuck])
        _tell_failures(outcomes)
        destroyed = [outcome is True for outcome in outcomes]
        return sum(destroyed[: len(over)]), sum(destroyed[len(over) :])

    async def _begin_reclaim(self, sandbox_id: UUID, grace: timedelta) -> Sandbox | None:
        async with transaction(self._pool) as connection:
            sandbox = await self._records.lock(connection, sandbox_id)
            over = sandbox.expires_at + grace <= await self._records.now(connection)
            if sandbox.status is not SandboxStatus.EXPIRED or not over:
                return None
            await self._teardown.begin(connection, sandbox, None, "expired")
        await self._announce(sandbox.guild_ids)
        return sandbox

    async def _begin_recover(self, sandbox_id: UUID, stuck_after: timedelta) -> Sandbox | None:
        async with transaction(self._pool) as connection:
            if await self._records.value(connection, "claim_stuck", sandbox_id, stuck_after) is None:
                return None
            sandbox = await self._records.lock(connection, sandbox_id)
            if sandbox.status is not SandboxStatus.DESTROYING:
                await self._teardown.begin(connection, sandbox, None, "stuck")
        await self._announce(sandbox.guild_ids)
        return sandbox

    async def _begin(self, sandbox_ids: Iterable[UUID], begin: Begin) -> list[Sandbox]:
        outcomes = await a_few_at_once(sandbox_ids, begin)
        _tell_failures(outcomes)
        return [outcome for outcome in outcomes if isinstance(outcome, Sandbox)]

    async def _find(self, query: str, since: timedelta) -> Sequence[UUID]:
        async with connected(self._pool) as connection:
            return [row["id"] for row in await self._records.rows(connection, query, since, None)]


def _tell_failures(outcomes: Iterable[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            logger.warning("a sandbox could not be taken down", error=str(outcome) or repr(outcome))
