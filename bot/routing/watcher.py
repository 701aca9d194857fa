"""Keeps the route table true: a NOTIFY is a hint, a read of PostgreSQL the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.routing.table import Route, RouteTable
from bot.stores.postgres import Pool, connected, load_queries
from bot.supervisor import Part


class RouteWatcher:
    """Reads single routes when told, and all of them at start, after every reconnect and on a timer.

    Without PostgreSQL the table keeps the last known routes, which end at their own expiries.
    """

    def __init__(self, pool: Pool, dsn: str, table: RouteTable, *, reload_every: timedelta) -> None:
        """The pool is for the reads; the connection that listens is one of its own, to `dsn`."""
        self._pool, self._dsn, self._table = pool, dsn, table
        self._reload_every_s = reload_every.total_seconds()
        self._sql = load_queries("routes")
        self._changed_guilds: set[int] = set()
        self._reload_needed = False
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Read all routes once; `ServiceUnavailable` if PostgreSQL does not answer."""
        await self._reload()

    async def refresh(self, guild_ids: Collection[int]) -> None:
        """Read some guilds' routes now. When it returns, the table holds what was committed before the call."""
        version = self._table.next_version()
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["load_routes_of"], list(guild_ids))
        self._table.update(version, guild_ids, _routes(rows))

    async def run(self, part: Part) -> None:
        """Apply the changes that one connection hears of, for as long as it lives; `ServiceUnavailable` at its end."""
        try:
            await self._listen_until_disconnected(part)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ServiceUnavailable("PostgreSQL", repr(error)) from error
        raise ServiceUnavailable("PostgreSQL", "the connection that hears of changed routes was lost")

    async def _listen_until_disconnected(self, part: Part) -> None:
        """One connection's life; returns when the server has ended it."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=constants.ROUTE_LISTEN_TIMEOUT_S,
            command_timeout=constants.ROUTE_LISTEN_TIMEOUT_S,
            server_settings={"application_name": "sandbox-bot"},
        )
        disconnected = asyncio.Event()

        def on_disconnect(_: object) -> None:
            disconnected.set()
            self._wake.set()

        try:
            connection.add_termination_listener(on_disconnect)
            await connection.add_listener(names.ROUTES_CHANNEL, self._on_notify)
            await self._reload()  # after LISTEN: what is committed between the two is seen by one of them
            part.running()
            while not disconnected.is_set():
                await self._apply_next_changes()
                # A line that is dead without a word brings no NOTIFY and no error: only a question that nobody answers
                # shows it, at the latest one timer and one timeout later. To LISTEN again changes nothing.
                await connection.execute(self._sql["listen"])
        finally:
            connection.terminate()  # a dead line would not even take a goodbye

    async def _apply_next_changes(self) -> None:
        """Waits for a change or the timer, and reads what they concern."""
        try:
            async with asyncio.timeout(self._reload_every_s):
                await self._wake.wait()
        except TimeoutError:
            self._reload_needed = True
        # Taken before the read: what is announced meanwhile, or fails to be read, must be read by the next one. A read
        # that fails ends the connection, and the next one begins with all routes.
        self._wake.clear()
        guild_ids, self._changed_guilds = self._changed_guilds, set()
        if self._reload_needed:
            self._reload_needed = False
            await self._reload()
        elif guild_ids:
            await self.refresh(guild_ids)

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Any role of the database may send one, and anything in it."""
        if not names.SNOWFLAKE_PATTERN.fullmatch(str(payload)):
            return
        if len(self._changed_guilds) < constants.CHANGED_GUILDS_REREAD:
            self._changed_guilds.add(int(str(payload)))
        else:
            self._reload_needed = True
        self._wake.set()

    async def _reload(self) -> None:
        version = self._table.next_version()
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["load_routes"])
        self._table.replace(version, _routes(rows))


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
