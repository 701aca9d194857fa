"""Nobody is let in by a replica of Valkey's or Redis's: users are the master's alone, and are not replicated."""

from __future__ import annotations

import redis.asyncio
from loguru import logger

from bot.stores.postgres import Pool, fetch, load_queries
from bot.stores.redis import RedisStore
from bot.stores.redis_client import list_replicas


class ReplicaUsers:
    """Takes from replicas the users of sandboxes. One that was the master has those of then, with credentials that may
    have been revoked since and databases that others may have now; also if it still takes itself for the master."""

    def __init__(self, pool: Pool, client: redis.asyncio.Redis) -> None:
        self._pool, self._client = pool, client
        self._sql = load_queries("failover")

    async def drop(self) -> None:
        """`ServiceUnavailable` if a store is away. A user whose sandbox this database does not know is left alone."""
        for replica in map(RedisStore, await list_replicas(self._client)):
            users = await replica.list_users()
            known = await fetch(self._pool, self._sql["list_known"], list(users)) if users else []
            for row in known:
                await replica.delete_user(row["id"])
            if known:
                logger.info("a replica of Valkey's or Redis's lets nobody in any more", sandboxes=len(known))
