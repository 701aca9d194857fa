"""Opens a shard's session when this process has its lease, and closes it when another one has."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from bot.routing.leases import GatewayLeases, LeaseNotHeld
from bot.routing.sessions import Shard
from bot.supervisor import Part


class ShardClient(Protocol):
    """Who has the connections to Discord's gateway."""

    @property
    def shard_count(self) -> int | None:
        """Of all processes together; None before that is known."""

    @property
    def application_id(self) -> int | None:
        """None before the login."""

    async def wait_launchable(self) -> None:
        """Returns when shards may be launched."""

    async def launch(self, shard_id: int) -> None:
        """Open a shard's session, however often that takes; it is kept up from then on. `LeaseNotHeld`."""

    async def disconnect(self, shard_id: int) -> None:
        """Close a shard's connection, if there is one, and keep its session at Discord."""


class ShardLauncher:
    """Looks after each turn of the leases. Shards are launched at once: the connections keep the pauses that Discord
    wants by themselves, and one that waits for its turn to identify keeps none from resuming."""

    def __init__(self, client: ShardClient, leases: GatewayLeases, forget: Callable[[Shard], None]) -> None:
        """`forget` is told of a shard that another process has taken over."""
        self._client, self._leases, self._forget = client, leases, forget
        self._launched: dict[int, int] = {}
        """With the epochs of their leases then."""
        self._one_at_a_time: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """A shard whose lease was lost and won again is not launched beside its own launch from before."""

    async def run(self, part: Part) -> None:
        """For ever."""
        part.running()  # a standby waits, and there is nothing to launch
        await self._client.wait_launchable()
        async with asyncio.TaskGroup() as group:
            while True:
                part.running()
                for shard_id in self._lost():
                    del self._launched[shard_id]
                    group.create_task(self._close(shard_id))
                for shard_id in sorted(filter(self._leases.is_valid, self._leases.unopened)):
                    self._leases.unopened.remove(shard_id)
                    self._launched[shard_id] = self._leases.epoch_of(shard_id)
                    group.create_task(self._launch(shard_id))
                await self._leases.next_turn()

    async def disconnect(self) -> None:
        """Close all connections, to go on with their sessions here or elsewhere. For when `run` has ended."""
        await asyncio.gather(*(self._client.disconnect(shard_id) for shard_id in self._launched))

    def _lost(self) -> list[int]:
        return [shard_id for shard_id, epoch in self._launched.items() if self._leases.epoch_of(shard_id) != epoch]

    async def _launch(self, shard_id: int) -> None:
        with suppress(LeaseNotHeld):
            async with self._one_at_a_time[shard_id]:
                await self._client.launch(shard_id)
            if shard_id not in self._launched:  # lost meanwhile
                await self._client.disconnect(shard_id)

    async def _close(self, shard_id: int) -> None:
        self._forget(Shard(self._client.application_id or 0, self._client.shard_count or 1, shard_id))
        await self._client.disconnect(shard_id)
        self._leases.unopened.add(shard_id)
