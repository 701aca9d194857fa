"""The end of a sandbox's credentials: nothing is left of A's sessions two seconds later, and B's go on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis.asyncio

from bot.sandboxes.reaper import Reaper
from tests.breakout.conftest import ADA, furnish_redis, until
from tests.breakout.raw import RawConnection, open_raw

WITHIN_S = 2.0
A_MINUTE = timedelta(minutes=1)


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


@pytest.fixture
async def sessions(world):
    worker = await world.add()
    opened = await Sessions(worker).open()
    yield opened
    await opened.close()
    await worker.close()


@asynccontextmanager
async def reaping(world):
    """What a running bot does every second, every twentieth of one."""
    reaper = Reaper(world.manager, warn_before=A_MINUTE, grace=A_MINUTE, stuck_after=A_MINUTE)

    async def turn():
        while True:
            await reaper.sweep()
            await world.manager.access.keep(A_MINUTE)
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
    await until_async(lambda: _is(world, sandbox, "expired"))


ENDS = [destroy, rotate, expire]


async def move_expiry(world, sandbox, to):
    """As waiting would, as far as PostgreSQL knows."""
    async with world.stores.pool.acquire() as connection:
        await connection.execute(
            "UPDATE sandboxes SET created_at = created_at - interval '1 h', expires_at = now() + $2 WHERE id = $1",
            sandbox.id,
            to,
        )
        at = await connection.fetchval("SELECT expires_at FROM sandboxes WHERE id = $1", sandbox.id)
        await world.manager.access.set_expiry(connection, sandbox.id, at)


async def _is(world, sandbox, status):
    return (await world.manager.get_by_id(sandbox.id)).status == status


async def until_async(condition, seconds=WITHIN_S):
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def logins(worker):
    """Which stores still let the worker in."""
    found = []
    for store, connect in (("PostgreSQL", _to_postgres), ("Redis", _to_redis), ("NATS", _to_nats)):
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


@pytest.mark.parametrize("end", ENDS)
async def test_every_session_ends_within_two_seconds_and_none_begins(world, sessions, end):
    b_client = world.b.nats._client_id
    began = time.monotonic()
    async with reaping(world):
        await end(world, sessions.worker.sandbox)
        await until(sessions.ended, WITHIN_S)
    assert await logins(sessions.worker) == []
    assert time.monotonic() - began < WITHIN_S + 0.5  # three refused logins come on top
    assert await is_untouched(world.b)
    assert world.b.nats._client_id == b_client


async def test_rotated_credentials_work_at_once(world, sessions):
    worker = await world.employ(sessions.worker.sandbox)
    await world.manager.access.keep(A_MINUTE)
    assert not worker.pg.is_closed()
    assert await logins(worker) == ["PostgreSQL", "Redis", "NATS"]
    await worker.close()


async def test_without_a_bot_new_logins_to_postgresql_fail_at_the_expiry_and_nats_ends_its_connections(world):
    sandbox = await world.manager.create(ADA, ttl=timedelta(seconds=2))
    worker = await world.employ(sandbox)
    await until(lambda: worker.nats.is_closed, 4)
    await until_async(lambda: _postgres_refuses(worker), 4)
    assert "NATS" not in await logins(worker)
    await worker.close()
    await destroy(world, sandbox)


async def _postgres_refuses(worker):
    try:
        await (await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])).close()
    except asyncpg.InvalidPasswordError:
        return True
    return False


@pytest.mark.parametrize("end", ENDS)
async def test_logins_that_race_the_end_leave_nothing_behind(world, end):
    """Every connection that got in is gone two seconds later; of a rotation, none of the old token's is left."""
    worker, opened, stop = await world.add(), [], asyncio.Event()

    async def log_in(connect):
        while not stop.is_set():
            await asyncio.sleep(0)
            if connection := await connect(worker):
                opened.append(connection)

    racing = [asyncio.create_task(log_in(connect)) for connect in (_to_postgres, _to_redis, _to_nats) for _ in range(2)]
    async with reaping(world):
        try:
            await until(lambda: len(opened) > 10)
            await end(world, worker.sandbox)
            await asyncio.wait(racing, timeout=0.3)
        finally:
            stop.set()
            await asyncio.gather(*racing)
        await until(lambda: all(_is_closed(each) for each in opened), WITHIN_S)
    for each in opened:
        await each.close()
    await worker.close()


async def _to_postgres(worker):
    with suppress(asyncpg.PostgresError, OSError):
        return await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"])


async def _to_redis(worker):
    connection = await open_raw(worker.urls["SANDBOX_REDIS_URL"])
    if await connection.authenticate(f"sandbox-{worker.sandbox.id}", worker.token):
        return connection
    await connection.close()
    return None


async def _to_nats(worker):
    connection = await open_raw(worker.urls["SANDBOX_NATS_URL"])
    await connection.reader.readline()
    if await connection.log_in(**{"user": str(worker.sandbox.id), "pass": worker.token}):
        return connection
    await connection.close()
    return None


def _is_closed(connection):
    return connection.is_closed if isinstance(connection, RawConnection) else connection.is_closed()


