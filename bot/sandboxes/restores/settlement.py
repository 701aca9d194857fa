"""How a restore is settled: what may have ended since the backup ends for good, and the bots go on."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NamedTuple
from uuid import UUID

from loguru import logger

from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.access.tokens import new_credentials
from bot.sandboxes.model import Actor, AuditEvent, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.sandboxes.restores.comparison import MismatchKind, RestoreComparison
from bot.stores.postgres import Connection, Pool, fetch, fetch_value, in_transaction, load_queries, transaction


class Settled(NamedTuple):
    """Whether there was a restore to settle, and of how many sandboxes the credentials were replaced."""

    was_unsettled: bool
    replaced: int


class RestoreSettlement:
    """Each step may be repeated. Until the last one nothing is handed out; after it every bot goes on by itself."""

    def __init__(self, pool: Pool, access: SandboxAccess, comparison: RestoreComparison) -> None:
        self._pool, self._access, self._comparison = pool, access, comparison
        self._records = SandboxRecords()
        self._sql, self._of_sandboxes = load_queries("restores"), load_queries("sandboxes")

    async def settle(self, actor: Actor, *, replace_all: bool = False) -> Settled:
        """Replace the credentials that are held, or those of all sandboxes, by such that nobody is shown.

        What has run out of time has its grace time from now on, for it may have been extended since the backup.
        """
        await fetch(self._pool, self._sql["mark_roles"])
        await self._replace_databases()
        rows = await fetch(self._pool, self._sql["list_to_replace"], replace_all)
        for row in rows:
            await self._replace_credentials(actor, row["sandbox_id"])
        found = Settled(await self._finish(actor, len(rows)), len(rows))
        known = await self._comparison.read_known()
        if found.was_unsettled and known.newest is not None:
            await self._comparison.copies.write(known.installation, known.newest)
        return found

    async def _replace_databases(self) -> None:
        """Where another sandbox has had the database since."""
        known = await self._comparison.read_known()
        for found in await self._comparison.find(known):
            if found.kind is MismatchKind.DATABASE:
                facts = (found.sandbox_id, found.redis_database, self._access.databases.candidates())
                number = await fetch_value(self._pool, self._sql["replace_database"], *facts)
                logger.warning("a sandbox has another database of Valkey's", sandbox=found.name, database=number)

    async def _replace_credentials(self, actor: Actor, sandbox_id: UUID) -> None:
        credentials = await asyncio.to_thread(new_credentials)

        async def replace(connection: Connection) -> None:
            sandbox = await self._records.lock(connection, sandbox_id)
            if sandbox.status in (SandboxStatus.RUNNING, SandboxStatus.EXPIRED):
                await self._access.save(connection, sandbox, credentials, replace=True)
                await self._access.mark_changed(connection, sandbox_id)
                await self._records.audit(
                    connection, sandbox_id, AuditEvent.CREDENTIALS_ISSUED, actor, {"reason": "restore"}
                )

        await in_transaction(self._pool, replace)
        await self._access.retries.attempt(sandbox_id, partial(self._access.apply, sandbox_id))

    async def _finish(self, actor: Actor, replaced: int) -> bool:
        """False if there was nothing to settle."""
        async with transaction(self._pool) as connection:
            over = [row["id"] for row in await connection.fetch(self._sql["list_out_of_time"])]
            noticed_at = await connection.fetchval(self._sql["settle"])
            if noticed_at is None:
                return False
            await connection.execute(self._sql["begin_grace"], over)
            details = {
                "noticed_at": noticed_at.isoformat(),
                "credentials_replaced": replaced,
                "operator": actor.account,
            }
            await connection.execute(self._of_sandboxes["audit_all"], AuditEvent.RESTORE_SETTLED, details)
        return True
