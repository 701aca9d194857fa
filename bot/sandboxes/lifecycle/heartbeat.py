"""Says now and then that somebody works on an unfinished sandbox, so that the reaper doesn't take it for abandoned."""

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


@asynccontextmanager
async def heartbeat(pool: Pool, records: SandboxRecords, sandbox_ids: Iterable[UUID]) -> AsyncIterator[None]:
    """A heartbeat every `HEARTBEAT_EVERY_S` until the block is left or the process dies.

    It holds nothing: a process that was away for longer than `stuck_after` may find its sandbox taken down.
    """
    task = asyncio.create_task(_beat(pool, records, list(sandbox_ids)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _beat(pool: Pool, records: SandboxRecords, sandbox_ids: list[UUID]) -> None:
    # The first one comes after a pause: whoever began has just set the status, which counts as much.
    while True:
        await asyncio.sleep(constants.HEARTBEAT_EVERY_S)
        try:
            async with connected(pool) as connection:
                await records.value(connection, "heartbeat", sandbox_ids)
        except ServiceUnavailable as error:
            logger.debug("heartbeat missed", error=error.detail)
