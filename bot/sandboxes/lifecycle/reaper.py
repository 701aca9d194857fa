"""What time does to sandboxes: warning, expiry, the end of the grace time, and rescue of what got stuck."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger

from bot.sandboxes.lifecycle.heartbeat import a_few_at_once
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
        due = [sandbox.id for sandbox in await self._manager.find_expired(limit=None)]
        expired = _count(await a_few_at_once(due, self._manager.mark_expired))
        destroyed, recovered = await self._manager.reclaimer.take_down(self._grace, self._stuck_after)
        return Sweep(warned, expired, destroyed, recovered)

    async def due(self) -> Sweep:
        """What a sweep would change now; warnings are not counted."""
        expired = await self._manager.find_expired(limit=None)
        over = await self._manager.reclaimer.find_reclaimable(self._grace)
        stuck = await self._manager.reclaimer.find_stuck(self._stuck_after)
        return Sweep(0, len(expired), len(over), len(stuck))


def _count(outcomes: Iterable[bool | BaseException]) -> int:
    changed = 0
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            logger.warning("a sandbox could not be marked as expired", error=str(outcome) or repr(outcome))
        else:
            changed += outcome
    return changed
