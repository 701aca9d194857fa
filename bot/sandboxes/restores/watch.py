"""Notices that PostgreSQL was restored from a backup, and holds what may have ended since.

Each change writes a row of the audit log. Redis and NATS are told of the last row that PostgreSQL has had for a while:
so a replica that takes over without its last seconds is no restore.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from uuid import UUID

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.restores.comparison import Known, RestoreComparison
from bot.stores.last_changes import LastChange
from bot.stores.postgres import Pool, fetch, fetch_value, load_queries, transaction
from bot.supervisor import Part

UNSETTLED = "it was restored from a backup; run `sandbox-bot check --restore`, then `sandbox-bot settle-restore`"


class RestoreWatch:
    """Every process that hands something out has one, and any number of them may notice the same."""

    def __init__(self, pool: Pool, access: SandboxAccess, comparison: RestoreComparison) -> None:
        self._pool, self._access, self._comparison = pool, access, comparison
        self._sql = load_queries("restores")
        self._confirmed: LastChange | None = None
        """What PostgreSQL has had for a while, and therefore must have."""
        self._young: tuple[LastChange, float] | None = None
        """The last change at some time of time.monotonic(), which it has to have still to be confirmed."""

    async def run(self, part: Part) -> None:
        """For ever; the part fails as long as a restore is unsettled."""
        while True:
            if await self.look():
                part.failing(ServiceUnavailable("PostgreSQL", UNSETTLED))
            else:
                part.running()
            await asyncio.sleep(constants.RESTORES_LOOKED_FOR_EVERY_S)

    async def look(self) -> bool:
        """Whether a restore is unsettled; what is noticed now is held. `ServiceUnavailable` if PostgreSQL is away."""
        own = [self._confirmed] if self._confirmed is not None else []
        known = await self._comparison.read_known(*own)
        if not known.is_unsettled and known.missing is not None:
            await self._hold(known, known.missing)
        if known.is_unsettled or known.missing is not None:
            self._confirmed = self._young = None
        else:
            await self._confirm(known)
        self._access.restores.expect(self._confirmed, self._comparison.kept)
        return known.is_unsettled or known.missing is not None

    async def _hold(self, known: Known, missing: LastChange) -> None:
        doubtful = await self._comparison.list_doubtful(known)
        newest_at = known.newest.made_at if known.newest is not None else None
        if not await self._begin(missing.made_at, newest_at, doubtful):
            return
        logger.warning(
            "PostgreSQL was restored from a backup, and nothing is handed out: see `sandbox-bot check --restore`",
            newest_change_here=str(newest_at),
            newest_change_known=str(missing.made_at),
            credentials_held=len(doubtful),
        )
        await fetch(self._pool, self._sql["end_sessions"], doubtful)
        if self._access.nats is not None:
            for sandbox_id in doubtful:
                await self._access.nats.disconnect(sandbox_id)

    async def _begin(self, known_at: datetime, newest_at: datetime | None, doubtful: list[UUID]) -> bool:
        """False if another process has."""
        async with transaction(self._pool) as connection:
            if await connection.fetchval(self._sql["begin"], known_at, newest_at) is None:
                return False
            await connection.fetch(self._sql["lock_held"], doubtful)
            await connection.fetch(self._sql["hold"], doubtful)
        return True

    async def _confirm(self, known: Known) -> None:
        """Have the other stores know what is old enough; who is away is told the next time."""
        found = [each for each in (self._confirmed, *known.copies.values()) if each is not None]
        there = [each for each in found if await self._is_there(each)]
        if (young := await self._settled_young(known.newest)) is not None:
            there.append(young)
        self._confirmed = max(there, key=lambda each: each.id, default=None)
        if self._confirmed is None or list(known.copies.values()) == [self._confirmed] * 2:
            return
        try:
            await self._comparison.copies.write(known.installation, self._confirmed)
        except ServiceUnavailable as error:
            logger.debug("a store was not told of the last change", service=error.service, error=error.detail)

    async def _settled_young(self, newest: LastChange | None) -> LastChange | None:
        """What was the last change a while ago, if it is there still."""
        if newest is None:
            return None
        now = time.monotonic()
        if self._young is None:
            self._young = newest, now
        change, since = self._young
        if now - since < constants.RESTORES_LAG_S:
            return None
        self._young = newest, now
        return change if await self._is_there(change) else None

    async def _is_there(self, change: LastChange) -> bool:
        return bool(await fetch_value(self._pool, self._sql["is_there"], change.id, change.made_at))
