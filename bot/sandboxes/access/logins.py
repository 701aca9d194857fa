"""What workers' logins are checked by, as PostgreSQL has it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from bot.stores.nats_logins import Login
from bot.stores.postgres import Pool, fetch, load_queries


class LoginRecords:
    """Only a running sandbox with credentials has a login."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("access")

    async def look_up(self, sandbox_id: UUID) -> Login | None:
        """What a login is checked by now; None if the sandbox does not run or has no credentials."""
        rows = await fetch(self._pool, self._sql["get_login"], sandbox_id)
        return Login(**rows[0]) if rows else None

    async def look_up_all(self, sandbox_ids: Collection[UUID]) -> dict[UUID, Login]:
        """As `look_up`, for those that have a login."""
        rows = await fetch(self._pool, self._sql["get_logins"], list(sandbox_ids))
        return {(fields := dict(row)).pop("id"): Login(**fields) for row in rows}

    async def read_ages(self, sandbox_ids: Collection[UUID]) -> dict[UUID, float | None]:
        """A `ReadAges`, by which connections to NATS are checked."""
        rows = await fetch(self._pool, self._sql["get_ages"], list(sandbox_ids))
        return {row["id"]: row["age_s"] for row in rows}

    async def list_all(self) -> list[UUID]:
        """The sandboxes whose workers may log in now."""
        return [row["id"] for row in await fetch(self._pool, self._sql["list_logins"])]
