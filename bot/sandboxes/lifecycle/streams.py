"""Makes streams and consumers again that NATS has lost, so that their sandboxes' events are not refused for ever, and
tells what may be missing by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from uuid import UUID

from loguru import logger

from bot import constants, fence
from bot.concurrency import failures, gather_bounded
from bot.errors import ServiceUnavailable
from bot.sandboxes.lifecycle.acknowledgements import Acknowledgements
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, connected, load_queries
from bot.stores.stream_leaders import LeaderAway


class StreamReconciler:
    """Compares the sandboxes that PostgreSQL knows with the streams that NATS has."""

    def __init__(self, pool: Pool, streams: StreamStore, acknowledgements: Acknowledgements) -> None:
        self._pool, self._streams, self._acknowledgements = pool, streams, acknowledgements
        self._sql = load_queries("streams")
        self.repairs: Counter[str] = Counter()
        """What was made again since the start: streams, consumers."""

    async def reconcile(self, schemas: Collection[str] | None = None) -> int:
        """One turn: every running or expired sandbox, or those with these schemas, has its stream and consumer again,
        on as many servers as are configured; how many had not. None as long as a restore is unsettled.

        All are tried. If some fail, `ServiceUnavailable` says how many, with the first failure as its cause.
        """
        expected = await self._list_expected(schemas)
        outcomes = await gather_bounded(expected, self._repair, limit=constants.MAX_CONCURRENT_STREAM_CHECKS)
        if failed := failures(outcomes):
            first = failed[0]
            if not isinstance(first, ServiceUnavailable):
                raise first
            detail = f"{len(failed)} of {len(expected)} streams not looked after: {first.detail}"
            raise ServiceUnavailable(first.service, detail) from first
        return sum(outcome is True for outcome in outcomes)

    async def _list_expected(self, schemas: Collection[str] | None) -> list[UUID]:
        async with connected(self._pool) as connection:
            if schemas is None:
                rows = await connection.fetch(self._sql["list_repaired"])
            else:
                rows = await connection.fetch(self._sql["list_repaired_of"], list(schemas))
        return [row["id"] for row in rows]

    async def _repair(self, sandbox_id: UUID) -> bool:
        try:
            if (found := await self._streams.stats(sandbox_id)) is not None:
                await self._streams.scale(sandbox_id, found)
                return False
        except LeaderAway as error:  # not lost: its servers may come back, and until then nobody can mend it
            logger.warning("a stream takes no events", sandbox=str(sandbox_id), detail=error.detail)
            return False
        await self._make_again(sandbox_id)
        # A teardown between the list and the creation may have found no stream to delete. Its status was committed
        # before it looked, so whoever looks here, after the creation, sees it.
        async with connected(self._pool) as connection:
            expected = await connection.fetchval(self._sql["is_expected"], sandbox_id)
        if not expected:
            await self._streams.delete(sandbox_id)
            return False
        return True

    async def _make_again(self, sandbox_id: UUID) -> None:
        """The consumer last: without it another turn does the whole of this again."""
        known = await self._acknowledgements.read(sandbox_id)
        created_at = await self._streams.created_at(sandbox_id)
        fence.require()
        if created_at is None or (known is not None and known.stream_created_at != created_at):
            await self._begin_anew(sandbox_id)
            self.repairs["stream"] += 1
            logger.warning("a lost stream was made again", sandbox=str(sandbox_id))
        else:
            made = await self._streams.consumers.make_again(sandbox_id, known)
            self.repairs["consumer"] += 1
            logger.warning("a lost consumer was made again", sandbox=str(sandbox_id), **made._asdict())

    async def _begin_anew(self, sandbox_id: UUID) -> None:
        created_at = await self._streams.create_stream(sandbox_id)
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["list_guilds"], sandbox_id)
        fence.require()
        await self._streams.publish_gap(sandbox_id, [int(row["guild_id"]) for row in rows], created_at)
        await self._streams.consumers.create(sandbox_id)
