"""Ends workers' sessions on PostgreSQL servers that do not take the bot's writes."""

from __future__ import annotations

import asyncio
from datetime import datetime

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.postgres import LOST, Connection, Pool, fetch_value, load_queries
from bot.stores.postgres_hosts import connect_to, several_hosts
from bot.supervisor import Part, Restarts, Supervisor
from sandbox_worker.addresses import Host

_RESTARTS = Restarts(constants.STANDBYS_SEEN_EVERY_S, 2 * constants.STANDBYS_SEEN_EVERY_S)


class StandbyGuard:
    """Of one host. A standby gets roles and passwords from the primary, but no word that a session ends, and a primary
    whose place another one has taken hears of nothing. Workers' addresses ask for the server that takes writes."""

    def __init__(self, dsn: str, host: Host, pool: Pool) -> None:
        self._dsn, self._host, self._pool = dsn, host, pool
        self._sql = load_queries("access")
        self.name = f"PostgreSQL {host}"

    async def run(self, part: Part) -> None:
        """A part. `ServiceUnavailable` if the host is away: it is tried again as soon as it may be back."""
        try:
            connection = await connect_to(
                self._dsn,
                self._host,
                timeout=constants.STANDBY_CONNECT_WITHIN_S,
                command_timeout=constants.STANDBY_ANSWERS_WITHIN_S,
            )
            try:
                await self._guard(connection, part)
            finally:
                connection.terminate()
        except LOST as error:
            raise ServiceUnavailable.because(self.name, error, f"workers there are not seen: {error!r}") from error

    async def _guard(self, connection: Connection, part: Part) -> None:
        own = await connection.fetchval(self._sql["server_started_at"])
        while True:
            if await self._is_misplaced(connection, own):
                await self._end_sessions(connection)
            part.running()
            await asyncio.sleep(constants.STANDBYS_SEEN_EVERY_S)

    async def _is_misplaced(self, connection: Connection, own: datetime) -> bool:
        """Also while there is no server that takes writes."""
        if await connection.fetchval(self._sql["is_standby"]):
            return True
        return bool(await fetch_value(self._pool, self._sql["server_started_at"]) != own)

    async def _end_sessions(self, connection: Connection) -> None:
        lasting = constants.MISPLACED_SESSIONS_LAST
        if ended := await connection.fetchval(self._sql["end_misplaced_sessions"], lasting):
            logger.info("workers' sessions on another server than the bot's ended", server=self.name, count=ended)


def start_standby_guards(supervisor: Supervisor, dsn: str, pool: Pool) -> None:
    """A part for each host of an address that has several; none for one that is alone."""
    for host in several_hosts(dsn):
        guard = StandbyGuard(dsn, host, pool)
        supervisor.start(guard.name, guard.run, _RESTARTS)
