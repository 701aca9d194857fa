"""The audit log as a whole: written out, and kept for its time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from bot import constants
from bot.sandboxes.model import AuditEntry
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Pool, connected


class AuditLog:
    """Of all sandboxes; `SandboxRecords.audit` writes it. `ServiceUnavailable` while PostgreSQL is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._records = SandboxRecords()

    async def read(
        self, sandbox_id: UUID | None = None, since: timedelta | None = None
    ) -> AsyncIterator[list[AuditEntry]]:
        """Oldest first, some at a time: of one sandbox or all, of the last time `since` or ever.

        What is written meanwhile may be missing, also before what is there: it was not committed yet.
        """
        after = 0
        async with connected(self._pool) as connection:
            begins_at = await self._records.now(connection) - since if since is not None else None
        while True:
            async with connected(self._pool) as connection:
                page = (after, sandbox_id, begins_at, constants.AUDIT_ENTRIES_AT_ONCE)
                rows = await self._records.rows(connection, "read_audit_log", *page)
            if not rows:
                return
            yield [AuditEntry(**row) for row in rows]
            after = rows[-1]["id"]

    async def expire(self, retention: timedelta) -> int:
        """Delete what is older, but for what was done with sandboxes that have not ended; how many entries those
        were."""
        deleted = 0
        while True:
            async with connected(self._pool) as connection:
                limit = constants.AUDIT_ENTRIES_AT_ONCE
                rows = await self._records.rows(connection, "delete_audit", retention, limit)
            deleted += len(rows)
            if len(rows) < limit:
                return deleted
