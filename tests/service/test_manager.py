import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from nats.js.errors import NotFoundError

from bot.errors import (
    GuildNotBound,
    GuildTaken,
    InvalidInput,
    InvalidTransition,
    NameTaken,
    NotAllowed,
    QuotaReached,
    SandboxNotFound,
    ServiceUnavailable,
)
from bot.sandboxes.model import SandboxStatus
from bot.stores.nats import StreamLimits, StreamStore
from tests.service.conftest import ADA, ADMIN, BOB, new_guild

HOUR = timedelta(hours=1)


async def test_a_created_sandbox_runs_and_has_its_share_of_every_store(manager, pool, nats_client):
    guild = new_guild()
    sandbox = await manager.create(ADA, name="blue", ttl=2 * HOUR, description="for the login page", guild_ids=[guild])

    assert sandbox.status is SandboxStatus.RUNNING
    assert (sandbox.name, sandbox.owner_id, sandbox.guild_ids) == ("blue", ADA.id, (guild,))
    assert sandbox.expires_at - sandbox.created_at == 2 * HOUR
    stream = await nats_client.jetstream().stream_info(sandbox.stream)
    assert stream.config.subjects == [f"sandbox.{sandbox.id}.events.>"]
    consumer = await nats_client.jetstream().consumer_info(sandbox.stream, "worker")
    assert consumer.config.filter_subject == f"sandbox.{sandbox.id}.events.>"
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", sandbox.schema_name)
    assert {row["tablename"] for row in tables} == {"communities", "profiles", "badges"}


async def test_the_recorded_schema_is_the_one_that_a_worker_writes_to(manager, pool):
    sandbox = await manager.create(ADA)
    async with pool.acquire() as worker, worker.transaction():
        await worker.execute(f"SET LOCAL search_path = {sandbox.schema_name}")
        await worker.execute("INSERT INTO communities (guild_id, name) VALUES (1, 'here')")
    assert await pool.fetchval(f"SELECT name FROM {sandbox.schema_name}.communities") == "here"
    assert await pool.fetchval("SELECT to_regclass('public.communities')") is None


async def test_destroying_removes_everything_and_frees_name_and_guild(manager, pool, redis_client, nats_client):
    guild = new_guild()
    sandbox = await manager.create(ADA, name="blue", guild_ids=[guild])
    await redis_client.set(sandbox.redis_prefix + "key", "value")
    await redis_client.set("sandbox:somebody-else:key", "value")

    destroyed = await manager.destroy(ADA, sandbox.id)

    assert destroyed.status is SandboxStatus.DESTROYED
    assert destroyed.guild_ids == ()
    assert not await manager.schemas.schema_exists(sandbox.id)
    assert await redis_client.keys("*") == [b"sandbox:somebody-else:key"]
    with pytest.raises(NotFoundError):
        await nats_client.jetstream().stream_info(sandbox.stream)
    again = await manager.create(BOB, name="blue", guild_ids=[guild])
    assert again.id != sandbox.id


async def test_every_change_stands_once_in_the_audit_log_as_json_objects(manager, pool, audit):
    first, second = new_guild(), new_guild()
    sandbox = await manager.create(ADA, guild_ids=[first])
    await manager.register_guild(ADA, sandbox.id, second)
    await manager.unregister_guild(ADA, second)
    await manager.extend_ttl(ADA, sandbox.id, HOUR)
    await manager.destroy(ADA, sandbox.id)

    assert await audit(sandbox.id) == [
        "sandbox_created",
        "guild_registered",
        "status_changed",
        "status_changed",
        "guild_registered",
        "guild_unregistered",
        "ttl_extended",
        "guild_unregistered",
        "sandbox_destroying",
        "sandbox_destroyed",
    ]
    kinds = await pool.fetch("SELECT DISTINCT jsonb_typeof(details) AS kind FROM sandbox_audit_log")
    assert [row["kind"] for row in kinds] == ["object"]


