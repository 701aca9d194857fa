import asyncio
from collections import Counter
from datetime import timedelta

import pytest
import redis.asyncio

from bot.errors import CleanupFailed, ProvisioningFailed, QuotaReached, ServiceUnavailable
from bot.sandboxes.model import SandboxStatus
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore
from tests.service.conftest import ADA, STREAM_LIMITS, new_guild

HOUR = timedelta(hours=1)


class AwayRedis(RedisStore):
    """A Redis that is not there."""

    async def delete_keys(self, *sandbox_ids):
        raise ServiceUnavailable("Redis", "refused")


class AwayStreams(StreamStore):
    """A NATS that is not there."""

    async def create(self, sandbox_id):
        raise ServiceUnavailable("NATS", "refused")


async def test_a_sandbox_expires_waits_out_its_grace_time_and_is_gone(manager, make_reaper, age, audit):
    sandbox = await manager.create(ADA, ttl=2 * HOUR, guild_ids=[new_guild()])
    reaper = make_reaper(grace=HOUR)
    await reaper.sweep()
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.RUNNING

    await age(sandbox, 2 * HOUR)
    assert (await reaper.sweep()).expired == 1
    expired = await manager.get_by_id(sandbox.id)
    assert (expired.status, expired.guild_ids) == (SandboxStatus.EXPIRED, sandbox.guild_ids)
    assert await manager.schemas.schema_exists(sandbox.id)

    await age(sandbox, HOUR)
    assert (await reaper.sweep()).destroyed == 1
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED
    assert not await manager.schemas.schema_exists(sandbox.id)
    assert (await reaper.sweep()).destroyed == 0
    assert Counter(await audit(sandbox.id))["sandbox_destroyed"] == 1


async def test_overlapping_sweeps_have_one_outcome(manager, make_reaper, age, audit, pool):
    sandboxes = [await manager.create(ADA, ttl=HOUR) for _ in range(4)]
    for sandbox in sandboxes:
        await age(sandbox, 10 * HOUR)
    await asyncio.gather(*(make_reaper().sweep() for _ in range(4)))
    await asyncio.gather(*(make_reaper().sweep() for _ in range(4)))
    for sandbox in sandboxes:
        events = Counter(await audit(sandbox.id))
        assert events["sandbox_destroying"] == events["sandbox_destroyed"] == 1
        assert events["status_changed"] == 3
    assert await pool.fetchval("SELECT count(*) FROM sandbox_notices WHERE kind = 'expired'") == 4


async def test_an_extension_against_the_end_of_the_grace_time_has_one_outcome(manager, make_reaper, age):
    for _ in range(5):
        sandbox = await manager.create(ADA, ttl=HOUR)
        await age(sandbox, 10 * HOUR)
        await manager.mark_expired(sandbox.id)
        await asyncio.gather(manager.extend_ttl(ADA, sandbox.id, HOUR), make_reaper().sweep(), return_exceptions=True)
        after = await manager.get_by_id(sandbox.id)
        alive = after.status is SandboxStatus.RUNNING
        assert alive or after.status is SandboxStatus.DESTROYED
        assert await manager.schemas.schema_exists(sandbox.id) is alive
        if alive:
            await manager.destroy(ADA, sandbox.id)


@pytest.mark.parametrize("status", ["pending", "creating"])
async def test_what_is_stuck_is_taken_down_after_a_while(manager, make_reaper, age, pool, status):
    sandbox = await manager.create(ADA, name="stuck", guild_ids=[new_guild()])
    await pool.execute("UPDATE sandboxes SET status = $2::text::sandbox_status WHERE id = $1", sandbox.id, status)
    assert (await make_reaper().sweep()).recovered == 0

    await age(sandbox, timedelta(minutes=3))
    assert (await make_reaper().sweep()).recovered == 1
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED
    assert not await manager.schemas.schema_exists(sandbox.id)
    assert await manager.create(ADA, name="stuck", guild_ids=sandbox.guild_ids)


async def test_a_create_that_fails_is_taken_down_and_frees_its_name(make_manager, manager, nats_client, audit):
    broken = make_manager(streams=AwayStreams(nats_client, STREAM_LIMITS))
    with pytest.raises(ProvisioningFailed, match="NATS stream"):
        await broken.create(ADA, name="blue")
    assert await manager.list(owner_id=ADA.id) == []
    assert await manager.schemas.list_schemas() == []
    assert await manager.create(ADA, name="blue")


