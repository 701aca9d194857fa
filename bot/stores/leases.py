"""What one process has at a time: leases in PostgreSQL, renewed every second, by its server's clock.

The process without one is a warm standby, which takes over when the lease is given back or has run out.
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

from asyncpg.prepared_stmt import PreparedStatement

from bot import constants
from bot.stores.failures import postgres_failure
from bot.stores.postgres import (
    LOST,
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


class Claim(NamedTuple):
    """What a process is to have: some or all of the `total` leases in a scope."""

    scope: int
    total: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claimant:
    """A process that has leases or waits for them. `held`: those that it has; it waits for the rest of its claim."""

    id: UUID
    name: str
    claim: Claim
    held: tuple[int, ...]

    @property
    def awaited(self) -> list[int]:
        """Those that it would take over."""
        return [lease for lease in self.claim.ids if lease not in self.held]


type TellLeases = Callable[[Mapping[int, int], Claim, Collection[Claimant], Collection[Claimant]], None]
"""Told of each turn: what is held, of which claim, the other claimants, and those with another total."""


class Leases:
    """Keeps this process's leases, over a connection of its own, which no other work delays."""

    def __init__(
        self, dsn: str, *, tell: TellLeases, is_alone: bool = False, tried_every_s: float | None = None
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
        self._tell = tell
        self.others: Collection[Claimant] | None = None
        """In the same scope, as PostgreSQL has said last; None before it was asked."""

    @property
    def held(self) -> Mapping[int, int]:
        """The epochs of the leases that this process has, as PostgreSQL has said last. They may have run out since; as
        long as nobody else has taken one, it goes on when PostgreSQL is back."""
        return self._held

    def epoch_of(self, lease: int) -> int:
        """0 if this process does not have it."""
        return self._held.get(lease, 0)

    def is_valid(self, lease: int) -> bool:
        """Whether nobody else can have taken it: only then something may be begun under it."""
        return lease in self._held and _now() < self._valid_until

    def may_act(self, lease: int, epoch: int) -> bool:
        """Whether it may go on with what it has begun under that epoch. So it may without PostgreSQL, when nobody takes
        a lease; after it stood still, only when PostgreSQL has answered. Asked for every event."""
        return self._held.get(lease) == epoch and clock_gettime(_CLOCK) <= self._doubtful_from

    async def next_turn(self) -> None:
        """Returns when `held` is new, or PostgreSQL has turned out to be away."""
        await self._turned.wait()

    async def wait_for_any(self) -> None:
        """Returns when this process has one."""
        while not self._held:
            await self.next_turn()

    async def keep(self, claim: Claim, part: Part) -> None:
        """Take these leases when they are free, and renew them, for ever. Goes on through outages."""
        while True:
            self._turn = asyncio.create_task(self._renew(claim))
            try:
                await asyncio.shield(self._turn)
            except LOST as error:
                part.failing(postgres_failure(error))
                self._end_turn(is_certain=False)
                pause_s = self._pause_s(has_all=False)
            else:
                part.running()
                self._end_turn(is_certain=True)
                pause_s = self._pause_s(has_all=len(self._held) == len(claim.ids))
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

    async def _renew(self, claim: Claim) -> None:
        """Cut short, it leaves no connection behind that is in the middle of something."""
        try:
            await self._connect()
            async with asyncio.timeout(constants.LEASE_ANSWER_WITHIN_S):
                await self._take_turn(claim)
        except BaseException:
            self._disconnect()
            raise

    async def _take_turn(self, claim: Claim) -> None:
        self._is_listed = True
        asked_at = _now()  # the lease runs from later on, so this process never believes in it for too long
        # No transaction: one that is cut short would first be rolled back, by a server that may be frozen.
        claimants = await self._beat(claim)
        strangers = [one for one in claimants if one.held and one.claim.total != claim.total]
        may_take = _now() >= self._may_take_from and not strangers
        lasts = timedelta(seconds=constants.LEASE_S)
        rows = await self._statements["keep"].fetch(self._id, *claim, lasts, may_take)
        self._held = {row["shard_id"]: row["epoch"] for row in rows}
        self._valid_until = asked_at + constants.LEASE_S
        self.others = [one for one in claimants if one.id != self._id]
        self._tell(self._held, claim, self.others, strangers)

    async def _beat(self, claim: Claim) -> list[Claimant]:
        every = timedelta(seconds=constants.LEASE_RENEWED_EVERY_S / 2)
        await self._statements["beat"].fetch(self._id, *claim, self._name, every)
        lately = timedelta(seconds=constants.LEASE_S)
        rows = await self._statements["list_processes"].fetch(claim.scope, lately)
        return _claimants(rows, claim.scope)

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


async def list_claimants(pool: Pool, scope: int) -> list[Claimant]:
    """Those that were there within the length of a lease, the oldest first; `ServiceUnavailable`."""
    query, lately = load_queries("leases")["list_processes"], timedelta(seconds=constants.LEASE_S)
    async with connected(pool) as connection:
        return _claimants(await connection.fetch(query, scope, lately), scope)


def _claimants(rows: Sequence[Record], scope: int) -> list[Claimant]:
    return [
        Claimant(row["id"], row["name"], Claim(scope, row["shard_count"], tuple(row["shard_ids"])), tuple(row["held"]))
        for row in rows
    ]


def _now() -> float:
    return clock_gettime(_CLOCK)
