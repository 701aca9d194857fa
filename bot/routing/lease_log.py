"""What an operator reads in the log of who runs which shards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from loguru import logger

from bot.stores.leases import Claim, Claimant


class LeaseLog:
    """Tells what has changed, once."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}
        self._awaited: list[int] = []
        self._strangers: set[UUID] = set()

    def tell(
        self,
        held: Mapping[int, int],
        claim: Claim,
        others: Collection[Claimant],
        strangers: Collection[Claimant],
    ) -> None:
        """`strangers` run the application with another number of shards."""
        taken = {shard_id: epoch for shard_id, epoch in held.items() if self._held.get(shard_id) != epoch}
        if lost := [shard_id for shard_id, epoch in self._held.items() if held.get(shard_id) != epoch]:
            logger.warning("lost shards to another bot, their connections are closed", shards=lost, by=_names(others))
        if taken:
            logger.info("took over shards", shards=list(taken), of=claim.total)
        awaited = [shard_id for shard_id in claim.ids if shard_id not in held]
        if awaited and awaited != self._awaited:
            holders = [one for one in others if one.held]
            logger.info("standby: another bot runs these shards", shards=awaited, held_by=_names(holders))
        self._held, self._awaited = dict(held), awaited
        self._tell_strangers(claim, strangers)

    def _tell_strangers(self, claim: Claim, strangers: Collection[Claimant]) -> None:
        """Their sessions are others: nothing could be taken over, and side by side each event would come twice."""
        if new := [one for one in strangers if one.id not in self._strangers]:
            logger.warning(
                "another bot runs with another number of shards; this one takes no shard before that one has ended. "
                "Give both the same [discord] shard_count, or stop the other one",
                here=claim.total,
                there=sorted({one.claim.total for one in new}),
                held_by=_names(new),
            )
        self._strangers = {one.id for one in strangers}


def _names(claimants: Collection[Claimant]) -> list[str]:
    return [one.name for one in claimants]