async def test_a_quota_holds_under_concurrent_creates(make_manager):
    managers = [make_manager(max_per_owner=3) for _ in range(2)]
    outcomes = await asyncio.gather(*(managers[number % 2].create(ADA) for number in range(12)), return_exceptions=True)
    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    assert kinds == {"Sandbox": 3, "QuotaReached": 9}
    assert len(await managers[0].list(owner_id=ADA.id)) == 3


async def test_a_destroyed_sandbox_counts_no_more_against_the_quota(make_manager):
    manager = make_manager(max_per_owner=1)
    sandbox = await manager.create(ADA)
    with pytest.raises(QuotaReached):
        await manager.create(ADA)
    await manager.destroy(ADA, sandbox.id)
    assert await manager.create(ADA)


async def test_a_name_is_taken_once_among_the_living(manager):
    await manager.create(ADA, name="blue")
    with pytest.raises(NameTaken):
        await manager.create(BOB, name="BLUE ")
    outcomes = await asyncio.gather(*(manager.create(BOB, name="red") for _ in range(5)), return_exceptions=True)
    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Sandbox": 1, "NameTaken": 4}


async def test_a_guild_belongs_to_one_sandbox_under_concurrent_binds(manager, audit):
    sandboxes = [await manager.create(ADA) for _ in range(4)]
    guild = new_guild()
    outcomes = await asyncio.gather(
        *(manager.register_guild(ADA, sandboxes[number % 4].id, guild) for number in range(20)),
        return_exceptions=True,
    )
    holder = await manager.get_by_guild_id(guild)
    assert {type(outcome).__name__ for outcome in outcomes} == {"Sandbox", "GuildTaken"}
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 5  # the winner, asked five times
    rows = [await audit(sandbox.id) for sandbox in sandboxes]
    assert sum(row.count("guild_registered") for row in rows) == 1
    assert "guild_registered" in await audit(holder.id)


async def test_a_failed_create_leaves_no_row_behind(manager, pool):
    guild = new_guild()
    await manager.create(ADA, guild_ids=[guild])
    before = (
        await pool.fetchval("SELECT count(*) FROM sandboxes"),
        await pool.fetchval("SELECT count(*) FROM sandbox_audit_log"),
    )
    with pytest.raises(GuildTaken):
        await manager.create(BOB, guild_ids=[new_guild(), guild])
    after = (
        await pool.fetchval("SELECT count(*) FROM sandboxes"),
        await pool.fetchval("SELECT count(*) FROM sandbox_audit_log"),
    )
    assert before == after