async def test_the_audit_log_keeps_what_became_of_a_failed_create(make_manager, nats_client, pool):
    guild = new_guild()
    with pytest.raises(ProvisioningFailed):
        await make_manager(streams=AwayStreams(nats_client, STREAM_LIMITS)).create(ADA, guild_ids=[guild])
    rows = await pool.fetch("SELECT event_type FROM sandbox_audit_log ORDER BY id")
    assert [row["event_type"] for row in rows] == [
        "sandbox_created",
        "guild_registered",
        "status_changed",
        "guild_unregistered",
        "sandbox_destroying",
        "sandbox_destroyed",
    ]


async def test_redis_away_during_a_destroy_is_made_up_for_by_the_reaper(
    make_manager, manager, make_reaper, age, redis_client
):
    guild = new_guild()
    sandbox = await manager.create(ADA, guild_ids=[guild])
    await redis_client.set(sandbox.redis_prefix + "key", "value")
    broken = make_manager(redis=AwayRedis(redis_client))
    with pytest.raises(CleanupFailed, match="Redis keys"):
        await broken.destroy(ADA, sandbox.id)
    cut_off = await manager.get_by_id(sandbox.id)
    assert (cut_off.status, cut_off.guild_ids) == (SandboxStatus.DESTROYING, ())

    await age(sandbox, timedelta(minutes=3))
    await make_reaper().sweep()
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED
    assert await redis_client.keys("*") == []


async def test_a_redis_that_does_not_answer_is_named_and_made_up_for(make_manager, manager, make_reaper, age):
    sandbox = await manager.create(ADA)
    nobody = redis.asyncio.from_url("redis://127.0.0.1:9")
    with pytest.raises(CleanupFailed, match="Redis keys"):
        await make_manager(redis=RedisStore(nobody)).destroy(ADA, sandbox.id)
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYING
    await age(sandbox, timedelta(minutes=3))
    assert (await make_reaper().sweep()).recovered == 1
    await nobody.aclose()


async def test_a_worker_that_holds_a_table_delays_the_teardown_only(manager, make_reaper, age, pool):
    sandbox = await manager.create(ADA)
    await pool.execute("ALTER FUNCTION drop_sandbox_schema SET lock_timeout = '200ms'")  # instead of 5 s
    async with pool.acquire() as worker, worker.transaction():
        await worker.execute(f"LOCK TABLE {sandbox.schema_name}.badges")
        with pytest.raises(CleanupFailed, match="schema"):
            await manager.destroy(ADA, sandbox.id)
    await age(sandbox, timedelta(minutes=3))
    await make_reaper().sweep()
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED


async def insert_expired(pool, count):
    """Sandboxes whose grace time is over, as rows alone."""
    await pool.execute("INSERT INTO sandbox_owners (id) VALUES ($1) ON CONFLICT DO NOTHING", ADA.id)
    await pool.execute(
        "INSERT INTO sandboxes (id, name, owner_id, schema_name, status, created_at, expires_at)"
        " SELECT id, 'old-' || number, $1, sandbox_schema_name(id), 'expired', now() - interval '9h',"
        " now() - interval '3h' FROM (SELECT gen_random_uuid() AS id, number FROM generate_series(1, $2) AS number)",
        ADA.id,
        count,
    )


async def test_one_sweep_ends_all_that_are_due_with_one_pass_over_redis(manager, make_reaper, pool, redis_client):
    await insert_expired(pool, 120)
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM sandboxes")]
    await redis_client.mset({f"sandbox:{sandbox_id}:key": 1 for sandbox_id in ids} | {"sandbox:team:kept": 1})
    await redis_client.config_resetstat()
    assert (await make_reaper().sweep()).destroyed == 120
    assert (await redis_client.info("commandstats"))["cmdstat_scan"]["calls"] == 1
    assert await redis_client.keys("*") == [b"sandbox:team:kept"]


async def test_one_that_cannot_be_taken_down_stops_none_of_the_others(manager, make_reaper, pool, age):
    cursed, *others = [await manager.create(ADA) for _ in range(3)]
    for sandbox in (cursed, *others):
        await age(sandbox, 30 * HOUR)
    await pool.execute(f"COMMENT ON SCHEMA {cursed.schema_name} IS 'not ours'")
    await make_reaper().sweep()
    statuses = [(await manager.get_by_id(sandbox.id)).status for sandbox in (cursed, *others)]
    assert statuses == [SandboxStatus.DESTROYING, SandboxStatus.DESTROYED, SandboxStatus.DESTROYED]


