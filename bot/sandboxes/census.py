"""How many sandboxes and notices there are, read now and then for metrics: whoever looks at them never waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from bot import constants
from bot.sandboxes.model import SandboxStatus
from bot.stores.postgres import Pool, connected, load_queries

_LIVING = [status for status in SandboxStatus if status is not SandboxStatus.DESTROYED]


@dataclass(frozen=True, slots=True)
class Count:
    """What PostgreSQL has at one moment, by status. `overdue_s`: for how long the one that should have left the status
    first has been due to."""

    sandboxes: dict[str, int]
    overdue_s: dict[str, float]
    notices: int
    oldest_notice_s: float
    read_at: float = field(default_factory=monotonic)

    @property
    def is_old(self) -> bool:
        """Whether it says nothing of now any more."""
        return monotonic() - self.read_at > constants.CENSUS_HOLDS_S


class Census:
    """`read` is one turn of a part; `last` is what it has found, None if that is too long ago."""

    def __init__(self, pool: Pool, grace: timedelta) -> None:
        self._pool, self._grace = pool, grace
        self._sql = load_queries("census")
        self._last: Count | None = None

    @property
    def last(self) -> Count | None:
        """Asks nobody."""
        return None if self._last is None or self._last.is_old else self._last

    async def read(self) -> None:
        """`ServiceUnavailable` without PostgreSQL."""
        async with connected(self._pool) as connection:
            rows = {row["status"]: row for row in await connection.fetch(self._sql["count_sandboxes"], self._grace)}
            notices = await connection.fetchrow(self._sql["count_notices"])
        assert notices is not None
        self._last = Count(
            {status: rows[status]["number"] if status in rows else 0 for status in _LIVING},
            {status: rows[status]["overdue_s"] if status in rows else 0.0 for status in _LIVING},
            notices["number"],
            notices["oldest_s"],
        )
