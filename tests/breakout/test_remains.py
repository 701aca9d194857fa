"""What remains possible, shown: if one of these fails, the list in `remains.py` and README is too long."""

from __future__ import annotations

import asyncpg
import pytest
import redis.asyncio
from redis.exceptions import InvalidResponse

POSSIBLE = {
    "listen": "LISTEN anything",
    "notify": "NOTIFY anything, '1'",
    "advisory-lock": "SELECT pg_advisory_lock(1); SELECT pg_advisory_unlock(1)",
    "statement-timeout": "SET statement_timeout = 0; SET lock_timeout = 0; SET work_mem = '1GB'",
    "role-settings": "ALTER ROLE CURRENT_USER SET work_mem = '1GB'; ALTER ROLE CURRENT_USER RESET work_mem",
    "large-object": "SELECT lo_unlink(lo_create(0))",
}

VISIBLE = {
    "schemas": "SELECT 1 FROM pg_namespace WHERE nspname = '{b}'",
    "tables": "SELECT 1 FROM pg_class WHERE relname = 'own' AND relnamespace = '{b}'::regnamespace",
    "roles": "SELECT 1 FROM pg_roles WHERE rolname = '{b}' AND rolvaliduntil IS NOT NULL",
    "sources": "SELECT 1 FROM pg_proc WHERE proname = 'create_sandbox_role' AND prosrc <> ''",
    "sessions": "SELECT 1 FROM pg_stat_activity WHERE usename = '{b}' AND query = '<insufficient privilege>'",
}


@pytest.mark.parametrize("name", POSSIBLE)
async def test_postgres_allows(world, name):
    await world.a.pg.execute(POSSIBLE[name])
    await world.a.pg.reset()


@pytest.mark.parametrize("name", VISIBLE)
async def test_postgres_shows(world, name):
    assert await world.a.pg.fetchval(VISIBLE[name].format(**world.names)) == 1


async def test_a_worker_may_change_its_password_until_the_next_rotation(world):
    worker = await world.add()
    await worker.pg.execute("ALTER ROLE CURRENT_USER PASSWORD 'chosen'")
    own = await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"], password="chosen")
    await own.close()
    renewed = await world.employ(worker.sandbox)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(worker.urls["SANDBOX_DATABASE_URL"], password="chosen")
    for each in (worker, renewed):
        await each.close()


async def test_a_connection_to_redis_may_call_itself_anything(world):
    connection = await redis.asyncio.ConnectionPool.from_url(world.a.urls["SANDBOX_REDIS_URL"]).get_connection()
    await connection.send_command("HELLO", "2", "SETNAME", world.b.sandbox.redis_prefix)
    try:
        await connection.read_response()
    except InvalidResponse:
        """A greeting in the other protocol."""
    listed = [client["name"] for client in await world.stores.redis.client_list()]
    assert world.b.sandbox.redis_prefix in listed
    await connection.disconnect()
