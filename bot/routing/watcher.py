"""Keeps the route table true: a NOTIFY is a hint, a read of PostgreSQL the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from bot import names
from bot.errors import ServiceUnavailable
from bot.routing.table import Route, RouteTable
from bot.stores.postgres import Pool, connected, load_queries
from bot.supervisor import Part

_ANSWER_WITHIN_S = 3.0
_MOST_HINTS = 1000


class RouteWatcher:
    """Reads single routes when told, and all of them at start, after every reconnect and on a timer.

    Without PostgreSQL the table keeps the last known routes, which end at their own expiries.
    """

    def __init__(self, pool: Pool, dsn: str, table: RouteTable, *, reload_every: timedelta) -> None:
        self._pool, self._dsn, self._table = pool, dsn, table
        self._reload_every_s = reload_every.total_seconds()
        self._sql = load_queries("routes")
        self._hints: set[int] = set()
        self._overrun = False
        self._woken = asyncio.Event()

    async def start(self) -> None:
        """Read all routes once; `ServiceUnavailable` if PostgreSQL does not answer."""
        await self._reload()

    async def refresh(self, guild_ids: Collection[int]) -> None:
        """Read some guilds' routes now. When it returns, the table holds what was committed before the call."""
        ticket = self._table.ticket()
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["load_routes_of"], list(guild_ids))
        self._table.update(ticket, guild_ids, _routes(rows))

    async def run(self, part: Part) -> None:
        """Follow the changes over one connection; `ServiceUnavailable` when that is lost."""
        try:
            await self._listen(part)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServiceUnavailable("PostgreSQL", repr(error)) from error
        raise ServiceUnavailable("PostgreSQL", "the connection that hears of changed routes was lost")

    async def _listen(self, part: Part) -> None:
        """One connection's life; returns when the server has ended it."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_ANSWER_WITHIN_S,
            command_timeout=_ANSWER_WITHIN_S,
            server_settings={"application_name": "sandbox-bot"},
        )
        lost = asyncio.Event()

        def end(_: object) -> None:
            lost.set()
            self._woken.set()

        try:
            connection.add_termination_listener(end)
            await connection.add_listener(names.ROUTES_CHANNEL, self._on_notify)
            await self._reload()  # after LISTEN: what is committed between the two is seen by one of them
            part.running()
            while not lost.is_set():
                await self._follow()
                await connection.execute(self._sql["listen"])
        finally:
            connection.terminate()  # a dead line would not even take a goodbye

    async def _follow(self) -> None:
        try:
            async with asyncio.timeout(self._reload_every_s):
                await self._woken.wait()
        except TimeoutError:
            self._overrun = True
        self._woken.clear()
        hints, self._hints = self._hints, set()
        if self._overrun:
            self._overrun = False
            await self._reload()
        elif hints:
            await self.refresh(hints)

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Any role of the database may send one, and anything in it."""
        if not names.SNOWFLAKE_PATTERN.fullmatch(str(payload)):
            return
        if len(self._hints) < _MOST_HINTS:
            self._hints.add(int(str(payload)))
        else:
            self._overrun = True
        self._woken.set()

    async def _reload(self) -> None:
        ticket = self._table.ticket()
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["load_routes"])
        self._table.replace(ticket, _routes(rows))


def _routes(rows: Sequence[asyncpg.Record]) -> dict[int, Route]:
    """Guilds of one sandbox share their route."""
    of_sandbox: dict[UUID, Route] = {}
    routes: dict[int, Route] = {}
    for row in rows:
        sandbox_id = row["sandbox_id"]
        route = of_sandbox.get(sandbox_id)
        if route is None:
            route = Route(names.event_subject_prefix(sandbox_id), row["expires_at"].timestamp())
            of_sandbox[sandbox_id] = route
        routes[row["guild_id"]] = route
    return routes