async def test_one_that_cannot_be_ended_is_told_once_and_once_more_when_it_could(manager, make_reaper, pool, age, told):
    sandbox = await manager.create(ADA)
    await age(sandbox, 30 * HOUR)
    comment = await pool.fetchval("SELECT obj_description(to_regnamespace($1))", sandbox.schema_name)
    await pool.execute(f"COMMENT ON SCHEMA {sandbox.schema_name} IS 'not ours'")
    reaper = make_reaper()
    for _ in range(3):
        assert (await reaper.sweep()).destroyed == 0
        await age(sandbox, HOUR)
    (warning,) = [line for line in told if line[0] == "WARNING"]
    assert warning[1] == "a sandbox cannot be ended"
    assert warning[2]["sandbox"] == str(sandbox.id)
    assert warning[2]["error"].startswith("PostgreSQL schema: ")

    await pool.execute(f"COMMENT ON SCHEMA {sandbox.schema_name} IS '{comment}'")
    assert (await reaper.sweep()).recovered == 1
    assert [line[1] for line in told if line[0] == "WARNING"] == ["a sandbox cannot be ended"]
    assert [line[1] for line in told][-2:] == ["sandbox destroyed", "a sandbox could be ended at last"]


async def test_a_store_that_is_away_is_named_once_for_each_sandbox_that_it_keeps(make_manager, redis_client, age, told):
    broken = make_manager(redis=AwayRedis(redis_client))
    sandbox = await broken.create(ADA)
    await age(sandbox, 30 * HOUR)
    reaper = broken.make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=timedelta(minutes=2))
    for _ in range(3):
        await reaper.sweep()
        await age(sandbox, HOUR)
    assert [line[2]["error"] for line in told if line[0] == "WARNING"] == ["Redis keys: refused"]


async def test_a_sweep_without_postgresql_says_so_and_tells_nothing(manager, make_reaper, age, told, monkeypatch):
    sandbox = await manager.create(ADA)
    await age(sandbox, 30 * HOUR)
    reaper = make_reaper()

    async def away(_):
        raise ServiceUnavailable("PostgreSQL", "away")

    monkeypatch.setattr(reaper, "_mark_expired", away)
    with pytest.raises(ServiceUnavailable):
        await reaper.sweep()
    assert [line for line in told if line[0] == "WARNING"] == []


async def test_what_somebody_works_on_is_not_taken_for_abandoned(manager, make_reaper, age, pool):
    sandbox = await manager.create(ADA)
    await pool.execute("UPDATE sandboxes SET status = 'creating' WHERE id = $1", sandbox.id)
    await age(sandbox, timedelta(minutes=30))
    await pool.execute("UPDATE sandboxes SET attended_at = now() - interval '10s'")
    assert (await make_reaper().sweep()).recovered == 0
    await pool.execute("UPDATE sandboxes SET attended_at = now() - interval '3m'")
    assert (await make_reaper().sweep()).recovered == 1


async def test_a_slow_creation_says_that_it_lives(make_manager, nats_client, pool, monkeypatch):
    monkeypatch.setattr("bot.constants.HEARTBEAT_EVERY_S", 0.01)
    go_on = asyncio.Event()

    class SlowStreams(StreamStore):
        async def create(self, sandbox_id):
            await go_on.wait()
            await super().create(sandbox_id)

    slow = asyncio.create_task(make_manager(streams=SlowStreams(nats_client, STREAM_LIMITS)).create(ADA))
    seen: set[object] = set()
    while len(seen) < 3:
        seen |= {row["attended_at"] for row in await pool.fetch("SELECT attended_at FROM sandboxes")} - {None}
    go_on.set()
    assert (await slow).status is SandboxStatus.RUNNING


async def test_a_creation_that_was_taken_for_dead_ends_in_nothing_and_leaves_nothing(
    make_manager, make_reaper, manager, nats_client, age, audit
):
    go_on, waits = asyncio.Event(), asyncio.Event()

    class SlowStreams(StreamStore):
        async def create(self, sandbox_id):
            waits.set()
            await go_on.wait()
            await super().create(sandbox_id)

    slow = asyncio.create_task(make_manager(streams=SlowStreams(nats_client, STREAM_LIMITS)).create(ADA))
    await waits.wait()
    (sandbox,) = await manager.list()
    await age(sandbox, timedelta(minutes=3))
    assert (await make_reaper().sweep()).recovered == 1
    go_on.set()
    with pytest.raises(ProvisioningFailed):
        await slow
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED
    assert await manager.streams.list_streams() == {}
    assert Counter(await audit(sandbox.id))["sandbox_destroying"] == 1
    assert Counter(await audit(sandbox.id))["sandbox_destroyed"] == 1


