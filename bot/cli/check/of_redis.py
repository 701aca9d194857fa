"""Valkey or Redis: which servers, what keeps sandboxes apart, and what happens when the memory is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import redis.asyncio

from bot.cli.check.apart import tell_isolation
from bot.cli.check.clocks import compare_store
from bot.cli.check.surroundings import Surroundings
from bot.control_plane import open_redis_store
from bot.errors import ServiceUnavailable
from bot.findings import Finding, ok, warning
from bot.i18n import gettext, ngettext
from bot.sandboxes.access.databases import SandboxDatabases
from bot.stores.redis import RedisStore
from bot.stores.redis_client import ask_sentinels, list_replicas, watches_replicas
from bot.stores.redis_facts import describe_replica, read_clock, read_memory_limit
from sandbox_worker.addresses import Host


async def server(found: Surroundings) -> AsyncIterator[Finding]:
    """Its name and version; `ServiceUnavailable` for a replica."""
    store = _store(found, await found.redis.wait())
    yield ok(gettext("{server} answers.", server=await store.describe_server()))


async def hosts(found: Surroundings) -> AsyncIterator[Finding]:
    """Each Sentinel, and the replicas that could take the master's place."""
    client = await found.redis.get()
    if not watches_replicas(client):
        return
    for host, answer in await ask_sentinels(client):
        if isinstance(answer, Host):
            yield ok(gettext("The Sentinel {host} names {master} as the master.", host=host, master=answer))
        else:
            yield warning(
                gettext("The Sentinel {host} names no master: {detail}", host=host, detail=answer.detail),
                gettext("Start it, or take it out of REDIS_URL."),
            )
    for finding in await asyncio.gather(*map(_replica, await list_replicas(client))) or [_no_replica()]:
        yield finding


async def _replica(client: redis.asyncio.Redis) -> Finding:
    where = client.connection_pool.connection_kwargs
    host = Host(where["host"], where["port"])
    try:
        described = await describe_replica(client)
    except ServiceUnavailable as error:
        return warning(
            gettext("The replica {host} does not answer: {detail}", host=host, detail=error.detail),
            gettext("Start it: nothing could take the master's place."),
        )
    return ok(gettext("{host} is a replica, {server}.", host=host, server=described))


def _no_replica() -> Finding:
    return warning(
        gettext("No replica is up that could take the master's place."), gettext("Start one beside the master.")
    )


async def clock(found: Surroundings) -> AsyncIterator[Finding]:
    """By which keys expire."""
    client = await found.redis.get()
    yield await compare_store("Redis", partial(read_clock, client), found)


async def isolation(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether a sandbox's user is kept to its keys."""
    enforcement = await found.redis_isolation.wait()
    server = await _store(found, await found.redis.get()).describe_server()
    yield tell_isolation(server.partition(" ")[0], enforcement, found.settings)


async def databases(found: Surroundings) -> AsyncIterator[Finding]:
    """Of Valkey's own for sandboxes: how many are left, and what stands in the way of others."""
    pool, store = await found.migrated(), _store(found, await found.redis.get())
    of_sandboxes = SandboxDatabases(pool, store)
    async with found.redis_trial:
        await of_sandboxes.probe(trial=found.trials)
    if of_sandboxes.hindrance is not None:
        yield ok(gettext("Sandboxes share a database: {reason}.", reason=of_sandboxes.hindrance))
        return
    total, used, others = await of_sandboxes.describe()
    free = total - used - len(others)
    yield ok(gettext("Of {total} databases for sandboxes {free} are free.", total=total, free=free))
    if others:
        yield warning(
            ngettext(
                len(others),
                "Database {numbers} is not empty and not ours: no sandbox gets it.",
                "Databases {numbers} are not empty and not ours: no sandbox gets them.",
                numbers=", ".join(map(str, others)),
            ),
            gettext("Take them out of redis.databases, or empty them if nobody needs what is in them."),
        )
    if free < found.settings.sandboxes.max_per_owner:
        yield warning(
            gettext(
                "One developer may have {quota} sandboxes: those for which no database is free share one, each with "
                "its prefix.",
                quota=found.settings.sandboxes.max_per_owner,
            ),
            gettext("Name more in redis.databases, and raise `databases` of the server."),
        )


async def memory(found: Surroundings) -> AsyncIterator[Finding]:
    """What the server does when it has none left, and what it fills it with."""
    client = await found.redis.get()
    store = _store(found, client)
    limit, policy = await read_memory_limit(client)
    if limit == 0:
        yield warning(
            gettext("maxmemory is not set: one sandbox may take all memory of the server's machine."),
            gettext("Set maxmemory in its configuration."),
        )
    else:
        yield ok(gettext("It may take {megabytes} MB of memory.", megabytes=limit // (1024 * 1024)))
    if policy != "noeviction":
        yield warning(
            gettext("With maxmemory-policy {policy} it drops keys of sandboxes and of the bot's.", policy=policy),
            gettext("Set maxmemory-policy to noeviction."),
        )
    if found.trials and await store.keeps_refusals() and not await store.may_configure():
        yield warning(
            gettext("It keeps what workers are refused in memory, up to gigabytes."),
            gettext("Set acllog-max-len to 0 in its configuration, or let the bot use CONFIG."),
        )


def _store(found: Surroundings, client: redis.asyncio.Redis) -> RedisStore:
    return open_redis_store(found.settings, client, configures=False)
