"""Ends that meet a login under way, a process that dies, or a store that is away."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.postgres import connected
from tests.breakout.conftest import ADA, until
from tests.breakout.sessions import (
    A_MINUTE,
    ENDS,
    WITHIN_S,
    Sessions,
    destroy,
    has_status,
    is_closed,
    logins,
    reaping,
    rotate,
    to_nats,
    to_postgres,
    to_redis,
)


@pytest.fixture
async def sessions(world):
    worker = await world.add()
    opened = await Sessions(worker).open()
    yield opened
    await opened.close()
    await worker.close()


@pytest.mark.parametrize("end", ENDS)
async def test_logins_that_race_the_end_leave_nothing_behind(world, end):
    """Every connection that got in is gone two seconds later; of a rotation, none of the old token's is left."""
    worker, opened, stop = await world.add(), [], asyncio.Event()

    async def log_in(connect):
        while not stop.is_set():
            await asyncio.sleep(0)
            if connection := await connect(worker):
                opened.append(connection)

    racing = [asyncio.create_task(log_in(connect)) for connect in (to_postgres, to_redis, to_nats) for _ in range(2)]
    async with reaping(world):
        try:
            await until(lambda: len(opened) > 10)
            await end(world, worker.sandbox)
            await asyncio.wait(racing, timeout=0.3)
        finally:
            stop.set()
            await asyncio.gather(*racing)
        await until(lambda: all(is_closed(each) for each in opened), WITHIN_S)
    for each in opened:
        await each.close()
    await worker.close()


async def test_a_login_to_postgresql_held_back_over_a_rotation_does_not_last(world, monkeypatch):
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
            await connection.execute("ALTER ROLE CURRENT_USER PASSWORD 'chosen'")
            monkeypatch.setattr(constants, "HELD_BACK_AFTER_S", 0)
            await world.manager.access.reconcile(A_MINUTE)
            await until(connection.is_closed, WITHIN_S)
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"], password="chosen")
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
        patched.setattr(access, "apply", die)
        details = await world.manager.issue_credentials(ADA, worker.sandbox.id, rotate=True)
    await world.superuser.execute(
        "UPDATE sandboxes SET access_changed_at = access_changed_at - interval '1 min' WHERE id = $1", worker.sandbox.id
    )
    await access.reconcile(A_MINUTE)
    await until(sessions.ended, WITHIN_S)
    worker.urls = dict(details.environment)
    assert await logins(worker) == ["PostgreSQL", "Redis", "NATS"]


@pytest.mark.parametrize("how", ["apply", "reconcile_users"])
async def test_redis_is_not_told_a_token_that_ended_on_the_way(world, monkeypatch, how):
    """Another process destroys the sandbox between the look at PostgreSQL and the word to Redis."""
    access, worker = world.manager.access, await world.add()
    async with connected(world.stores.pool) as connection:
        await access.mark_changed(connection, worker.sandbox.id)
    set_user = access._redis.set_user

    async def late(sandbox_id, token_sha256, **rights):
        if sandbox_id == worker.sandbox.id and await has_status(world, worker.sandbox, "running"):
            await destroy(world, worker.sandbox)
        await set_user(sandbox_id, token_sha256, **rights)

    with monkeypatch.context() as patched:
        patched.setattr(access._redis, "set_user", late)
        access._redis_run_id = None
        await (access.apply(worker.sandbox.id) if how == "apply" else access.reconcile_users())
    assert await to_redis(worker) is None
    await worker.close()


async def test_one_store_away_keeps_the_others_from_nothing(world, monkeypatch):
    """NATS does not answer: Redis is told its users, and sessions of PostgreSQL end."""
    access, worker = world.manager.access, await world.add()

    async def away(*_, **__):
        raise ServiceUnavailable("NATS", "away")

    with monkeypatch.context() as patched:
        patched.setattr(access._nats.connections, "disconnect_all", away)
        await rotate(world, worker.sandbox)
        await until(worker.pg.is_closed, WITHIN_S)
        await world.stores.redis.acl_deluser(f"sandbox-{world.a.sandbox.id}")
        access._users_checked_at = -1000
        await access.reconcile(A_MINUTE)
        assert await world.stores.redis.acl_getuser(f"sandbox-{world.a.sandbox.id}")
    await until(lambda: not worker.nats.is_connected, WITHIN_S)
    await worker.close()
    await world.a.redis.connection_pool.disconnect()