async def test_only_owner_and_admins_change_a_sandbox(manager):
    guild = new_guild()
    sandbox = await manager.create(ADA, guild_ids=[guild])
    for attempt in (
        manager.extend_ttl(BOB, sandbox.id, HOUR),
        manager.register_guild(BOB, sandbox.id, new_guild()),
        manager.unregister_guild(BOB, guild),
        manager.get_connection_details(BOB, sandbox.id),
        manager.get_audit(BOB, sandbox.id),
        manager.find(BOB, sandbox.name),
        manager.destroy(BOB, sandbox.id),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    assert (await manager.get_by_id(sandbox.id)).guild_ids == (guild,)
    assert (await manager.destroy(ADMIN, sandbox.id)).status is SandboxStatus.DESTROYED


async def test_a_sandbox_is_found_by_name_id_and_short_id(manager):
    sandbox = await manager.create(ADA, name="blue")
    for wanted in ("blue", " BLUE", str(sandbox.id), sandbox.short_id):
        assert await manager.find(ADA, wanted) == sandbox
    await manager.destroy(ADA, sandbox.id)
    for wanted in ("blue", str(sandbox.id), sandbox.short_id, "nonsense", ""):
        with pytest.raises(SandboxNotFound):
            await manager.find(ADA, wanted)
    with pytest.raises(SandboxNotFound):
        await manager.destroy(ADA, uuid4())


async def test_an_id_finds_its_sandbox_whatever_another_one_has_been_named_before_such_names_were_refused(
    manager, pool
):
    blue, red = await manager.create(ADA, name="blue"), await manager.create(ADA, name="red")
    for wanted in (blue.short_id, str(blue.id), f" {blue.short_id.upper()}", blue.id.hex):
        await pool.execute("UPDATE sandboxes SET name = $2 WHERE id = $1", red.id, wanted.strip().lower())
        assert (await manager.find(ADA, wanted)).id == blue.id
        (suggested,) = [each for each in await manager.suggest(ADA, wanted) if each.id == red.id]
        assert (await manager.find(ADA, suggested.handle)).id == red.id
        with pytest.raises(InvalidInput):
            await manager.create(ADA, name=wanted)
    await manager.destroy(ADA, blue.id)
    assert (await manager.find(ADA, blue.id.hex)).id == red.id
    assert (await manager.find(ADA, blue.id.hex, destroyed=True)).id == blue.id


async def test_somebody_elses_id_keeps_nobody_from_the_own_sandbox_that_is_named_so(manager, pool):
    blue, red = await manager.create(BOB, name="blue"), await manager.create(ADA, name="red")
    await pool.execute("UPDATE sandboxes SET name = $2 WHERE id = $1", red.id, blue.short_id)
    assert (await manager.find(ADA, blue.short_id)).id == red.id
    assert (await manager.find(BOB, blue.short_id)).id == (await manager.find(ADMIN, blue.short_id)).id == blue.id


async def test_suggestions_are_the_askers_own_first_and_everybodys_for_an_admin(manager):
    for name in ("alpha-login", "beta-login", "gamma"):
        await manager.create(ADA, name=name)
    await manager.create(ADMIN, name="delta-login")
    assert [found.name for found in await manager.suggest(ADA, "LOGIN")] == ["beta-login", "alpha-login"]
    assert [found.name for found in await manager.suggest(ADMIN, "login")] == [
        "delta-login",
        "beta-login",
        "alpha-login",
    ]
    assert len(await manager.suggest(ADA, "", limit=2)) == 2
    assert await manager.suggest(ADA, "%") == []


async def test_concurrent_destroys_have_one_winner_and_one_set_of_audit_rows(manager, audit):
    sandbox = await manager.create(ADA, guild_ids=[new_guild()])
    outcomes = await asyncio.gather(*(manager.destroy(ADA, sandbox.id) for _ in range(6)), return_exceptions=True)
    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Sandbox": 1, "InvalidTransition": 5}
    events = Counter(await audit(sandbox.id))
    assert events["sandbox_destroying"] == events["sandbox_destroyed"] == events["guild_unregistered"] == 1


async def test_extend_and_destroy_at_the_same_moment_leave_no_running_ruin(manager):
    for _ in range(5):
        sandbox = await manager.create(ADA)
        await asyncio.gather(
            manager.extend_ttl(ADA, sandbox.id, HOUR), manager.destroy(ADA, sandbox.id), return_exceptions=True
        )
        assert (await manager.get_by_id(sandbox.id)).status is SandboxStatus.DESTROYED
        assert not await manager.schemas.schema_exists(sandbox.id)


async def test_an_extension_is_capped_and_says_so(manager):
    sandbox = await manager.create(ADA, ttl=24 * HOUR)
    extension = await manager.extend_ttl(ADA, sandbox.id, HOUR)
    assert (extension.sandbox.expires_at, extension.capped) == (sandbox.expires_at + HOUR, False)
    extension = await manager.extend_ttl(ADA, sandbox.id, 1000 * HOUR)
    assert (extension.sandbox.expires_at, extension.capped) == (sandbox.created_at + 168 * HOUR, True)
    with pytest.raises(InvalidInput, match="longest life"):
        await manager.extend_ttl(ADA, sandbox.id, HOUR)
    with pytest.raises(InvalidInput):
        await manager.extend_ttl(ADA, sandbox.id, -100 * HOUR)


async def test_an_expired_sandbox_comes_back_by_an_extension_with_an_expiry_ahead(manager, age):
    sandbox = await manager.create(ADA, ttl=HOUR)
    await age(sandbox, 10 * HOUR)
    assert await manager.mark_expired(sandbox.id)
    with pytest.raises(InvalidTransition):
        await manager.register_guild(ADA, sandbox.id, new_guild())

    extension = await manager.extend_ttl(ADA, sandbox.id, HOUR)

    assert extension.sandbox.status is SandboxStatus.RUNNING
    ahead = extension.sandbox.expires_at - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead <= HOUR


async def test_a_destroyed_sandbox_is_not_extended_bound_or_connected_to(manager):
    sandbox = await manager.create(ADA)
    await manager.destroy(ADA, sandbox.id)
    for attempt in (
        manager.extend_ttl(ADA, sandbox.id, HOUR),
        manager.register_guild(ADA, sandbox.id, new_guild()),
        manager.get_connection_details(ADA, sandbox.id),
        manager.destroy(ADA, sandbox.id),
    ):
        with pytest.raises(InvalidTransition, match="destroyed"):
            await attempt


async def test_unbinding_what_is_not_bound_is_an_error(manager):
    with pytest.raises(GuildNotBound):
        await manager.unregister_guild(ADA, new_guild())
    with pytest.raises(InvalidInput):
        await manager.unregister_guild(ADA, 5)


async def test_a_sandbox_has_a_limited_number_of_guilds(make_manager):
    manager = make_manager(max_guilds=2)
    sandbox = await manager.create(ADA, guild_ids=[new_guild(), new_guild()])
    with pytest.raises(InvalidInput, match="at most 2"):
        await manager.register_guild(ADA, sandbox.id, new_guild())
    assert (await manager.register_guild(ADA, sandbox.id, sandbox.guild_ids[0])).guild_ids == sandbox.guild_ids


async def test_health_is_really_asked_of_each_store(manager, pool, redis_client, nats_client):
    sandbox = await manager.create(ADA)
    await pool.execute(f"INSERT INTO {sandbox.schema_name}.communities (guild_id, name) VALUES (1, 'x'), (2, 'y')")
    await pool.execute(f"ANALYZE {sandbox.schema_name}.communities")
    await redis_client.set(sandbox.redis_prefix + "key", "value")
    await nats_client.jetstream().publish(f"sandbox.{sandbox.id}.events.TEST", b"event")

    health = await manager.get_health(sandbox.id)
    assert health.ok
    assert (health.postgres.figures["tables"], health.postgres.figures["rows"]) == (3, 2)
    assert health.redis.figures == {"keys": 1}
    assert (health.nats.figures["messages"], health.nats.figures["unacknowledged"]) == (1, 1)

    await pool.execute(f"DROP SCHEMA {sandbox.schema_name} CASCADE")
    await nats_client.jetstream().delete_stream(sandbox.stream)
    health = await manager.get_health(sandbox.id)
    assert (health.postgres.ok, health.redis.ok, health.nats.ok) == (False, True, False)


async def test_a_stream_evicts_only_its_own_events(make_manager, nats_client, manager):
    noisy, quiet = await manager.create(ADA), await manager.create(BOB)
    jetstream = nats_client.jetstream()
    await jetstream.publish(f"sandbox.{quiet.id}.events.TEST", b"precious")
    for _ in range(10_500):
        await nats_client.publish(f"sandbox.{noisy.id}.events.TEST", b"flood")
    await jetstream.publish(f"sandbox.{noisy.id}.events.TEST", b"the last of it")
    assert (await jetstream.stream_info(noisy.stream)).state.messages == 10_000
    assert (await jetstream.stream_info(quiet.stream)).state.messages == 1


async def test_activity_is_noted_for_a_running_sandbox_only(manager):
    sandbox = await manager.create(ADA)
    assert await manager.update_activity(sandbox.id)
    assert (await manager.get_by_id(sandbox.id)).last_activity_at is not None
    await manager.destroy(ADA, sandbox.id)
    assert not await manager.update_activity(sandbox.id)


async def test_a_server_without_storage_to_reserve_says_what_to_change(nats_client):
    greedy = StreamStore(nats_client, StreamLimits(HOUR, 100, 10**16))
    with pytest.raises(ServiceUnavailable) as caught:
        await greedy.create(uuid4())
    assert "max_file_store" in caught.value.detail


async def test_a_thousand_sandboxes_of_the_default_size_find_room_in_the_embedded_server(nats_client):
    big = StreamStore(nats_client, StreamLimits(HOUR, 100, 1000 * 256 * 2**20))
    await big.create(uuid4())
