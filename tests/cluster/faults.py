"""What happens to the servers, each until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.cluster.servers import Cluster

type Fault = Callable[[Cluster], AbstractAsyncContextManager[set[str]]]
"""Begins on entering, and ends on leaving; in between these servers don't answer."""
type Which = Callable[[Cluster], Awaitable[str]]

FROZEN_S, KILLED_S = 10.0, 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, and how long it lasts at least."""

    name: str
    fault: Fault
    lasts_s: float


def kill(which: Which) -> Fault:
    """The server is started again on its data."""

    @asynccontextmanager
    async def killed(cluster: Cluster) -> AsyncIterator[set[str]]:
        server = cluster.servers[await which(cluster)]
        await server.kill()
        try:
            yield {server.name}
        finally:
            await server.start()

    return killed


def freeze(which: Which) -> Fault:
    @asynccontextmanager
    async def frozen(cluster: Cluster) -> AsyncIterator[set[str]]:
        server = cluster.servers[await which(cluster)]
        server.freeze()
        try:
            yield {server.name}
        finally:
            server.resume()

    return frozen


def together(*faults: Fault) -> Fault:
    @asynccontextmanager
    async def all_of_them(cluster: Cluster) -> AsyncIterator[set[str]]:
        async with AsyncExitStack() as stack:
            yield {name for fault in faults for name in await stack.enter_async_context(fault(cluster))}

    return all_of_them


@asynccontextmanager
async def promotion(cluster: Cluster) -> AsyncIterator[set[str]]:
    """The primary is lost, with nothing that the standby had not got, and comes back as the other one's standby."""
    lost = cluster.postgres.primary
    await cluster.postgres.synchronise()
    await cluster.servers[lost].kill()
    await cluster.postgres.promote()
    try:
        yield {lost}
    finally:
        await cluster.postgres.follow(lost)


@asynccontextmanager
async def failover(cluster: Cluster) -> AsyncIterator[set[str]]:
    """The master is lost, and comes back; the Sentinels notice both."""
    await cluster.valkey.until_whole()
    lost = await cluster.valkey.master()
    await cluster.servers[lost].kill()
    try:
        await cluster.valkey.until_master_is_not(lost)
        yield {lost}
    finally:
        await cluster.servers[lost].start()


@asynccontextmanager
async def ordered_failover(cluster: Cluster) -> AsyncIterator[set[str]]:
    """As before work on a machine: nobody is lost."""
    await cluster.valkey.until_whole()
    await cluster.valkey.fail_over()
    yield set()


@asynccontextmanager
async def frozen_master(cluster: Cluster) -> AsyncIterator[set[str]]:
    """The Sentinels make the replica the master meanwhile; the one that comes back believes to be it, too."""
    await cluster.valkey.until_whole()
    async with freeze(master)(cluster) as names:
        (name,) = names
        await cluster.valkey.until_master_is_not(name)
        yield names


async def primary(cluster: Cluster) -> str:
    return cluster.postgres.primary


async def standby(cluster: Cluster) -> str:
    return cluster.postgres.standby


async def master(cluster: Cluster) -> str:
    return await cluster.valkey.master()


async def replica(cluster: Cluster) -> str:
    await cluster.valkey.until_whole()
    now = await cluster.valkey.master()
    return next(name for name in ("valkey-1", "valkey-2") if name != now)


def named(name: str) -> Which:
    async def which(_: Cluster) -> str:
        await asyncio.sleep(0)
        return name

    return which


STEPS = (
    Step("kill nats-1", kill(named("nats-1")), KILLED_S),
    Step("kill Valkey's replica", kill(replica), KILLED_S),
    Step("kill PostgreSQL's standby", kill(standby), KILLED_S),
    Step("kill nats-2", kill(named("nats-2")), KILLED_S),
    Step("kill Valkey's master", failover, KILLED_S),
    Step("freeze PostgreSQL's standby", freeze(standby), FROZEN_S),
    Step("kill nats-3", kill(named("nats-3")), KILLED_S),
    Step("freeze nats-1", freeze(named("nats-1")), FROZEN_S),
    Step("freeze Valkey's replica", freeze(replica), FROZEN_S),
    Step("kill PostgreSQL's primary, promote", promotion, KILLED_S),
    Step("freeze nats-2", freeze(named("nats-2")), FROZEN_S),
    Step("freeze Valkey's master", frozen_master, FROZEN_S),
    Step("freeze PostgreSQL's primary", freeze(primary), FROZEN_S),
    Step("kill sentinel-1", kill(named("sentinel-1")), KILLED_S),
    Step("freeze nats-3", freeze(named("nats-3")), FROZEN_S),
    Step("freeze sentinel-2", freeze(named("sentinel-2")), FROZEN_S),
    Step("fail Valkey over by order", ordered_failover, KILLED_S),
)
"""By turns, so that each kind has time to become whole again: Sentinel takes ten seconds to see a new replica."""
