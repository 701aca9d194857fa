"""Which process may have a shard's gateway session: a lease in PostgreSQL, renewed every second, by its server's clock.

Two processes with one session would cut each other's connection without end, and carry out every command twice. The one
without the lease is a warm standby, which takes over when the lease is given back or has run out.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import clock_gettime
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from bot import constants
from bot.routing.lease_log import LeaseLog
from bot.stores.failures import postgres_failure
from bot.stores.postgres import (
    UNREACHABLE,
    Connection,
    Pool,
    Record,
    connected,
    load_queries,
    prepare_connection,
)
from bot.stores.postgres_hosts import connect
from bot.supervisor import Part

_GONE = timedelta(seconds=constants.GATEWAY_PROCESS_FORGOTTEN_AFTER_S)
_PREPARED = ("beat", "list_processes", "keep", "give_back")
"""So that each takes one round trip."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, as PostgreSQL's does."""


class LeaseNotHeld(asyncio.CancelledError):
    """No session may be opened now. A cancellation, for that is what discord.py gives a connection up for, quietly."""


class Shards(NamedTuple):
    """What a process is to run: some or all of an application's `total` shards."""

    application_id: int
    total: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """A bot that runs shards or waits for them. `held`: those whose lease it has; it waits for the rest of its ids."""

    id: UUID
    name: str
    shards: Shards
    held: tuple[int, ...]

    @property
    def awaited(self) -> list[int]:
        """The shards that it would take over."""
        return [shard_id for shard_id in self.shards.ids if shard_id not in self.held]


type TellLeases = Callable[[Mapping[int, int], Shards, Collection[GatewayProcess], Collection[GatewayProcess]], None]
"""Told of each turn: what is held, of which shards, the other processes, and those with another number of shards."""


