"""The end of a sandbox's credentials: nothing is left of A's sessions two seconds later, and B's go on."""

from __future__ import annotations

import time
from datetime import timedelta

import asyncpg
import pytest

from tests.breakout.conftest import ADA, furnish_redis, until
from tests.breakout.sessions import (
    A_MINUTE,
    ENDS,
    WITHIN_S,
    destroy,
    expire,
    is_untouched,
    logins,
    open_sessions,
    reaping,
    restart_redis,
    to_redis,
    until_async,
)


@pytest.fixture
async def sessions(world):
    async with open_sessions(world) as opened:
        yield opened


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
    await world.manager.access.reconcile(A_MINUTE)
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


async def test_an_extension_out_of_the_grace_time_lets_in_again_everywhere(world, sessions):
    worker = sessions.worker
    async with reaping(world):
        await expire(world, worker.sandbox)
        await until(sessions.ended, WITHIN_S)
    assert await logins(worker) == []
    await world.manager.extend_ttl(ADA, worker.sandbox.id, timedelta(hours=1))
    assert await logins(worker) == ["PostgreSQL", "Redis", "NATS"]


async def test_a_restarted_redis_is_told_its_users_within_a_turn(world, servers):
    await world.manager.access.reconcile(A_MINUTE)
    await restart_redis(servers)
    assert await to_redis(world.a) is None
    for worker in (world.a, world.b):
        await worker.redis.connection_pool.disconnect()
    await world.manager.access.reconcile(A_MINUTE)
    for worker in (world.a, world.b):
        await furnish_redis(worker)
    assert await is_untouched(world.b)