class FailingStreams(StreamStore):
    """A NATS that is away, for as long as `is_away` says so."""

    is_away = True

    async def create(self, sandbox_id):
        self._require_nats()
        await super().create(sandbox_id)

    async def delete(self, sandbox_id):
        self._require_nats()
        return await super().delete(sandbox_id)

    def _require_nats(self):
        if self.is_away:
            raise ServiceUnavailable("NATS", "refused")


async def test_a_create_that_failed_in_an_outage_is_gone_after_the_first_sweep_of_anybody_after_it(
    make_manager, make_reaper, manager, nats_client
):
    streams = FailingStreams(nats_client, STREAM_LIMITS)
    broken = make_manager(streams=streams, max_per_owner=1)
    with pytest.raises(ProvisioningFailed):
        await broken.create(ADA, name="blue")
    reaper = broken.make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=HOUR)
    for _ in range(2):  # tried again by each sweep
        assert (await reaper.sweep()).recovered == 0
    with pytest.raises(QuotaReached):
        await broken.create(ADA)
    streams.is_away = False
    assert (await make_reaper().sweep()).recovered == 1
    assert await broken.create(ADA, name="blue")
    assert len(await manager.list()) == 1


async def test_a_create_that_lost_postgresql_is_gone_after_the_first_sweep_after_it(
    make_manager, manager, nats_client, monkeypatch, audit
):
    """The process can't say then that it has given up: it remembers it."""

    class FatalStreams(StreamStore):
        async def create(self, sandbox_id):
            monkeypatch.setattr(type(broken._creation._pool), "acquire", away)
            raise ServiceUnavailable("NATS", "refused")

    def away(*_, **__):
        raise OSError("away")

    broken = make_manager(streams=FatalStreams(nats_client, STREAM_LIMITS))
    with pytest.raises(ProvisioningFailed):
        await broken.create(ADA, name="blue")
    monkeypatch.undo()
    (left,) = await manager.list()
    assert left.status is SandboxStatus.CREATING
    reaper = broken.make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=HOUR)
    assert (await reaper.sweep()).recovered == 1
    assert await manager.list() == []


async def test_a_create_that_is_broken_off_is_gone_after_the_next_sweep(make_manager, manager, nats_client):
    waits = asyncio.Event()

    class FrozenStreams(StreamStore):
        async def create(self, sandbox_id):
            waits.set()
            await asyncio.Event().wait()

    broken = make_manager(streams=FrozenStreams(nats_client, STREAM_LIMITS))
    creating = asyncio.create_task(broken.create(ADA))
    await waits.wait()
    reaper = broken.make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=HOUR)
    assert (await reaper.sweep()).recovered == 0  # it is attended
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert (await reaper.sweep()).recovered == 1
    assert await manager.list() == []


async def test_a_reservation_whose_commit_nobody_has_heard_of_is_gone_after_the_next_sweep(manager, make_reaper):
    reserve, made = manager._creation._reserve_once, []

    async def lose(sandbox_id, request):
        made.append(await reserve(sandbox_id, request))
        raise ServiceUnavailable("PostgreSQL", "the connection was lost")

    manager._creation._reserve_once = lose
    with pytest.raises(ServiceUnavailable):
        await manager.create(ADA)
    assert [sandbox.id for sandbox in await manager.list()] == [made[0].sandbox.id]
    assert (await make_reaper().sweep()).recovered == 1
    assert await manager.list() == []


async def test_a_bot_that_has_its_database_for_itself_waits_for_no_dead_one(manager, make_reaper, pool, age):
    sandbox = await manager.create(ADA)
    await pool.execute("UPDATE sandboxes SET status = 'creating', status_changed_at = now(), attended_at = now()")
    reaper = make_reaper()
    assert (await reaper.sweep()).recovered == 0
    await reaper.take_over_all()
    assert (await reaper.sweep()).recovered == 1
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED


async def test_what_runs_is_never_released(manager, make_reaper):
    sandbox = await manager.create(ADA)
    reaper = make_reaper()
    await reaper.take_over_all()
    await reaper.sweep()
    assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.RUNNING
