"""Says now and then that somebody works on an unfinished sandbox, so that nobody takes it for abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from loguru import logger

from bot.errors import ServiceUnavailable
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Pool, connected

ATTEND_EVERY_S = 10.0
"""Well below the shortest `stuck_after` that the settings allow."""

_AT_ONCE = 4


@asynccontextmanager
async def attended(pool: Pool, records: SandboxRecords, sandbox_ids: Iterable[UUID]) -> AsyncIterator[None]:
    """Until the block is left, or the process dies."""
    task = asyncio.create_task(_attend(pool, records, list(sandbox_ids)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _attend(pool: Pool, records: SandboxRecords, sandbox_ids: list[UUID]) -> None:
    while True:
        await asyncio.sleep(ATTEND_EVERY_S)
        try:
            async with connected(pool) as connection:
                await records.value(connection, "attend", sandbox_ids)
        except ServiceUnavailable as error:
            logger.debug("attendance not noted", error=error.detail)


async def a_few_at_once[ItemT, ResultT](
    items: Iterable[ItemT], work: Callable[[ItemT], Awaitable[ResultT]]
) -> Sequence[ResultT | BaseException]:
    """What became of each, in order; an exception ends none of the others."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def wait_and_work(item: ItemT) -> ResultT:
        async with turn:
            return await work(item)

    return await asyncio.gather(*(wait_and_work(item) for item in items), return_exceptions=True)
