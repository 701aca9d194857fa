"""A sandbox's role in PostgreSQL: how it comes to be what is committed, whatever its sessions hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.postgres import Pool, fetch, fetch_value, in_transaction


class RoleUpdater:
    """Brings roles in line after the commit that has noted a change.

    A worker may hold the row of its role: it alters itself in a transaction that it keeps open. It cannot hold its
    membership in the group, without which it may not connect. So it is shut out, its sessions are ended, it is altered
    and let in again, in four transactions. Each may be repeated, by another process too; the note goes with the last.
    """

    def __init__(self, pool: Pool, sql: Mapping[str, str]) -> None:
        self._pool, self._sql = pool, sql

    async def update(self, sandbox_id: UUID, *, end_sessions: bool) -> None:
        """Without `end_sessions` they go on, unless one of them keeps the role from being altered.

        `ServiceUnavailable` if they come back faster than they are ended; the note stays.
        """
        for _ in range(constants.ROLE_UPDATE_ATTEMPTS):
            if end_sessions:
                await self._value("end_sessions_of_before", sandbox_id)
            if (noted_at := await fetch_value(self._pool, self._sql["get_role_changed_at"], sandbox_id)) is None:
                return
            if not await self._value("alter_role", sandbox_id, noted_at):
                await self._value("shut_out_role", sandbox_id)
                await self.end_borrowing()
                end_sessions = True
            elif await self._value("readmit_role", sandbox_id, noted_at):
                return
        raise ServiceUnavailable("PostgreSQL", "the sandbox's own sessions keep its role from being altered")

    async def end_borrowing(self) -> None:
        """No sandbox is a member of another one's role, and no session goes on that was."""
        rows = await fetch(self._pool, self._sql["revoke_borrowed_roles"])
        if borrowers := sorted({row["borrower"] for row in rows}):
            await self._value("end_sessions_of", borrowers)
            logger.warning("sandboxes that were members of another one's role", roles=borrowers)

    async def update_held_back(self) -> None:
        """Again, for those with a login that was held back over it and may have undone it."""
        since = timedelta(seconds=constants.HELD_BACK_AFTER_S)
        for row in await fetch(self._pool, self._sql["list_held_back"], since):
            await self._value("shut_out_role", row["id"])
            await self.update(row["id"], end_sessions=True)

    async def hand_over_schemas(self) -> None:
        """What an earlier version has made in sandboxes' schemas becomes their roles', some at a time. Who is connected
        goes on."""
        for row in await fetch(self._pool, self._sql["list_not_handed_over"], constants.SCHEMAS_HANDED_OVER_AT_A_TIME):
            if await self._value("hand_over", row["id"]):
                logger.info("a sandbox's role owns what is in its schema now", sandbox=str(row["id"]))

    async def _value(self, query: str, *arguments: object) -> Any:
        return await in_transaction(self._pool, lambda connection: connection.fetchval(self._sql[query], *arguments))
