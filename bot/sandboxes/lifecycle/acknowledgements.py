"""How much of its stream each sandbox's workers have acknowledged: NATS forgets it with the consumer that it loses."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from bot import constants, fence
from bot.concurrency import gather_bounded, raise_first
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, connected, load_queries
from bot.stores.stream_positions import Acknowledged, AcknowledgedPositions
from bot.supervisor import Part


class Acknowledgements:
    """Asks NATS again and again, and keeps what it says in Redis. Every bot can read it, and one asks."""

    def __init__(self, pool: Pool, streams: StreamStore, saved: AcknowledgedPositions) -> None:
        self._pool, self._streams, self._saved = pool, streams, saved
        self._sql = load_queries("streams")
        self._known: dict[UUID, Acknowledged] = {}
        self._unsaved: set[UUID] = set()
        self._moving: set[UUID] = set()
        """Whose workers had acknowledged something between the last two looks."""

    async def read(self, sandbox_id: UUID) -> Acknowledged | None:
        """The furthest position that is known; None if none is. `ServiceUnavailable` if Redis doesn't tell."""
        found = [self._known.get(sandbox_id), await self._saved.read(sandbox_id)]
        return max((each for each in found if each is not None), key=lambda each: each.order, default=None)

    async def run(self, part: Part) -> None:
        """For ever: look at all now and then, and in between at those whose workers are at work."""
        all_due_at = 0.0  # of time.monotonic(), as what follows
        while True:
            began_at = time.monotonic()
            if began_at >= all_due_at:
                all_due_at = began_at + constants.ALL_ACKNOWLEDGEMENTS_SEEN_EVERY_S
                await self.look_at_all()
            else:
                await self._look(self._moving)
            part.running()
            took = time.monotonic() - began_at
            await asyncio.sleep(max(constants.ACKNOWLEDGEMENTS_SEEN_EVERY_S, took * constants.ACKNOWLEDGEMENTS_REST))

    async def look_at_all(self) -> None:
        """`ServiceUnavailable` if a store doesn't answer; what is known of the others is not lost by it."""
        async with connected(self._pool) as connection:
            expected = {row["id"] for row in await connection.fetch(self._sql["list_expected"])}
        for sandbox_id in self._known.keys() - expected:
            del self._known[sandbox_id]
        self._unsaved &= expected
        await self._look(expected)

    async def _look(self, sandbox_ids: set[UUID]) -> None:
        ids = list(sandbox_ids)
        limit = constants.MAX_CONCURRENT_STREAM_CHECKS
        outcomes = await gather_bounded(ids, self._ask, limit=limit)
        found = {each: seen for each, seen in zip(ids, outcomes, strict=True) if isinstance(seen, Acknowledged)}
        self._moving = {each for each, seen in found.items() if self._has_moved(each, seen)}
        self._unsaved |= self._moving
        self._known |= found
        await self._save()
        raise_first(outcomes)

    async def _ask(self, sandbox_id: UUID) -> Acknowledged | None:
        return await self._streams.consumers.acknowledged(sandbox_id, self._known.get(sandbox_id))

    def _has_moved(self, sandbox_id: UUID, seen: Acknowledged) -> bool:
        known = self._known.get(sandbox_id)
        return known is None or known.order != seen.order

    async def _save(self) -> None:
        if not self._unsaved:
            return
        fence.require()  # what another bot has saved since is newer
        unsaved, self._unsaved = self._unsaved, set()
        try:
            await self._saved.write({sandbox_id: self._known[sandbox_id] for sandbox_id in unsaved})
        except BaseException:
            self._unsaved |= unsaved
            raise
