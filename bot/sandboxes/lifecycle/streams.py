"""Makes streams again that NATS has lost, so that their sandboxes' events are not refused for ever."""

from __future__ import annotations

from uuid import UUID

from loguru import logger

from bot.errors import ServiceUnavailable
from bot.sandboxes.lifecycle.heartbeat import a_few_at_once
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, connected, load_queries


class StreamKeeper:
    def __init__(self, pool: Pool, streams: StreamStore) -> None:
        self._pool, self._streams = pool, streams
        self._sql = load_queries("orphans")

    async def mend(self) -> int:
        """Every running or expired sandbox has its stream and consumer again; how many had not."""
        async with connected(self._pool) as connection:
            kept = [row["id"] for row in await connection.fetch(self._sql["list_kept"])]
        outcomes = await a_few_at_once(kept, self._mend)
        for failure in outcomes:
            if isinstance(failure, BaseException):
                detail = failure.detail if isinstance(failure, ServiceUnavailable) else repr(failure)
                logger.warning("a stream could not be looked after", error=detail)
        return sum(outcome is True for outcome in outcomes)

    async def _mend(self, sandbox_id: UUID) -> bool:
        if await self._streams.stats(sandbox_id) is not None:
            return False
        await self._streams.create(sandbox_id)
        async with connected(self._pool) as connection:
            kept = await connection.fetchval(self._sql["is_kept"], sandbox_id)
        if not kept:  # destroyed meanwhile, and whoever did that may have found no stream to delete
            await self._streams.delete(sandbox_id)
            return False
        logger.warning("a lost stream was made again", sandbox=str(sandbox_id))
        return True
