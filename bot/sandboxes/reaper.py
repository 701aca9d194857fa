"""What time does to sandboxes: warning, expiry, the end of the grace time, and rescue of what got stuck."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from loguru import logger

from bot.errors import CleanupFailed, SandboxNotFound
from bot.sandboxes.manager import SandboxManager


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep changed."""

    warned: int
    expired: int
    destroyed: int
    recovered: int


class Reaper:
    """Any number of processes may sweep at the same time: every change has one winner."""

    def __init__(
        self,
        manager: SandboxManager,
        *,
        warn_before: timedelta,
        grace: timedelta,
        stuck_after: timedelta,
    ) -> None:
        self._manager = manager
        self._warn_before, self._grace, self._stuck_after = warn_before, grace, stuck_after

    async def sweep(self) -> Sweep:
        """One pass over everything that is due. What fails is logged and tried again at the next pass."""
        warned = await self._manager.outbox.write_warnings(self._warn_before)
        due = [sandbox.id for sandbox in await self._manager.find_expired()]
        expired = await _each(due, self._manager.mark_expired)
        over = await self._manager.find_reclaimable(self._grace)
        destroyed = await _each(over, lambda sandbox_id: self._manager.reclaim(sandbox_id, self._grace))
        stuck = await self._manager.find_stuck(self._stuck_after)
        recovered = await _each(stuck, self._manager.recover)
        return Sweep(warned, expired, destroyed, recovered)

    async def due(self) -> Sweep:
        """What a sweep would change now; warnings are not counted."""
        expired = await self._manager.find_expired()
        over = await self._manager.find_reclaimable(self._grace)
        stuck = await self._manager.find_stuck(self._stuck_after)
        return Sweep(0, len(expired), len(over), len(stuck))


async def _each(sandbox_ids: Sequence[UUID], change: Callable[[UUID], Awaitable[bool]]) -> int:
    changed = 0
    for sandbox_id in sandbox_ids:
        try:
            changed += await change(sandbox_id)
        except (CleanupFailed, SandboxNotFound) as error:
            logger.warning("sweep could not finish a sandbox", sandbox=str(sandbox_id), error=str(error))
    return changed
