"""Makes streams again that NATS has lost, so that their sandboxes' events are not refused for ever."""

from __future__ import annotations

from uuid import UUID

from loguru import logger

from bot import constants
from bot.concurrency import failures, gather_bounded
from bot.errors import ServiceUnavailable
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, connected, load_queries


class StreamReconciler:
    """Compares the sandboxes that PostgreSQL knows with the streams that NATS has."""

    def __init__(self, pool: Pool, streams: StreamStore) -> None:
        self._pool, self._streams = pool, streams
        self._sql = load_queries("streams")

    async def reconcile(self) -> int:
        """One turn: every running or expired sandbox has its stream and consumer again; how many had not.

        All are tried. If some fail, `ServiceUnavailable` says how many, with the first failure as its cause.
        """
        async with connected(self._pool) as connection:
            expected = [row["id"] for row in await connection.fetch(self._sql["list_expected"])]
        outcomes = await gather_bounded(expected, self._repair, limit=constants.MAX_CONCURRENT_STREAM_CHECKS)
        if failed := failures(outcomes):
            first = failed[0]
            if not isinstance(first, ServiceUnavailable):
                raise first
            detail = f"{len(failed)} of {len(expected)} streams not looked after: {first.detail}"
            raise ServiceUnavailable(first.service, detail) from first
        return sum(outcome is True for outcome in outcomes)

    async def _repair(self, sandbox_id: UUID) -> bool:
        if await self._streams.stats(sandbox_id) is not None:
            return False
        await self._streams.create(sandbox_id)
        # A teardown between the list and the creation may have found no stream to delete. Its status was committed
        # before it looked, so whoever looks here, after the creation, sees it.
        async with connected(self._pool) as connection:
            expected = await connection.fetchval(self._sql["is_expected"], sandbox_id)
        if not expected:
            await self._streams.delete(sandbox_id)
            return False
        logger.warning("a lost stream was made again", sandbox=str(sandbox_id))
        return True
