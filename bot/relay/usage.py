"""How much sandboxes' own bots change in Discord, counted by sandbox, hour and operation: a line each is too many."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

from bot import constants
from bot.stores.postgres import Pool, load_queries, transaction

_KEPT = timedelta(seconds=constants.RELAY_USAGE_KEPT_S)


class Usage:
    """`count` is cheap; `write` puts down what has come together."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("relay_usage")
        self._requests: Counter[tuple[UUID, str]] = Counter()
        self._refused: Counter[tuple[UUID, str]] = Counter()
        self._writing = asyncio.Lock()

    def count(self, sandbox_id: UUID, operation: str, *, refused: bool) -> None:
        """One request, by the relay or by Discord refused or not."""
        self._requests[sandbox_id, operation] += 1
        self._refused[sandbox_id, operation] += refused

    async def write(self) -> None:
        """`ServiceUnavailable` without PostgreSQL; then it is all still here."""
        async with self._writing:
            requests, refused = self._requests.copy(), self._refused.copy()
            rows = [(*key, number, refused[key]) for key, number in requests.items()]
            async with transaction(self._pool) as connection:
                if rows:
                    await connection.executemany(self._sql["add"], rows)
                await connection.execute(self._sql["delete_old"], _KEPT)
            self._requests -= requests
            self._refused -= refused
