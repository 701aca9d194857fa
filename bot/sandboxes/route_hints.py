"""Hints at changed routes, for the routers of other processes, which would find them within a second anyway."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
from loguru import logger

from bot.errors import ServiceUnavailable
from bot.stores.postgres import Pool, connected, load_queries


class RouteHints:
    """By NOTIFY, after the commit of what it hints at: its queue is the whole server's and may be full."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("routes")

    async def send(self, guild_ids: Collection[int]) -> None:
        """Takes 0.2 s at most where others hold up all NOTIFYs. What fails is logged."""
        try:
            async with connected(self._pool) as connection:
                await connection.execute(self._sql["hint"], [str(guild_id) for guild_id in guild_ids])
        except (ServiceUnavailable, asyncpg.PostgresError) as error:
            logger.warning("no hint at changed routes: other processes read them within a second", error=repr(error))
