"""PostgreSQL's queue of notifications, which is the whole server's: a listener that reads nothing fills it for all."""

from __future__ import annotations

from datetime import timedelta

from loguru import logger

from bot import constants
from bot.stores.postgres import Pool, connected, load_queries

_LONGEST = timedelta(seconds=constants.NOTIFY_QUEUE_LONGEST_TRANSACTION_S)


class NotifyQueueWatch:
    """Ends the sandboxes' sessions that hold it up."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("access")

    async def relieve(self) -> int:
        """One look; how many sessions were ended. `ServiceUnavailable` if PostgreSQL is away."""
        async with connected(self._pool) as connection:
            most_used = constants.NOTIFY_QUEUE_MOST_USED
            ended: int = await connection.fetchval(self._sql["relieve_notify_queue"], most_used, _LONGEST)
        if ended:
            logger.warning("sessions of sandboxes ended that may hold up PostgreSQL's notifications", sessions=ended)
        return ended
