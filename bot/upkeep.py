"""The upkeep, which one of several bots does for all: the one with its lease."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

from loguru import logger

from bot import constants, fence
from bot.concurrency import first_of
from bot.stores.leases import Claim, Claimant, Leases, list_claimants
from bot.stores.postgres import Pool
from bot.supervisor import Part, Run

_SCOPE, _LEASE = 0, 0
"""Not one of an application, as those of shards are."""


class Upkeep:
    """Whether this bot does it. A bot that dies is followed when its lease has run out, one that ends at once.

    What a bot does under the lease it stops when it has lost it, and one that stood still changes nothing before
    PostgreSQL has told it that it may.
    """

    def __init__(self, dsn: str, *, is_alone: bool = False) -> None:
        """`is_alone` as for `Leases`."""
        every_s = constants.LEASE_RENEWED_EVERY_S
        self._leases = Leases(dsn, tell=self._note_turn, is_alone=is_alone, tried_every_s=every_s)
        self._asked = asyncio.Event()
        self._told_epoch = 0

    async def keep(self, part: Part) -> None:
        """As a part, for ever: take the lease when it is free, and renew it."""
        await self._leases.keep(Claim(_SCOPE, 1, (_LEASE,)), part)

    async def give_back(self) -> None:
        """As of `Leases`."""
        await self._leases.give_back()

    @property
    def is_held(self) -> bool:
        """Whether this bot has the lease, and may act on it."""
        return self._may_act(self._epoch)

    async def epoch(self) -> int:
        """Of the lease, 0 where another bot has it; waits until PostgreSQL was asked once."""
        await self._asked.wait()
        return self._epoch

    async def wait_changed(self, epoch: int) -> None:
        """Returns when it is another one."""
        while self._epoch == epoch:
            await self._leases.next_turn()

    def while_held(self, run: Run) -> Run:
        """That part, at work while this bot has the lease. Elsewhere it counts as running: another bot does it."""

        async def run_while_held(part: Part) -> None:
            while True:
                await self._wait_held(part)
                with suppress(fence.LeaseLost):
                    epoch = self._epoch
                    await first_of(self._work(run, part, epoch), self._stop_when_lost(epoch))
                    return  # it ended by itself

        return run_while_held

    @property
    def _epoch(self) -> int:
        return self._leases.epoch_of(_LEASE)

    def _may_act(self, epoch: int) -> bool:
        return self._leases.may_act(_LEASE, epoch)

    async def _wait_held(self, part: Part) -> None:
        while not self._may_act(self._epoch):
            part.running()
            await self._leases.next_turn()

    async def _work(self, run: Run, part: Part, epoch: int) -> None:
        fence.put_up(lambda: self._may_act(epoch))
        await run(part)

    async def _stop_when_lost(self, epoch: int) -> None:
        await self.wait_changed(epoch)
        raise fence.LeaseLost

    def _note_turn(
        self,
        held: Mapping[int, int],
        claim: Claim,
        others: Collection[Claimant],
        strangers: Collection[Claimant],
    ) -> None:
        """A `TellLeases`: what has changed is told once."""
        before, self._told_epoch = self._told_epoch, held.get(_LEASE, 0)
        self._asked.set()
        if self._told_epoch == before:
            return
        if before:
            logger.warning("lost the upkeep to another bot", by=[one.name for one in others if one.held])
        if self._told_epoch:
            logger.info("this bot does the upkeep from now on")


async def find_upkeeper(pool: Pool) -> str | None:
    """The name of the bot that does the upkeep; None if none does. `ServiceUnavailable`."""
    return next((one.name for one in await list_claimants(pool, _SCOPE) if one.held), None)
