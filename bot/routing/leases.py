"""Which process may have a shard's gateway session: the one with the shard's lease.

Two processes with one session would cut each other's connection without end, and carry out every command twice.
"""

from __future__ import annotations

import asyncio

from bot.routing.lease_log import LeaseLog
from bot.stores.leases import Claim, Leases
from bot.supervisor import Part


class LeaseNotHeld(asyncio.CancelledError):
    """No session may be opened now. A cancellation, for that is what discord.py gives a connection up for, quietly."""


class Shards(Claim):
    """Of an application, which is the scope."""

    __slots__ = ()


class GatewayLeases(Leases):
    """Those of this process's shards."""

    def __init__(self, dsn: str, *, is_alone: bool = False) -> None:
        """`is_alone` as for `Leases`."""
        super().__init__(dsn, tell=LeaseLog().tell, is_alone=is_alone)
        self.unopened: set[int] = set()
        """Shards whose sessions wait for their leases to be opened; whoever opens one takes it out."""

    async def keep(self, claim: Claim, part: Part) -> None:
        """As of `Leases`."""
        self.unopened |= set(claim.ids) - self.held.keys()
        await super().keep(claim, part)
