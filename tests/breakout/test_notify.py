"""What floods or fills PostgreSQL's queue of notifications harms nobody but its sandbox."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from bot import constants, names
from bot.clock import elapsed
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.access.notify_queue import NotifyQueueWatch
from bot.stores.embedded import EmbeddedStores
from bot.stores.postgres import load_queries
from bot.supervisor import Supervisor
from tests.breakout.conftest import ADA, BOB, open_world, until
from tests.breakout.flood import repeating
from tests.conftest import running_stores

GUILDS = range(300_000_000_000_000_000, 300_000_000_000_100_000)
NOTIFY = f"SELECT count(pg_notify('sandbox_routes', n::text)) FROM generate_series({GUILDS[0]}, {GUILDS[-1]}) AS n"
BURN = "SELECT count(sha256(repeat(n::text, 16)::bytea)) FROM generate_series(1, 100000) AS n"
EVENTS = 400
SLACK_S = 0.02
"""Of a machine that others use too: a flood that gets through costs ten times that."""


@asynccontextmanager
async def routing(world):
    """A bot's table of routes, kept true as a part of a supervisor."""
    table = RouteTable()
    watcher = RouteWatcher(
        world.stores.pool, world.stores.addresses.postgres, table, reload_every=timedelta(seconds=30)
    )
    await watcher.start()
    async with Supervisor() as supervisor:
        await supervisor.start("routes", watcher.run).wait_running()
        yield table


async def p99_of_events(world):
    """Seconds from the publishing of B's events, by the process that watches routes, to B's worker."""
    subject, stream = names.event_subject_prefix(world.b.sandbox.id) + "TYPING_START", world.b.sandbox.stream
    events = await world.b.nats.jetstream().pull_subscribe_bind(consumer=names.WORKER_CONSUMER, stream=stream)
    publisher, took = world.stores.nats.jetstream(), []
    for number in range(EVENTS):
        before, payload = time.monotonic(), b"%d" % number
        await publisher.publish(subject, payload)
        while True:  # past what the stream held before
            (event,) = await events.fetch(1, timeout=5)
            await event.ack()
            if event.data == payload:
                break
        took.append(time.monotonic() - before)
    await events.unsubscribe()
    return sorted(took)[math.ceil(EVENTS * 0.99) - 1]


async def test_a_flood_on_the_known_channel_slows_nobodys_events(world):
    async with routing(world) as table:
        async with repeating(world.a, BURN):
            beside_a_burner = await p99_of_events(world)
        async with repeating(world.a, NOTIFY):
            beside_a_flood = await p99_of_events(world)
            await world.manager.register_guild(BOB, world.b.sandbox.id, GUILDS[0])
            await until(lambda: table.lookup(GUILDS[0], elapsed()) is not None, 3)
            await world.manager.unregister_guild(BOB, GUILDS[0])
            await until(lambda: table.lookup(GUILDS[0], elapsed()) is None, 3)
    assert beside_a_flood <= max(3 * beside_a_burner, SLACK_S)


LOOKS = {
    "the table": "SELECT secret::text FROM sandbox_control.bot_keys",
    "the view": "SELECT secret::text FROM sandbox_control.valid_bot_keys",
    "the table by its old name": "SELECT secret::text FROM public.bot_keys",
    "channels": "SELECT pg_listening_channels()",
    "queries": "SELECT query FROM pg_stat_activity",
    "sources": "SELECT prosrc FROM pg_proc",
    "views": "SELECT definition FROM pg_views",
    "defaults": "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef",
}


async def test_no_worker_learns_the_channel(world):
    hint_channels = load_queries("routes")["list_hint_channels"]
    async with routing(world):
        await world.manager.register_guild(BOB, world.b.sandbox.id, GUILDS[2])
        ((channel,),) = await world.stores.pool.fetch(hint_channels)
        seen = []
        for look in LOOKS.values():
            with suppress(asyncpg.InsufficientPrivilegeError):
                seen += [str(row[0]) for row in await world.a.pg.fetch(look)]
        assert channel not in "".join(seen)
        assert channel.removeprefix("hint_") not in "".join(seen)
        await world.manager.unregister_guild(BOB, GUILDS[2])


