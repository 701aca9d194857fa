"""Nothing is handed out by a PostgreSQL that was restored from a backup, as long as nobody has settled that."""

from __future__ import annotations

from datetime import timedelta

from bot.errors import RestoreUnsettled
from bot.stores.last_changes import LastChange
from bot.stores.postgres import Connection, Pool, fetch_value, load_queries


class RestoreGate:
    """Asked by whatever hands something out, in the transaction that does it."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("restores")
        self._expected: tuple[int, object, timedelta] | None = None

    def expect(self, change: LastChange | None, kept: timedelta) -> None:
        """What PostgreSQL must have, if it is the one that this process knows; `kept`: how long it keeps such."""
        self._expected = (change.id, change.made_at, kept) if change is not None else None

    async def require_settled(self, connection: Connection) -> None:
        """`RestoreUnsettled`."""
        query, arguments = self._question()
        if await connection.fetchval(query, *arguments):
            raise RestoreUnsettled

    async def is_shut(self) -> bool:
        """The same as an answer, for work that is left for later."""
        query, arguments = self._question()
        return bool(await fetch_value(self._pool, query, *arguments))

    def _question(self) -> tuple[str, tuple[object, ...]]:
        if self._expected is None:
            return self._sql["is_unsettled"], ()
        return self._sql["is_unsettled_or_missing"], self._expected
