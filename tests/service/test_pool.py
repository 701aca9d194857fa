"""More callers than connections to PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from bot.control_plane import make_orphan_collector, make_reaper, open_control_plane
from bot.errors import ServiceUnavailable
from bot.settings import Settings
from bot.stores.opening import open_stores
from bot.stores.postgres_hosts import TYPES_QUERY
from tests.conftest import store_settings
from tests.service.conftest import ADA, ADMIN, new_guild

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def narrow(stores, dsn):
    """Settings, stores and manager of a bot with the smallest pool."""
    sections = store_settings(stores, dsn)
    sections["postgres"] = {**dict(sections["postgres"]), "pool_size": 2}
    settings = Settings(**sections)
    async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
        yield settings, opened, manager


async def test_one_connection_is_enough_for_whatever_a_bot_does(narrow):
    """Nobody who holds a connection asks for another one: some of those at once would wait for each other."""
    settings, stores, manager = narrow
    async with stores.pool.acquire(), asyncio.timeout(30):
        guild, other = new_guild(), new_guild()
        sandbox = await manager.create(ADA, guild_ids=[guild])
        await manager.register_guild(ADA, sandbox.id, other)
        await manager.unregister_guild(ADA, other)
        await manager.release_guild(guild, "left")
        await manager.issue_credentials(ADA, sandbox.id)
        await manager.issue_credentials(ADA, sandbox.id, rotate=True)
        await manager.extend_ttl(ADA, sandbox.id, HOUR)
        await manager.get_health(sandbox.id)
        await manager.reset(ADA, sandbox.id)
        await manager.outbox.fan_out([ADMIN.id])
        while (delivery := await manager.outbox.claim()) is not None:
            await manager.outbox.postpone(delivery)
        await stores.pool.execute("UPDATE sandboxes SET created_at = now() - interval '2d', expires_at = now()")
        assert (await make_reaper(settings, manager).sweep()).expired == 1
        await manager.extend_ttl(ADA, sandbox.id, HOUR)
        await manager.access.reconcile(MINUTE)
        await manager.stream_reconciler.reconcile()
        await make_orphan_collector(settings, stores, manager).find()
        await manager.destroy(ADA, sandbox.id)


async def test_more_callers_than_connections_wait_for_their_turn(narrow):
    _, _, manager = narrow
    callers = [manager.create(ADMIN, owner_id=ADA.id + number) for number in range(12)]
    made = await asyncio.gather(*callers, *(manager.list() for _ in range(50)))
    assert len(await manager.list()) == 12
    for sandbox in made[:12]:
        await manager.destroy(ADMIN, sandbox.id)


async def test_a_caller_whose_turn_does_not_come_is_told(narrow, monkeypatch):
    monkeypatch.setattr("bot.constants.POSTGRES_WAIT_FOR_CONNECTION_S", 0.1)
    _, stores, manager = narrow
    async with stores.pool.acquire(), stores.pool.acquire():
        with pytest.raises(ServiceUnavailable, match="PostgreSQL"):
            await manager.list()
    assert await manager.list() == []


async def test_a_type_that_a_session_meets_is_asked_for_by_the_plainer_query(pool):
    values = {
        "sandbox_status[]": ["running", "expired"],
        "sandbox_status": "running",
        "uuid[]": [UUID(int=7)],
        "bigint[]": [1 << 40],
        "numeric[]": [1 << 63],
        "double precision[]": [0.5],
    }
    asked = []
    async with pool.acquire() as connection:
        with connection.query_logger(lambda record: asked.append(record.query)):
            for name, value in values.items():
                assert await connection.fetchval(f"SELECT $1::{name}", value) == value
    assert {query for query in asked if "typdelim" in query} == {TYPES_QUERY}
