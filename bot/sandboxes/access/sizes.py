"""What sandboxes take of PostgreSQL's disk, which is everybody's: measured by its catalogue, told of, and ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from loguru import logger

from bot import constants, fence
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.model import AuditEvent
from bot.stores.bars import Bars
from bot.stores.postgres import Connection, Pool, Record, fetch, fetch_value, in_transaction, load_queries


@dataclass(frozen=True, slots=True)
class SizeMarks:
    """In bytes: above `warned` owner and admins are told, above `most` its sessions are ended."""

    warned: int = 1024 * 1024 * 1024
    most: int = 4096 * 1024 * 1024


class SandboxSizes:
    """One bot looks, for it remembers whom it has let in; what a look finds is recorded, told and audited once.

    A sandbox that takes too much is shut out for a while, longer each time. In between it is let in for some seconds,
    so that its developer can drop or truncate something.
    """

    def __init__(self, pool: Pool, access: SandboxAccess, marks: SizeMarks | None = None) -> None:
        self._pool, self._access, self.marks = pool, access, marks or SizeMarks()
        self._sql = load_queries("sizes")
        self._bars = Bars[UUID](constants.LARGE_SANDBOX_BARRED_FIRST_S, constants.LARGE_SANDBOX_BARRED_LONGEST_S)
        self._let_in: set[UUID] = set()

    async def look(self) -> None:
        """Measure, and end the sessions of those that take too much, where PostgreSQL has any of theirs.
        `ServiceUnavailable` if it is away."""
        measured = await fetch(self._pool, self._sql["measure"], self.marks.warned)
        fence.require()
        over = await in_transaction(self._pool, lambda connection: self._record(connection, measured))
        fence.require()
        if self._access.isolation.postgres.enforced and (barred := self._choose(over)):
            await fetch(self._pool, self._sql["shut_out"], barred)
            await fetch_value(self._pool, self._sql["end_sessions"], barred)

    async def is_over(self, sandbox_id: UUID) -> bool:
        """Whether it took more than it may at the last look."""
        return bool(await fetch_value(self._pool, self._sql["is_over"], sandbox_id))

    async def _record(self, connection: Connection, measured: Iterable[Record]) -> list[Any]:
        sizes = {row["sandbox_id"]: row["bytes"] for row in measured}
        facts = list(sizes), list(sizes.values()), self.marks.most, AuditEvent.SESSIONS_ENDED
        await connection.execute(self._sql["lock"])
        return await connection.fetch(self._sql["record"], *facts)

    def _choose(self, over: Collection[Record]) -> list[UUID]:
        """Whom to keep out now: one that was let in again has until the next look to make room."""
        barred = []
        self._let_in &= {row["id"] for row in over}
        for row in over:
            sandbox_id = row["id"]
            if not self._bars.holds(sandbox_id) and row["may_connect"]:
                if row["is_newly_over"] or sandbox_id in self._let_in:
                    barred_s = self._bars.bar(sandbox_id)
                    facts = {"schema": row["schema_name"], "bytes": row["bytes"], "barred_s": barred_s}
                    logger.warning("a sandbox's sessions ended for its size", **facts)
                    self._let_in.discard(sandbox_id)
                else:
                    self._let_in.add(sandbox_id)
            if self._bars.holds(sandbox_id):
                barred.append(sandbox_id)
        return barred
