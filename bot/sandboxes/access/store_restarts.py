"""The embedded servers that the bot ends by itself because they cannot go on, and how that is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from loguru import logger

from bot import constants
from bot.concurrency import raise_first
from bot.errors import ServiceUnavailable, lack_of
from bot.sandboxes.model import AuditEvent
from bot.stores.embedded import EmbeddedStores
from bot.stores.postgres import Pool, connected, load_queries

_NAMES = {"postgres": "PostgreSQL", "redis": "Valkey", "nats": "NATS"}

TellAdmins = Callable[[str], Awaitable[None]]
"""Sends a text to each admin; `ServiceUnavailable` if that is to be tried again."""


class RestartLog:
    """Every restart stands in the log, in the audit log of all living sandboxes, and is told to the admins, as soon as
    PostgreSQL and Discord take it."""

    def __init__(self, pool: Pool, tell_admins: TellAdmins) -> None:
        self._pool, self._tell_admins = pool, tell_admins
        self._sql = load_queries("sandboxes")
        self._unaudited: list[dict[str, str]] = []
        self._untold: dict[str, str] = {}  # by server, the last of them

    def note(self, server: str, reason: str) -> None:
        """The bot has it started again; to be told."""
        logger.warning("the bot restarts an embedded server", server=server, reason=reason)
        self._unaudited.append({"server": server, "reason": reason})
        self._untold[server] = f"The bot has restarted {server}: {reason}. Whoever was connected connects again."

    async def tell(self) -> None:
        """What is still to be told. `ServiceUnavailable` if somebody does not take it yet."""
        raise_first(await asyncio.gather(self._audit(), self._tell(), return_exceptions=True))

    async def _audit(self) -> None:
        while self._unaudited:
            async with connected(self._pool) as connection:
                await connection.execute(self._sql["audit_all"], AuditEvent.STORE_RESTARTED, self._unaudited[0])
            del self._unaudited[0]

    async def _tell(self) -> None:
        for server, text in list(self._untold.items()):
            await self._tell_admins(text)
            if self._untold.get(server) == text:
                del self._untold[server]


class ServerRestarts:
    """Ends one embedded server, which is started again then: once a minute at most, and only when its folder can be
    written to, for one that answers half of all questions is better than one that cannot start."""

    def __init__(self, embedded: EmbeddedStores, store: str, log: RestartLog) -> None:
        self.embedded, self._store, self._log = embedded, store, log
        self._not_before = 0.0  # of time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether its last end is long enough ago, or forgiven."""
        return time.monotonic() >= self._not_before

    def forgive(self) -> None:
        """What its last end was for cannot come again: the next one need not wait."""
        self._not_before = 0.0

    async def hindrance(self) -> ServiceUnavailable | None:
        """Why it had better not be ended: its folder cannot be written to; None if it can."""
        try:
            async with asyncio.timeout(constants.SERVER_WRITES_WITHIN_S):
                await self.embedded.try_writing(self._store)
        except OSError as error:
            detail = f"its folder cannot be written to: {error.strerror or 'it takes too long'}"
            return ServiceUnavailable(_NAMES[self._store], detail, lack=lack_of(error))
        return None

    async def end(self, reason: str, *, reporting: bool = False) -> str | None:
        """None if it may not be ended now; else, if `reporting`, what it said at its end."""
        if not self.is_due or await self.hindrance() is not None:
            return None
        self._not_before = time.monotonic() + constants.STORE_RESTARTS_APART_S
        report = await self.embedded.end(self._store, reporting=reporting)
        self._log.note(_NAMES[self._store], reason)
        return report

    async def restart(self, reason: str) -> bool:
        """End it, and return when it answers again; False if that may not be now."""
        if await self.end(reason) is None:
            return False
        await self.embedded.wait_for(self._store)
        return True
