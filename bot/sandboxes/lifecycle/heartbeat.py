"""Says now and then that somebody works on an unfinished sandbox, so that the reaper doesn't take it for abandoned; and
that nobody does any more, so that it need not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Pool, connected


class Heartbeats:
    """Of one process, for what it works on."""

    def __init__(self, pool: Pool, records: SandboxRecords) -> None:
        self._pool, self._records = pool, records
        self._given_up: set[UUID] = set()

    @asynccontextmanager
    async def beating(self, sandbox_ids: Iterable[UUID]) -> AsyncIterator[None]:
        """A heartbeat every `HEARTBEAT_EVERY_S` until the block is left or the process dies. By an exception the
        sandboxes are given up.

        It holds nothing: a process that was away for longer than `stuck_after` may find its sandbox taken down.
        """
        ids = set(sandbox_ids)
        self._given_up -= ids
        task = asyncio.create_task(self._beat(list(ids)))
        try:
            yield
        except BaseException:
            self.give_up(ids)
            raise
        finally:
            task.cancel()
            await asyncio.wait([task])

    def give_up(self, sandbox_ids: Iterable[UUID]) -> None:
        """This process doesn't go on with them: PostgreSQL hears of it by the next `release`."""
        self._given_up.update(sandbox_ids)

    async def release(self) -> None:
        """Anybody's next sweep takes what was given up. Without PostgreSQL it stays to be told."""
        given_up, self._given_up = self._given_up, set()
        try:
            if given_up:
                await self._value("release", list(given_up))
                given_up = set()
        except ServiceUnavailable as error:
            logger.debug("it is told later what was given up", error=error.detail)
        finally:
            self._given_up |= given_up

    async def release_all(self) -> None:
        """Nobody works on any sandbox: said by a process that has the database for itself, before it begins to."""
        await self._value("release", None)

    async def _beat(self, sandbox_ids: list[UUID]) -> None:
        # The first one comes after a pause: whoever began has just set the status, which counts as much.
        while True:
            await asyncio.sleep(constants.HEARTBEAT_EVERY_S)
            try:
                await self._value("heartbeat", sandbox_ids)
            except ServiceUnavailable as error:
                logger.debug("heartbeat missed", error=error.detail)

    async def _value(self, query: str, sandbox_ids: list[UUID] | None) -> None:
        async with connected(self._pool) as connection:
            await self._records.value(connection, query, sandbox_ids)