@pytest.fixture(scope="module")
async def small(tmp_path_factory):
    """A world whose queue holds half a megabyte: to fill the 8 GB that are usual would take a disk."""
    folder = tmp_path_factory.mktemp("small-queue")
    async with EmbeddedStores(folder, durable=False, stores=frozenset({"postgres"})) as own:
        superuser = await asyncpg.connect(own.superuser_url("postgres"))
        await superuser.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")  # read at the next start
        await superuser.close()
    async with running_stores(folder) as own, open_world(own) as world:
        yield world


FILL = "SELECT pg_notify('own', repeat('x', 7000) || gen_random_uuid())"
MOST = 5000
"""More than fill such a queue and the buffers of a connection."""


async def fill(worker):
    """A worker's NOTIFYs, until the server takes no more; False if it took all of a bounded number."""
    for _ in range(MOST):
        try:
            await worker.pg.execute(FILL)
        except asyncpg.ProgramLimitExceededError:
            return True
    return False


class Holder:
    """A second session of the worker's that listens and keeps the queue from going on: in a transaction."""

    held = "idle in transaction"
    connection: Any

    def __init__(self, worker):
        self._worker = worker

    async def __aenter__(self):
        self.connection = await asyncpg.connect(self._worker.urls["SANDBOX_DATABASE_URL"])
        await self.connection.execute("LISTEN own")
        self._task = asyncio.create_task(self.hold())
        state, pid = "SELECT state FROM pg_stat_activity WHERE pid = $1", self.connection.get_server_pid()
        async with asyncio.timeout(5):
            while await self._worker.pg.fetchval(state, pid) != self.held:
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.connection.terminate()

    async def hold(self):
        await self.connection.execute("BEGIN")


class Chained(Holder):
    """In one young transaction after the other, without a moment between them."""

    held = "active"

    async def hold(self):
        await self.connection.execute("BEGIN")
        while True:
            await self.connection.execute("SELECT pg_sleep(0.3)")
            await self.connection.execute("COMMIT AND CHAIN")


class Looping(Chained):
    """The same in one statement."""

    async def hold(self):
        await self.connection.execute("DO $$ BEGIN LOOP PERFORM pg_sleep(0.3); COMMIT; END LOOP; END $$")


class Deaf(Holder):
    """With a client that takes nothing from its socket."""

    held = "idle"

    async def hold(self):
        self.connection._transport.pause_reading()


@pytest.mark.long
async def test_changes_go_through_though_the_queue_is_full(small):
    sandbox, guild = small.b.sandbox, GUILDS[1]
    async with routing(small) as table, Holder(small.a):
        assert await fill(small.a)
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await small.superuser.execute("NOTIFY sandbox_routes, '1'")
        await small.manager.register_guild(BOB, sandbox.id, guild)
        await until(lambda: table.lookup(guild, elapsed()) is not None, 3)
        await small.manager.extend_ttl(BOB, sandbox.id, timedelta(minutes=5))
        await small.manager.unregister_guild(BOB, guild)
        await until(lambda: table.lookup(guild, elapsed()) is None, 3)
        made = await small.manager.create(BOB, guild_ids=[guild])
        await small.manager.destroy(BOB, made.id)


@pytest.mark.parametrize("holder", [Holder, Chained, Looping, Deaf])
async def test_whoever_holds_up_the_queue_is_ended(small, holder):
    attacker, watch = await small.add(ADA), NotifyQueueWatch(small.stores.pool)
    async with holder(attacker), Supervisor() as supervisor:
        assert await fill(attacker)
        supervisor.start_periodic("notify queue", watch.relieve, timedelta(seconds=0.2))
        async with asyncio.timeout(5):
            while await used(small) > constants.NOTIFY_QUEUE_MOST_USED:
                await asyncio.sleep(0.01)
        await small.superuser.execute("NOTIFY sandbox_routes, '1'")
    assert await small.b.pg.fetchval("SELECT true")
    await attacker.close()


@pytest.mark.parametrize("longest", ["0s", "1h"])
async def test_the_bots_role_may_end_it_and_idle_sessions_are_spared(world, longest):
    """As if more than nothing were too much, for the usual queue cannot be filled here."""
    async with Holder(world.a) as held:
        relieve = "SELECT relieve_notify_queue(-1, $1::text::interval)"
        assert await world.stores.pool.fetchval(relieve, longest) == 1
        await until(held.connection.is_closed)
    for worker in (world.a, world.b):
        assert await worker.pg.fetchval("SELECT true")


async def used(world):
    return await world.superuser.fetchval("SELECT pg_notification_queue_usage()")
