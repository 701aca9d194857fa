"""Keeps PostgreSQL's table of locks from being filled by a sandbox: full, it lets nobody log in or write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import asyncpg
from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.sandboxes.model import AuditEvent
from bot.stores.postgres import Connection, load_queries
from bot.supervisor import Part


class LockGuard:
    """A session of its own that looks who holds how many locks, and ends all sessions of a sandbox with too many.

    While the table is full no login and hardly a statement gets through. So the session is there before, its statement
    is prepared, and it holds locks in reserve which that statement gives back before it needs some.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._sql = load_queries("locks")
        self._barred: dict[int, float] = {}  # roles, and until when by time.monotonic()
        self._untold: dict[str, int] = {}  # schema names, and how many locks were held

    async def run(self, part: Part) -> None:
        """One session's life; `ServiceUnavailable` at its end."""
        try:
            await self._guard(part)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServiceUnavailable("PostgreSQL", repr(error)) from error

    async def _guard(self, part: Part) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=constants.POSTGRES_CONNECT_WITHIN_S,
            command_timeout=constants.POSTGRES_ANSWER_WITHIN_S,
            server_settings={"application_name": "sandbox-bot", "search_path": "public"},
        )
        try:
            end_hoarders = await connection.prepare(self._sql["end_hoarders"])
            while True:
                most, reserve = constants.MOST_LOCKS_OF_A_SANDBOX, constants.LOCKS_IN_RESERVE
                self._bar(await end_hoarders.fetch(most, self._still_barred(), reserve))
                pause_s = constants.LOCKS_SEEN_AGAIN_EVERY_S if self._barred else constants.LOCKS_SEEN_EVERY_S
                try:
                    await connection.execute(self._sql["reserve"], reserve)
                    await self._audit(connection)
                except asyncpg.OutOfMemoryError:  # those who were ended are not gone yet
                    pause_s = constants.LOCKS_SEEN_AGAIN_EVERY_S
                part.running()
                await asyncio.sleep(pause_s)
        finally:
            connection.terminate()

    def _still_barred(self) -> list[int]:
        now = time.monotonic()
        self._barred = {role: until for role, until in self._barred.items() if until > now}
        return list(self._barred)

    def _bar(self, ended: Sequence[asyncpg.Record]) -> None:
        """Who was ended for its locks is ended for some time whenever it is there, before it holds as many again."""
        for row in ended:
            role, name, locks = row["role_id"], row["schema_name"], row["locks"]
            if role not in self._barred:
                self._barred[role] = time.monotonic() + constants.LOCK_HOARDER_BARRED_S
                self._untold[name] = locks
                logger.warning("a sandbox held too many locks: its sessions ended", schema=name, locks=locks)

    async def _audit(self, connection: Connection) -> None:
        while self._untold:
            name, locks = next(iter(self._untold.items()))
            await connection.execute(self._sql["audit"], name, AuditEvent.SESSIONS_ENDED, locks)
            del self._untold[name]