class GatewayLeases:
    """Keeps this process's leases, over a connection of its own, which no other work delays."""

    def __init__(
        self,
        dsn: str,
        *,
        is_alone: bool = False,
        tell: TellLeases | None = None,
        tried_every_s: float | None = None,
    ) -> None:
        """`is_alone`: no other bot can reach that database, so that whoever holds a lease there is no more.
        `tried_every_s`: how often one that is not free is asked for, `LEASE_TRIED_EVERY_S` if nothing is said."""
        self._dsn, self._is_alone, self._tried_every_s = dsn, is_alone, tried_every_s
        self._sql = load_queries("leases")
        self._id, self._name = uuid4(), f"{socket.gethostname()}, process {os.getpid()}"
        self._connection: Connection | None = None
        self._statements: dict[str, PreparedStatement[Record]] = {}
        self._held: dict[int, int] = {}
        self._valid_until = 0.0
        self._doubtful_from = float("inf")
        self._may_take_from, self._is_listed, self._has_failed = 0.0, False, False
        self._turned = asyncio.Event()
        self._turn: asyncio.Task[None] | None = None
        self.unopened: set[int] = set()
        """Shards whose sessions wait for their leases to be opened; whoever opens one takes it out."""
        self._tell = tell or LeaseLog().tell
        self.others: Collection[GatewayProcess] | None = None
        """The other processes that run shards of the application or wait for them, as PostgreSQL has said last; None
        before it was asked."""

    @property
    def held(self) -> Mapping[int, int]:
        """The epochs of the leases that this process has, by shard, as PostgreSQL has said last. They may have run out
        since; as long as nobody else has taken one, it goes on when PostgreSQL is back."""
        return self._held

    def epoch_of(self, shard_id: int) -> int:
        """0 if this process does not have its lease."""
        return self._held.get(shard_id, 0)

    def is_valid(self, shard_id: int) -> bool:
        """Whether nobody else can have taken the lease: only then a session may be opened."""
        return shard_id in self._held and _now() < self._valid_until

    def may_act(self, shard_id: int, epoch: int) -> bool:
        """Whether it may act on what comes in a session that was opened under that epoch. So it may without PostgreSQL,
        when nobody takes a lease; after it stood still, only when PostgreSQL has answered. Asked for every event."""
        return self._held.get(shard_id) == epoch and clock_gettime(_CLOCK) <= self._doubtful_from

    async def next_turn(self) -> None:
        """Returns when `held` is new, or PostgreSQL has turned out to be away."""
        await self._turned.wait()

    async def wait_for_any(self) -> None:
        """Returns when this process has the lease of a shard."""
        while not self._held:
            await self.next_turn()

    async def keep(self, shards: Shards, part: Part) -> None:
        """Take the leases of these shards when they are free, and renew them, for ever. Goes on through outages."""
        self.unopened |= set(shards.ids) - self._held.keys()
        while True:
            self._turn = asyncio.create_task(self._renew(shards))
            try:
                await asyncio.shield(self._turn)
            except (*UNREACHABLE, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                part.failing(postgres_failure(error))
                self._end_turn(is_certain=False)
                pause_s = self._pause_s(has_all=False)
            else:
                part.running()
                self._end_turn(is_certain=True)
                pause_s = self._pause_s(has_all=len(self._held) == len(shards.ids))
            await asyncio.sleep(pause_s)

    def _pause_s(self, *, has_all: bool) -> float:
        return constants.LEASE_RENEWED_EVERY_S if has_all else self._tried_every_s or constants.LEASE_TRIED_EVERY_S

    async def give_back(self) -> None:
        """At once, instead of letting them run out; `OSError` or one of asyncpg's if PostgreSQL is away."""
        self._doubtful_from = float("inf")
        self._valid_until = 0.0
        try:
            if self._turn is not None:  # a stop may have come in the middle of it
                await asyncio.wait({self._turn})
            if self._is_listed:
                await self._connect()
                await self._statements["give_back"].fetch(self._id)
        finally:
            self._held = {}
            self._disconnect()

    async def _renew(self, shards: Shards) -> None:
        """Cut short, it leaves no connection behind that is in the middle of something."""
        try:
            await self._connect()
            async with asyncio.timeout(constants.LEASE_ANSWER_WITHIN_S):
                await self._take_turn(shards)
        except BaseException:
            self._disconnect()
            raise

    async def _take_turn(self, shards: Shards) -> None:
        self._is_listed = True
        asked_at = _now()  # the lease runs from later on, so this process never believes in it for too long
        # No transaction: one that is cut short would first be rolled back, by a server that may be frozen.
        processes = await self._beat(shards)
        strangers = [one for one in processes if one.held and one.shards.total != shards.total]
        may_take = _now() >= self._may_take_from and not strangers
        lasts = timedelta(seconds=constants.LEASE_S)
        rows = await self._statements["keep"].fetch(self._id, *shards, lasts, may_take)
        self._held = {row["shard_id"]: row["epoch"] for row in rows}
        self._valid_until = asked_at + constants.LEASE_S
        self.others = [one for one in processes if one.id != self._id]
        self._tell(self._held, shards, self.others, strangers)

    async def _beat(self, shards: Shards) -> list[GatewayProcess]:
        every = timedelta(seconds=constants.LEASE_RENEWED_EVERY_S / 2)
        await self._statements["beat"].fetch(self._id, *shards, self._name, every)
        lately = timedelta(seconds=constants.LEASE_S)
        rows = await self._statements["list_processes"].fetch(shards.application_id, lately)
        return _processes(rows, shards.application_id)

    async def _connect(self) -> None:
        """On a far line far longer than a renewal. Meanwhile this process does not count as one that stands still."""
        if self._connection is not None and not self._connection.is_closed():
            return
        opening = asyncio.create_task(self._open())
        try:
            while not opening.done():
                await asyncio.wait({opening}, timeout=constants.LEASE_RENEWED_EVERY_S)
                self._end_turn(is_certain=False)
            await opening
        finally:
            opening.cancel()

    async def _open(self) -> None:
        async with asyncio.timeout(constants.POSTGRES_CONNECT_WITHIN_S):
            self._connection = connection = await connect(self._dsn)
            await prepare_connection(connection)
            self._statements = {name: await connection.prepare(self._sql[name]) for name in _PREPARED}
            await connection.execute(self._sql["forget_gone"], _GONE)
            if self._is_alone:
                await connection.execute(self._sql["free_all"], self._id)
        if self._has_failed:
            # PostgreSQL may have found all leases run out. Who had one should have it again, and goes first.
            self._may_take_from = _now() + constants.LEASE_ANSWER_WITHIN_S + constants.LEASE_TRIED_EVERY_S

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()  # a dead line would not even take a goodbye
            self._connection = None
        self._has_failed = True

    def _end_turn(self, *, is_certain: bool) -> None:
        """Who stood still has to hear from PostgreSQL; an answer that was late may be its own fault."""
        if is_certain or _now() <= self._doubtful_from:
            self._doubtful_from = _now() + constants.LEASE_DOUBTED_AFTER_S
        self._turned.set()
        self._turned.clear()


async def list_processes(pool: Pool, application_id: int) -> list[GatewayProcess]:
    """The bots that were there within the length of a lease, the oldest first; `ServiceUnavailable`."""
    query, lately = load_queries("leases")["list_processes"], timedelta(seconds=constants.LEASE_S)
    async with connected(pool) as connection:
        return _processes(await connection.fetch(query, application_id, lately), application_id)


def _processes(rows: Sequence[Record], application_id: int) -> list[GatewayProcess]:
    return [
        GatewayProcess(
            row["id"],
            row["name"],
            Shards(application_id, row["shard_count"], tuple(row["shard_ids"])),
            tuple(row["held"]),
        )
        for row in rows
    ]


def _now() -> float:
    return clock_gettime(_CLOCK)
