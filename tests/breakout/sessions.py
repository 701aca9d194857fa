"""Sessions of a worker in every store, the ways in which they end, and what a running bot does meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import redis.asyncio

from tests.breakout.by_hand import until_listening
from tests.breakout.conftest import ADA, until
from tests.breakout.raw import RawConnection, open_raw

WITHIN_S = 2.0
A_MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def open_sessions(world):
    """Those of one more worker."""
    worker = await world.add()
    opened = await Sessions(worker).open()
    yield opened
    await opened.close()
    await worker.close()


class Sessions:
    """Of a worker, busy in every way: idle, in a transaction, blocked, subscribed and pulling."""

    def __init__(self, worker):
        self.worker = worker

    async def open(self):
        url = self.worker.urls["SANDBOX_REDIS_URL"]
        self.busy = await asyncpg.connect(self.worker.urls["SANDBOX_DATABASE_URL"])
        await self.busy.execute("BEGIN; INSERT INTO communities (guild_id, name) VALUES (77, 'open')")
        self.sleeping = await asyncpg.connect(self.worker.urls["SANDBOX_DATABASE_URL"])
        self.query = asyncio.create_task(self.sleeping.execute("SELECT pg_sleep(30)"))
        self.blocked, self.subscribed, self.idle = (redis.asyncio.from_url(url, retry=None) for _ in range(3))
        self.pop: asyncio.Task[Any] = asyncio.create_task(
            self.blocked.blpop([self.worker.sandbox.redis_prefix + "empty"], timeout=30)
        )
        self.channel = self.subscribed.pubsub()
        await self.channel.subscribe(self.worker.sandbox.redis_prefix + "channel")
        await self.channel.get_message(timeout=1)
        self.listen = asyncio.create_task(self._listen())
        await self.idle.ping()
        self.held = list(self.idle.connection_pool._available_connections)
        jetstream, stream = self.worker.nats.jetstream(), self.worker.sandbox.stream
        self.pulled = await jetstream.pull_subscribe_bind(consumer="worker", stream=stream)
        self.fetch = asyncio.create_task(self.pulled.fetch(1, timeout=30))
        return self

    async def _listen(self):
        while True:
            await self.channel.get_message(timeout=30)

    def postgres_ended(self):
        return self.worker.pg.is_closed() and self.busy.is_closed() and self.query.done()

    def redis_ended(self):
        return self.pop.done() and self.listen.done() and all(_hung_up(connection) for connection in self.held)

    def nats_ended(self):
        return self.worker.nats.is_closed or not self.worker.nats.is_connected

    def ended(self):
        return self.postgres_ended() and self.redis_ended() and self.nats_ended()

    async def close(self):
        for connection in (self.busy, self.sleeping):
            connection.terminate()
        for task in (self.query, self.pop, self.listen, self.fetch):
            task.cancel()
        await asyncio.gather(self.query, self.pop, self.listen, self.fetch, return_exceptions=True)
        await self.channel.aclose()
        for client in (self.blocked, self.subscribed, self.idle):
            await client.aclose()


def _hung_up(connection):
    return connection._reader is None or connection._reader.at_eof()


@asynccontextmanager
async def reaping(world):
    """What a running bot does every second, every twentieth of one."""
    reaper = world.manager.make_reaper(warn_before=A_MINUTE, grace=A_MINUTE, stuck_after=A_MINUTE)

    async def turn():
        while True:
            await reaper.sweep()
            await world.manager.access.reconcile(A_MINUTE)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(turn())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def destroy(world, sandbox):
    await world.manager.destroy(ADA, sandbox.id)


async def rotate(world, sandbox):
    await world.manager.issue_credentials(ADA, sandbox.id, rotate=True)


async def expire(world, sandbox):
    """The reaper is running."""
    await move_expiry(world, sandbox, timedelta(seconds=-1))
    await until_async(lambda: has_status(world, sandbox, "expired"))


ENDS = [destroy, rotate, expire]


async def move_expiry(world, sandbox, to):
    """As waiting would, as far as PostgreSQL knows."""
    async with world.stores.pool.acquire() as connection:
        await connection.execute(
            "UPDATE sandboxes SET created_at = created_at - interval '1 h', expires_at = now() + $2 WHERE id = $1",
            sandbox.id,
            to,
        )
        await connection.execute(
            "SELECT set_sandbox_role_expiry(id, expires_at) FROM sandboxes WHERE id = $1", sandbox.id
        )


async def has_status(world, sandbox, status):
    return (await world.manager.get_by_id(sandbox.id)).status == status


async def until_async(condition, seconds=WITHIN_S):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def restart_redis(servers):
    if hasattr(servers, "restart_redis"):
        await servers.restart_redis()
        return
    killed = servers.pids["redis"]
    os.kill(killed, signal.SIGKILL)
    await until(lambda: servers.pids.get("redis", killed) != killed, 10)
    await until_listening(urlsplit(servers.redis_url).port)


async def logins(worker):
    """Which stores still let the worker in."""
    found = []
    for store, connect in (("PostgreSQL", to_postgres), ("Redis", to_redis), ("NATS", to_nats)):
        if connection := await connect(worker):
            found.append(store)
            await connection.close()
    return found


async def is_untouched(worker):
    return (
        await worker.pg.fetchval("SELECT name FROM communities") == "secret"
        and await worker.redis.get(worker.sandbox.redis_prefix + "string") == b"secret"
        and worker.nats.is_connected
    )


async def to_postgres(worker):
    with suppress(asyncpg.PostgresError, OSError):
        return await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])


async def to_postgres_and_close(worker):
    if connection := await to_postgres(worker):
        await connection.close()
    return connection is not None


async def end_all_sessions(world, worker):
    """Whatever a test has left behind, so that the next one finds a server with room."""

    async def are_ended():
        with suppress(asyncpg.OutOfMemoryError):
            return not await world.superuser.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", worker.sandbox.schema_name
            )
        return False

    await until_async(are_ended, 10)


async def to_redis(worker):
    connection = await open_raw(worker.urls["SANDBOX_REDIS_URL"])
    if await connection.authenticate(f"sandbox-{worker.sandbox.id}", worker.token):
        return connection
    await connection.close()
    return None


async def to_nats(worker):
    connection = await open_raw(worker.urls["SANDBOX_NATS_URL"])
    await connection.reader.readline()
    if await connection.log_in(**{"user": str(worker.sandbox.id), "pass": worker.token}):
        return connection
    await connection.close()
    return None


def is_closed(connection):
    return connection.is_closed if isinstance(connection, RawConnection) else connection.is_closed()