async def test_a_login_to_postgresql_held_back_over_a_rotation_does_not_last(world):
    """The server has read the old verifier at the beginning of the exchange; the last answer comes after its end."""
    worker = await world.add()
    async with held_back(world) as (port, asked, go_on):
        late = asyncio.create_task(
            asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"], host="127.0.0.1", port=port, ssl=False)
        )
        await asyncio.wait_for(asked.wait(), 5)
        await rotate(world, worker.sandbox)
        go_on.set()
        with suppress(asyncpg.PostgresError):
            connection = await late
            await world.manager.access.keep(A_MINUTE)
            await until(connection.is_closed, WITHIN_S)
    await worker.close()


@asynccontextmanager
async def held_back(world):
    """A way to PostgreSQL on which the last message of the login waits."""
    target, asked, go_on = urlsplit(world.servers.database_url), asyncio.Event(), asyncio.Event()

    async def forward(reader, writer, hold):
        with suppress(OSError):
            count = 0
            while data := await reader.read(65536):
                count += 1
                if hold and count == 3:  # after the startup message and the first of SCRAM
                    asked.set()
                    await go_on.wait()
                writer.write(data)
        writer.close()

    async def serve(reader, writer):
        there, back = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(forward(reader, back, True), forward(there, writer, False))

    server = await asyncio.start_server(serve, "127.0.0.1")
    yield server.sockets[0].getsockname()[1], asked, go_on
    server.close()


async def test_what_a_crash_left_behind_is_ended_by_any_process(world, sessions, monkeypatch):
    """The new token is committed, and the process dies before it tells a store."""
    access, worker = world.manager.access, sessions.worker

    async def die(*_, **__):
        """The step that is never taken."""

    with monkeypatch.context() as patched:
        patched.setattr(access, "follow", die)
        details = await world.manager.issue_credentials(ADA, worker.sandbox.id, rotate=True)
    await world.superuser.execute(
        "UPDATE sandboxes SET access_changed_at = access_changed_at - interval '1 min' WHERE id = $1", worker.sandbox.id
    )
    await access.keep(A_MINUTE)
    await until(sessions.ended, WITHIN_S)
    worker.urls = dict(details.environment)
    assert await logins(worker) == ["PostgreSQL", "Redis", "NATS"]


@pytest.mark.parametrize("how", ["follow", "assert_users"])
async def test_redis_is_not_told_a_token_that_ended_on_the_way(world, monkeypatch, how):
    """Another process destroys the sandbox between the look at PostgreSQL and the word to Redis."""
    access, worker = world.manager.access, await world.add()
    set_user = access._redis.set_user

    async def late(sandbox_id, token_sha256):
        if sandbox_id == worker.sandbox.id and await _is(world, worker.sandbox, "running"):
            await destroy(world, worker.sandbox)
        await set_user(sandbox_id, token_sha256)

    with monkeypatch.context() as patched:
        patched.setattr(access._redis, "set_user", late)
        access._redis_run = None
        await (access.follow(worker.sandbox.id) if how == "follow" else access._assert_users())
    assert await _to_redis(worker) is None
    await worker.close()


async def test_an_extension_out_of_the_grace_time_lets_in_again_everywhere(world, sessions):
    worker = sessions.worker
    async with reaping(world):
        await expire(world, worker.sandbox)
        await until(sessions.ended, WITHIN_S)
    assert await logins(worker) == []
    await world.manager.extend_ttl(ADA, worker.sandbox.id, timedelta(hours=1))
    assert await logins(worker) == ["PostgreSQL", "Redis", "NATS"]


async def test_a_restarted_redis_is_told_its_users_within_a_turn(world, servers):
    await world.manager.access.keep(A_MINUTE)
    await restart_redis(servers)
    assert await _to_redis(world.a) is None
    for worker in (world.a, world.b):
        await worker.redis.connection_pool.disconnect()
    await world.manager.access.keep(A_MINUTE)
    for worker in (world.a, world.b):
        await furnish_redis(worker)
    assert await is_untouched(world.b)


async def restart_redis(servers):
    if hasattr(servers, "restart_redis"):
        await servers.restart_redis()
        return
    killed = servers.pids["redis"]
    os.kill(killed, signal.SIGKILL)
    await until(lambda: servers.pids.get("redis", killed) != killed, 10)
    await until_async(lambda: servers._port_answers("redis", b"PING\r\n"), 10)


async def test_one_store_away_keeps_the_others_from_nothing(world, monkeypatch):
    """NATS does not answer: Redis is told its users, and sessions of PostgreSQL end."""
    from bot.errors import ServiceUnavailable

    access, worker = world.manager.access, await world.add()

    async def away(*_):
        raise ServiceUnavailable("NATS", "away")

    with monkeypatch.context() as patched:
        patched.setattr(access._nats.connections, "_ask_servers", away)
        await rotate(world, worker.sandbox)
        await until(worker.pg.is_closed, WITHIN_S)
        await world.stores.redis.acl_deluser(f"sandbox-{world.a.sandbox.id}")
        access._asserted_at = -1000
        await world.superuser.execute("UPDATE sandboxes SET access_changed_at = access_changed_at - interval '1 min'")
        with pytest.raises(ServiceUnavailable):
            await access.keep(A_MINUTE)
        assert await world.stores.redis.acl_getuser(f"sandbox-{world.a.sandbox.id}")
    await access.keep(A_MINUTE)
    await until(lambda: not worker.nats.is_connected, WITHIN_S)
    await worker.close()
    await world.a.redis.connection_pool.disconnect()
