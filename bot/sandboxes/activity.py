"""When something last happened in each sandbox, and how many events it was sent: counted here, written in batches."""

from __future__ import annotations

from collections import Counter

from bot import names
from bot.stores.postgres import Pool, connected, load_queries


class ActivityLog:
    """Takes what has been counted by the prefix of the sandboxes' subjects. Any number of processes add up."""

    def __init__(self, pool: Pool, counted: Counter[str]) -> None:
        self._pool, self._counted = pool, counted
        self._sql = load_queries("sandboxes")

    async def write(self) -> int:
        """Write what was counted since the last time, one statement for all; returns for how many sandboxes.

        Nothing happened: nothing is written. What could not be written stays counted.
        """
        counted = dict(self._counted)
        self._counted.clear()
        if not counted:
            return 0
        sandbox_ids = [names.sandbox_of_subject(prefix) for prefix in counted]
        try:
            async with connected(self._pool) as connection:
                await connection.execute(self._sql["add_activity"], sandbox_ids, list(counted.values()))
        except BaseException:
            self._counted.update(counted)
            raise
        return len(counted)
