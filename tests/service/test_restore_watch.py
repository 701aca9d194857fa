"""What is a restore from a backup, and what only looks like one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bot import constants, names
from bot.errors import RestoreUnsettled, ServiceUnavailable
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.restores.comparison import RestoreComparison
from bot.sandboxes.restores.watch import RestoreWatch
from bot.stores.last_changes import LastChange, LastChangeCopies
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore
from tests.service.conftest import STREAM_LIMITS

KEPT = timedelta(days=90)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(constants, "RESTORES_LAG_S", 0.0)


@pytest.fixture
def copies(redis_client, nats_client):
    return LastChangeCopies(redis_client, nats_client)


@pytest.fixture
def make_watch(pool, redis_client, nats_client, copies):
    """That of another bot on the same stores."""

    def make():
        redis = RedisStore(redis_client)
        comparison = RestoreComparison(pool, redis, StreamStore(nats_client, STREAM_LIMITS), copies, KEPT)
        return RestoreWatch(pool, SandboxAccess(pool, redis), comparison)

    return make


@pytest.fixture
def watch(make_watch):
    return make_watch()


@pytest.fixture
async def installation(pool):
    return await pool.fetchval("SELECT id FROM installation")


@pytest.fixture
def change(pool):
    """Something changes, at a time before now."""

    async def make(ago=timedelta(0)):
        query = (
            "INSERT INTO sandbox_audit_log (sandbox_id, event_type, created_at) VALUES ($1, 'status_changed', $2)"
            " RETURNING id, created_at"
        )
        row = await pool.fetchrow(query, uuid4(), datetime.now(UTC) - ago)
        return LastChange(row["id"], row["created_at"])

    return make


@pytest.fixture
def lose(pool):
    """PostgreSQL is as it was before the change."""

    async def forget(change):
        await pool.execute("DELETE FROM sandbox_audit_log WHERE id >= $1", change.id)

    return forget


async def settled(watch, turns=2):
    """As time does."""
    for _ in range(turns):
        assert not await watch.look()


@pytest.mark.parametrize("witness", ["redis", "nats", "a bot that runs"])
async def test_a_change_that_postgres_lacks_is_noticed_by_whoever_knows_of_it(
    witness, watch, make_watch, copies, installation, change, lose, pool, redis_client, nats_client
):
    await change()
    lost = await change()
    await settled(watch)
    assert await copies.read(installation) == {"redis": lost, "nats": lost}
    await lose(lost)
    if witness != "redis":
        await redis_client.flushdb()
    if witness != "nats":
        await nats_client.jetstream().delete_stream(names.LAST_CHANGES_STREAM)
    bot = watch if witness == "a bot that runs" else make_watch()
    assert await bot.look()
    assert await pool.fetchval("SELECT known_at FROM restores WHERE settled_at IS NULL") == lost.made_at


async def test_whatever_hands_out_asks_before_the_next_look(watch, change, lose, pool):
    await change()
    lost = await change()
    await settled(watch)
    gate = watch._access.restores
    await gate.require_settled(pool)
    await lose(lost)
    with pytest.raises(RestoreUnsettled):
        await gate.require_settled(pool)


async def test_stores_that_are_empty_or_away_or_behind_are_no_restore_and_are_told_again(
    watch, copies, installation, change, redis_client, nats_client, monkeypatch
):
    await settled(watch)
    before = await change()
    await settled(watch)
    await redis_client.flushdb()
    await nats_client.jetstream().delete_stream(names.LAST_CHANGES_STREAM)
    await settled(watch, 1)
    assert await copies.read(installation) == {"redis": before, "nats": before}
    now = await change()
    await settled(watch)
    await copies.write(installation, before)
    await settled(watch, 1)
    assert await copies.read(installation) == {"redis": now, "nats": now}

    async def away(*_):
        raise ServiceUnavailable("Redis")

    monkeypatch.setattr(LastChangeCopies, "_read_redis", away)
    monkeypatch.setattr(LastChangeCopies, "_write_redis", away)
    await settled(watch)


async def test_a_replica_that_takes_over_without_the_last_seconds_is_no_restore(
    watch, make_watch, copies, installation, change, lose, monkeypatch
):
    kept = await change()
    await settled(watch)
    other = make_watch()
    monkeypatch.setattr(constants, "RESTORES_LAG_S", 30.0)
    unreplicated = await change()
    await settled(watch, 1)
    await settled(other, 1)
    await lose(unreplicated)
    await change()
    monkeypatch.setattr(constants, "RESTORES_LAG_S", 0.0)
    for each in (watch, other):
        await settled(each, 1)
    assert set((await copies.read(installation)).values()) == {kept}


async def test_what_the_audit_log_keeps_no_more_and_what_a_younger_database_never_had_are_no_restore(
    watch, copies, installation, change
):
    expired = LastChange(999, datetime.now(UTC) - KEPT - timedelta(minutes=1))
    await change(ago=2 * KEPT)
    await copies.write(installation, expired)
    await settled(watch)


async def test_a_copy_of_the_database_that_began_later_is_no_restore(watch, copies, installation, change):
    await copies.write(installation, LastChange(999, datetime.now(UTC) - timedelta(hours=1)))
    await change()
    await settled(watch, 3)


async def test_what_was_settled_is_not_noticed_again(watch, make_watch, copies, installation, change, pool):
    await change(ago=timedelta(hours=2))
    lost = LastChange(999, datetime.now(UTC) - timedelta(hours=1))
    await copies.write(installation, lost)
    assert await watch.look()
    assert await watch.look()
    await pool.execute("UPDATE restores SET settled_at = now()")
    await settled(watch)
    await settled(make_watch())
    await copies.write(installation, LastChange(1000, lost.made_at))  # by a bot that has slept meanwhile
    await settled(watch)
