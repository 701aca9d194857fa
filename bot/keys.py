"""Secrets that the bots of one database share, each for a purpose. They lie in PostgreSQL and can be rotated."""

from __future__ import annotations

from bot.stores.postgres import Pool, connected, fetch, load_queries, transaction

HINT_CHANNEL = "hint channel"
"""What the channel is named by that hints at changed routes: who knows it may flood it."""


class KeyRing:
    """Asks PostgreSQL each time, so that a rotation holds at once. Every method may raise `ServiceUnavailable`.

    A purpose without a key gets one when it is first asked for.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("keys")

    async def current(self, purpose: str) -> bytes:
        """What is to be used from now on: 32 random bytes."""
        return (await self.valid(purpose))[0]

    async def valid(self, purpose: str) -> tuple[bytes, ...]:
        """What is to be accepted: the current key and, for a day after a rotation, the one before it."""
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["list_valid"], purpose)
            if not rows:
                await connection.execute(self._sql["make"], purpose)
                rows = await connection.fetch(self._sql["list_valid"], purpose)  # another bot's, if that was sooner
        return tuple(row["secret"] for row in rows)

    async def all_of(self, purpose: str) -> tuple[bytes, ...]:
        """Those too that are to be accepted no more, as far as they are still there."""
        return tuple(row["secret"] for row in await fetch(self._pool, self._sql["list_all"], purpose))

    async def rotate(self, purpose: str) -> None:
        """Make another key the current one. Two rotations in a row end a key at once."""
        async with transaction(self._pool) as connection:
            await connection.execute(self._sql["lock"])
            for step in ("retire", "make", "forget"):
                await connection.execute(self._sql[step], purpose)

    async def purposes(self) -> list[str]:
        """All that have a key."""
        return [row["purpose"] for row in await fetch(self._pool, self._sql["list_purposes"])]
