"""Keeps the route table true: PostgreSQL counts the changes, and a NOTIFY only hints that there is one to read."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import asyncpg
from loguru import logger

from bot import constants, names
from bot.clock import elapsed
from bot.errors import ServiceUnavailable
from bot.keys import HINT_CHANNEL, KeyRing
from bot.routing.table import Route, RouteTable
from bot.stores.failures import postgres_failure
from bot.stores.postgres import LOST, Connection, Pool, connected, load_queries, prepare_connection
from bot.stores.postgres_hosts import connect
from bot.supervisor import Part


class RouteWatcher:
    """Reads what has changed every second and at each hint; and all routes at start, after every reconnect and on a
    timer.

    Without PostgreSQL the table keeps the last known routes, which end at their own expiries.
    """

    def __init__(self, pool: Pool, dsn: str, table: RouteTable, *, reload_every: timedelta) -> None:
        """Changes are read over a connection of its own, to `dsn`, which no other work delays."""
        self._pool, self._dsn, self._table = pool, dsn, table
        self._reload_every_s = reload_every.total_seconds()
        self._sql, self._keys = load_queries("routes"), KeyRing(pool)
        self._revision = 0
        """Changes up to this one are in the table."""
        self._hints = 0
        """Heard since all routes were read."""
        self._read_at = -math.inf
        self._wake = asyncio.Event()

    @property
    def age_s(self) -> float:
        """How long ago the table was up to date; inf if it never was."""
        return elapsed() - self._read_at

    async def start(self) -> None:
        """Read all routes once; `ServiceUnavailable` if PostgreSQL does not answer."""
        async with connected(self._pool) as connection:
            await self._reload(connection)

    async def refresh(self, guild_ids: Collection[int]) -> None:
        """Read some guilds' routes now. When it returns, the table holds what was committed before the call."""
        version = self._table.next_version()
        async with connected(self._pool) as connection:
            asked_at = elapsed()
            rows = await connection.fetch(self._sql["load_routes_of"], list(guild_ids))
        self._table.update(version, guild_ids, _routes(rows, asked_at))

    async def run(self, part: Part) -> None:
        """Follow the changes over one connection, for as long as it lives; `ServiceUnavailable` at its end."""
        try:
            await self._follow_until_disconnected(part)
        except LOST as error:
            raise postgres_failure(error) from error
        raise ServiceUnavailable("PostgreSQL", "the connection that hears of changed routes was lost")

    async def _follow_until_disconnected(self, part: Part) -> None:
        """One connection's life; returns when the server has ended it."""
        connection = await connect(
            self._dsn, timeout=constants.POSTGRES_CONNECT_WITHIN_S, command_timeout=constants.ROUTE_LISTEN_TIMEOUT_S
        )
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            await prepare_connection(connection)
            while not connection.is_closed():
                channels = await self._listen(connection)
                # After LISTEN: what is committed between the two is seen by one of them. And on the same server: one
                # whose place this one has taken may have counted other revisions.
                await self._reload(connection)
                part.running()
                await self._follow(connection, channels)
                await self._stop_listening(connection, channels)
        finally:
            connection.terminate()  # a dead line would not even take a goodbye

    async def _listen(self, connection: Connection) -> list[str]:
        """The channels that are valid now, on which it listens from now on."""
        await self._keys.current(HINT_CHANNEL)  # so that there is one
        channels = [row["channel"] for row in await connection.fetch(self._sql["list_hint_channels"])]
        for channel in channels:
            await connection.add_listener(channel, self._on_hint)
        return channels

    async def _stop_listening(self, connection: Connection, channels: Collection[str]) -> None:
        for channel in channels:
            await connection.remove_listener(channel, self._on_hint)

    async def _follow(self, connection: Connection, channels: Collection[str]) -> None:
        """Until it is time to read all routes again, or the connection is lost. On a line that is dead without a word
        nobody answers a read."""
        until = time.monotonic() + self._reload_every_s
        while time.monotonic() < until and not connection.is_closed():
            await self._wait_for_hint()
            if self._hints > constants.ROUTE_HINTS_HEARD:
                await self._stop_listening(connection, channels)
                logger.warning("the channel for hints is flooded: somebody knows it; `sandbox-bot rotate-keys` helps")
                self._hints = 0
            await self._read_changes(connection)

    async def _wait_for_hint(self) -> None:
        """Or for a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(constants.ROUTES_READ_EVERY_S, self._reload_every_s)):
                await self._wake.wait()
        self._wake.clear()  # before the read: what is hinted at meanwhile must be read by the next one

    def _on_hint(self, *_: object) -> None:
        """Whoever knows the channel may send one, and anything in it."""
        self._hints += 1
        self._wake.set()

    async def _read_changes(self, connection: Connection) -> None:
        version, asked_at = self._table.next_version(), elapsed()
        changes = await connection.fetch(self._sql["load_changes"], self._revision)
        if changes:
            open_routes = _routes([row for row in changes if row["sandbox_id"] is not None], asked_at)
            self._table.update(version, [row["guild_id"] for row in changes], open_routes)
            self._revision = max(row["revision"] for row in changes)
        self._read_at = asked_at

    async def _reload(self, connection: Connection) -> None:
        version, self._hints = self._table.next_version(), 0
        revision = await connection.fetchval(self._sql["load_revision"])
        asked_at = elapsed()
        rows = await connection.fetch(self._sql["load_routes"], timeout=constants.POSTGRES_ANSWER_WITHIN_S)
        self._table.replace(version, _routes(rows, asked_at))
        self._revision, self._read_at = revision, asked_at


def _routes(rows: Sequence[asyncpg.Record], asked_at: float) -> dict[int, Route]:
    """Guilds of one sandbox share their route, which ends after what remained of it when PostgreSQL was asked at the
    earliest: it dates the end, and nobody else's date is compared with that."""
    of_sandbox: dict[UUID, Route] = {}
    routes: dict[int, Route] = {}
    for row in rows:
        sandbox_id = row["sandbox_id"]
        route = of_sandbox.get(sandbox_id)
        if route is None:
            route = Route(names.event_subject_prefix(sandbox_id), asked_at + row["remaining_s"])
            of_sandbox[sandbox_id] = route
        routes[row["guild_id"]] = route
    return routes
