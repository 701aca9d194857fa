"""Keeps sandboxes from locking others out of PostgreSQL: by filling its table of locks, which lets nobody log in or
write, and by a lock on what is not theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from loguru import logger

from bot import constants
from bot.sandboxes.model import AuditEvent
from bot.stores.bars import Bars
from bot.stores.failures import postgres_failure
from bot.stores.postgres import LOST, Connection, load_queries
from bot.stores.postgres_hosts import connect
from bot.supervisor import Part

_IN_THE_WAY = (asyncpg.OutOfMemoryError, asyncpg.LockNotAvailableError, asyncpg.InternalServerError)
"""For a moment: those who were ended are not gone yet, or the same role is changed by somebody else."""

_OTHERS_WAITED_FOR = timedelta(seconds=constants.OTHERS_WAITED_FOR_S)


class LockGuard:
    """A session of its own that looks who holds how many locks, and ends all sessions of a sandbox with too many, or
    with one on what is another's that somebody waits for.

    Its role is shut out for a while, for others' logins find no room beside those that come back again and again. That
    is noted as any change of a role is, so that it is let in again by whoever finds the note, if this process dies too.

    While the table is full no login and hardly a statement gets through. So the session is there before, its statement
    is prepared, and it holds locks in reserve which that statement gives back before it needs some.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._sql = load_queries("locks")
        first_s, longest_s = constants.LOCK_HOARDER_BARRED_FIRST_S, constants.LOCK_HOARDER_BARRED_LONGEST_S
        self._bars = Bars[tuple[int, str]](first_s, longest_s)  # roles and their schemas' names
        self._untold: dict[str, int] = {}  # schema names, and how many locks were held

    async def run(self, part: Part) -> None:
        """One session's life; `ServiceUnavailable` at its end."""
        try:
            await self._guard(part)
        except LOST as error:
            raise postgres_failure(error) from error

    async def _guard(self, part: Part) -> None:
        connection = await connect(
            self._dsn, timeout=constants.POSTGRES_CONNECT_WITHIN_S, command_timeout=constants.POSTGRES_ANSWER_WITHIN_S
        )
        try:
            await connection.execute("SET lock_timeout = '200ms'")
            end_hoarders, end_blockers, shut_out = [
                await connection.prepare(self._sql[query]) for query in ("end_hoarders", "end_blockers", "shut_out")
            ]
            pause_s = constants.LOCKS_SEEN_AGAIN_EVERY_S
            while True:
                ended = blockers = None
                with suppress(*_IN_THE_WAY):
                    ended = await self._end_hoarders(connection, end_hoarders, pause_s)
                    self._bar(ended, "it held too many")
                    if barred := self._bars.held():
                        await shut_out.fetch([name for _, name in barred])
                    await connection.execute(self._sql["reserve"], constants.LOCKS_IN_RESERVE)
                    blockers = await end_blockers.fetch(_OTHERS_WAITED_FOR)
                    self._bar(blockers, "others waited for what is theirs")
                    await self._audit(connection)
                quiet = ended == blockers == []
                pause_s = constants.LOCKS_SEEN_EVERY_S if quiet else constants.LOCKS_SEEN_AGAIN_EVERY_S
                part.running()
        finally:
            connection.terminate()

    async def _end_hoarders(
        self, connection: Connection, end_hoarders: PreparedStatement, pause_s: float
    ) -> list[asyncpg.Record]:
        """After the pause, through which the locks are held that it needs besides the reserve, where there is room."""
        arguments = (
            constants.MOST_LOCKS_OF_A_SANDBOX,
            [role for role, _ in self._bars.held()],
            constants.LOCKS_IN_RESERVE,
        )
        try:
            async with connection.transaction():
                await connection.execute(self._sql["hold"])
                await asyncio.sleep(pause_s)
                return await end_hoarders.fetch(*arguments)
        except _IN_THE_WAY:
            await asyncio.sleep(constants.LOCKS_SEEN_AGAIN_EVERY_S)
            return await end_hoarders.fetch(*arguments)

    def _bar(self, ended: Sequence[asyncpg.Record], reason: str) -> None:
        for row in ended:
            role, name, locks = row["role_id"], row["schema_name"], row["locks"]
            if not self._bars.holds((role, name)):
                barred_s = self._bars.bar((role, name))
                self._untold[name] = locks
                facts = {"schema": name, "locks": locks, "barred_s": barred_s, "reason": reason}
                logger.warning("a sandbox's sessions ended for its locks", **facts)

    async def _audit(self, connection: Connection) -> None:
        while self._untold:
            name, locks = next(iter(self._untold.items()))
            await connection.execute(self._sql["audit"], name, AuditEvent.SESSIONS_ENDED, locks)
            del self._untold[name]
