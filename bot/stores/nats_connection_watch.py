"""Ends connections to NATS whose credentials count no more, on servers that could not be asked when that came to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import UUID

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_connections import Connection, LiveConnection, NatsConnections
from bot.stores.nats_servers import NatsServer
from bot.supervisor import Part, backoff

ReadAges = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, float | None]]]
"""For how many seconds each sandbox's credentials have been the only ones that count; None if none counts, infinite if
a clock that was set back leaves that open. Leaves out a sandbox that is not known. `ServiceUnavailable` if that cannot
be read."""


class ConnectionWatch:
    """Looks who is there, and checks a server when it is heard of for the first time, after it has not answered, and
    every now and then for what other processes have left undone. Any number of processes may do so."""

    def __init__(self, connections: NatsConnections, read_ages: ReadAges) -> None:
        self._connections, self._read_ages = connections, read_ages
        self._servers = connections.servers
        self._busy: set[str] = set()

    async def run(self, part: Part) -> None:
        """A part."""
        async with self._servers.hearing_shutdowns(), asyncio.TaskGroup() as checks:
            while True:
                pause_s = await self._look(part)
                for server in self._servers.list_due():
                    if server.id not in self._busy:
                        self._busy.add(server.id)
                        checks.create_task(self._check(server))
                await asyncio.sleep(pause_s)

    async def _look(self, part: Part) -> float:
        """In how many seconds to look again."""
        try:
            await self._servers.look()
        except ServiceUnavailable as error:
            part.failing(error)
            return constants.NATS_SERVERS_LOOKED_FOR_AGAIN_S
        part.running()
        return constants.NATS_SERVERS_LOOKED_FOR_EVERY_S

    async def _check(self, server: NatsServer) -> None:
        doubts = server.doubts
        try:
            await self._end_outdated(server)
        except ServiceUnavailable as error:
            server.is_unchecked = True
            logger.debug("a NATS server's connections cannot be checked", server=server.name, error=error.detail)
        else:
            server.settle(doubts)
        finally:
            self._busy.discard(server.id)

    async def _end_outdated(self, server: NatsServer) -> None:
        """Again until there is none, and nobody whose login was under way at the beginning: it may have been answered
        before the right to it ended. What is still under way after a while was answered by nobody, or is no login.
        Who is in doubt at each look is ended with the last."""
        until = time.monotonic() + constants.NATS_LOGIN_ENDS_WITHIN_S
        pending: set[Connection] | None = None
        doubtful: set[Connection] | None = None
        for pause_s in backoff(constants.NATS_CHECKED_AGAIN_FIRST_S, constants.NATS_CHECKED_AGAIN_LONGEST_S):
            found = await self._connections.list_live(server)
            outdated, in_doubt = await self._judge(found)
            doubtful = in_doubt if doubtful is None else doubtful & in_doubt
            is_last = time.monotonic() > until
            if ended := outdated | (doubtful if is_last else set()):
                await self._connections.disconnect(list(ended))
                logger.info("connections with ended credentials ended", server=server.name, count=len(ended))
            waiting = {each.connection for each in found if each.sandbox_id is None}
            pending = waiting if pending is None else pending & waiting
            if not outdated and (is_last or not (pending or doubtful)):
                return
            await asyncio.sleep(pause_s)

    async def _judge(self, found: Collection[LiveConnection]) -> tuple[set[Connection], set[Connection]]:
        """Those that began before the credentials that count now, and those that may have, for answers take their time.
        Durations alone are compared, each by one clock."""
        outdated: set[Connection] = set()
        in_doubt: set[Connection] = set()
        if not (sandbox_ids := {each.sandbox_id for each in found if each.sandbox_id is not None}):
            return outdated, in_doubt
        asked_at = time.monotonic()
        ages = await self._read_ages(sandbox_ids)
        answered_at = time.monotonic()
        for each in found:
            if each.sandbox_id is None or each.sandbox_id not in ages:
                continue
            age_s = ages[each.sandbox_id]
            if age_s is None or each.began_before < asked_at - age_s:
                outdated.add(each.connection)
            elif each.began_after < answered_at - age_s:
                in_doubt.add(each.connection)
        return outdated, in_doubt
