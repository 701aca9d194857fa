"""The bot's own secrets, in PostgreSQL, so that all its processes have the same, through any restart."""

from __future__ import annotations

import secrets

from bot import constants
from bot.stores.postgres import Connection, Pool, connected, load_queries, transaction


class KeyRing:
    """Keys by purpose, 32 random bytes each; one is made when it is first asked for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries("keys")

    async def current(self, purpose: str) -> bytes:
        """The one to make something with."""
        async with connected(self._pool) as connection:
            key = await self._current(connection, purpose)
        return key or await self._make(purpose)

    async def valid(self, purpose: str) -> tuple[bytes, ...]:
        """Those to check something with, the newest first: also what was retired within a day."""
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["valid_keys"], purpose, constants.RETIRED_KEY_VALID_FOR)
        return tuple(row["secret"] for row in rows)

    async def rotate(self, purpose: str) -> None:
        """Retire the current key, and make another one."""
        async with transaction(self._pool) as connection:
            await connection.execute(self._sql["lock_keys"])
            await connection.execute(self._sql["retire_keys"], purpose)
            await self._add(connection, purpose)

    async def _make(self, purpose: str) -> bytes:
        async with transaction(self._pool) as connection:
            await connection.execute(self._sql["lock_keys"])
            return await self._current(connection, purpose) or await self._add(connection, purpose)

    async def _current(self, connection: Connection, purpose: str) -> bytes | None:
        key: bytes | None = await connection.fetchval(self._sql["current_key"], purpose)
        return key

    async def _add(self, connection: Connection, purpose: str) -> bytes:
        key = secrets.token_bytes(32)
        await connection.execute(self._sql["add_key"], purpose, key)
        return key
