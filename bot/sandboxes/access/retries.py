"""Changes of who may connect that are committed and could not be applied, for a store was away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from loguru import logger

from bot import constants, request
from bot.concurrency import gather_bounded, raise_first
from bot.errors import ServiceUnavailable
from bot.supervisor import Part

type Step = Callable[[], Awaitable[None]]


class AccessRetries:
    """Of this process. What a process leaves that has died `SandboxAccess.reconcile` finds later."""

    def __init__(self) -> None:
        self._failed: list[Step] = []
        self._has_failed = asyncio.Event()

    async def attempt(self, sandbox_id: UUID, step: Step, *, again: Step | None = None) -> None:
        """What follows a commit, which has settled new logins already. If a store is away it is done again, or what is
        to be done then, which finds what has changed meanwhile."""
        try:
            await step()
        except ServiceUnavailable as error:
            request.note_behind(error.service)
            logger.warning("access not applied yet", sandbox=str(sandbox_id), service=error.service)
            self._keep(again or step)

    async def run(self, part: Part) -> None:
        """A part. `ServiceUnavailable` as long as a store is away."""
        while True:
            await self._repeat()
            part.running()
            await self._has_failed.wait()

    async def _repeat(self) -> None:
        self._has_failed.clear()
        steps, self._failed = self._failed, []
        raise_first(await gather_bounded(steps, self._take, limit=constants.MAX_CONCURRENT_ACCESS_CHANGES))

    async def _take(self, step: Step) -> None:
        try:
            await step()
        except ServiceUnavailable:
            self._keep(step)
            raise

    def _keep(self, step: Step) -> None:
        self._failed.append(step)
        self._has_failed.set()
