"""What was left behind is found, and dropped on positive proof alone."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import redis.asyncio

from bot import constants
from bot.errors import CleanupRefused, ServiceUnavailable
from bot.sandboxes.lifecycle.orphans import OrphanCollector, OrphanKind, Proof
from bot.stores.redis import RedisStore
from tests.service.conftest import ADA

HOUR = timedelta(hours=1)
NO_TIME = timedelta(0)
DIGEST = "0" * 64
IN_STORES = [kind for kind in OrphanKind if kind not in (OrphanKind.COMMAND, OrphanKind.WEBHOOK)]


@pytest.fixture
def make_collector(pool, enforced, redis_client):
    def make(grace=NO_TIME):
        return OrphanCollector(pool, enforced.schemas, RedisStore(redis_client), enforced.streams, grace)

    return make


@pytest.fixture
def leave_behind(enforced, pool, redis_client):
    """What a sandbox of that id would have in every store, with no regard to its row."""

    async def leave(sandbox_id):
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetchval("SELECT create_sandbox_schema($1)", sandbox_id)
            await connection.execute(
                "SELECT create_sandbox_role($1, now() + interval '1h', 5), mark_sandbox_role($1)", sandbox_id
            )
        await enforced.streams.create(sandbox_id)
        await RedisStore(redis_client).set_user(sandbox_id, DIGEST)
        await redis_client.mset({f"sandbox:{sandbox_id}:{number}": number for number in range(3)})
        assert await RedisStore(redis_client).claim_database(77, sandbox_id)
        await redis_client.eval("redis.call('SELECT', 77) redis.call('SET', 'left', 1)", 0)

    return leave


@pytest.fixture
async def destroyed(enforced):
    sandbox = await enforced.create(ADA)
    return await enforced.destroy(ADA, sandbox.id)


def seen(orphans):
    return {(orphan.kind, orphan.proof) for orphan in orphans}


async def test_the_rests_of_a_destroyed_sandbox_are_found_in_every_store_and_dropped(
    enforced, make_collector, leave_behind, destroyed, redis_client
):
    living = await enforced.create(ADA)
    await enforced.issue_credentials(ADA, living.id)
    await redis_client.set(living.redis_prefix + "key", 1)
    await leave_behind(destroyed.id)
    collector = make_collector()

    found = await collector.find()
    assert seen(found) == {(kind, Proof.DESTROYED) for kind in IN_STORES}
    assert {orphan.size for orphan in found if orphan.kind is OrphanKind.KEYS} == {3}
    assert await collector.find() == found
    assert await collector.drop() == found
    assert await collector.find() == []
    assert (await enforced.get_health(living.id)).ok
    assert await redis_client.keys("*") == [f"{living.redis_prefix}key".encode()]


async def test_what_another_installation_may_own_is_listed_and_never_dropped(
    enforced, make_collector, leave_behind, pool, redis_client
):
    stranger = uuid4()
    await leave_behind(stranger)
    await pool.execute(f"COMMENT ON ROLE sandbox_{stranger.hex[:8]} IS 'discord-sandboxes, database 1, made now'")
    await pool.execute(f"DROP SCHEMA sandbox_{stranger.hex[:8]} CASCADE")
    collector = make_collector()
    listed = await collector.find()
    assert seen(listed) == {(kind, Proof.NONE) for kind in IN_STORES if kind is not OrphanKind.SCHEMA}
    assert await collector.drop(force=True) == []
    assert await collector.collect(HOUR) == []
    assert await collector.find() == listed


async def test_what_has_no_mark_of_ours_is_not_even_listed(pool, make_collector, enforced, nats_client, redis_client):
    for name in ("sandbox_team_shared", "sandbox_1a2b3c4d"):
        await pool.execute(f"CREATE SCHEMA {name}")
    await nats_client.jetstream().add_stream(name="SANDBOX_1a2b3c4d", subjects=["sandbox.team.events.>"])
    await nats_client.jetstream().add_stream(name="OTHER", subjects=["other"], description="discord-sandboxes")
    await redis_client.mset({"sandbox:team:x": 1, f"sandbox:{uuid4().hex}:x": 1, "sandbox": 1, "other": 1})
    await redis_client.execute_command("ACL", "SETUSER", "sandbox-team")
    assert await make_collector().find() == []


async def test_what_is_younger_than_the_grace_time_is_spared(
    make_collector, leave_behind, destroyed, pool, enforced, age
):
    await leave_behind(destroyed.id)
    assert await make_collector(HOUR).find() == []
    await age(destroyed, 2 * HOUR)
    assert seen(await make_collector(HOUR).find()) == {
        (OrphanKind.USER, Proof.DESTROYED),
        (OrphanKind.DATABASE, Proof.DESTROYED),  # schema, role and stream have been made just now
        (OrphanKind.KEYS, Proof.DESTROYED),
    }


async def test_a_sandbox_that_is_expired_or_under_way_owns_what_it_has(enforced, make_collector, pool, redis_client):
    sandbox = await enforced.create(ADA)
    await redis_client.set(sandbox.redis_prefix + "key", 1)
    for status in ("pending", "creating", "expired", "destroying"):
        await pool.execute("UPDATE sandboxes SET status = $2::text::sandbox_status WHERE id = $1", sandbox.id, status)
        assert await make_collector().find() == []


async def test_a_sweep_refuses_when_everything_looks_orphaned_unless_forced(make_collector, leave_behind, destroyed):
    await leave_behind(destroyed.id)
    with pytest.raises(CleanupRefused):
        await make_collector().drop()
    assert len(await make_collector().find()) == len(IN_STORES)
    assert len(await make_collector().drop(force=True)) == len(IN_STORES)


async def test_a_schema_that_this_database_made_for_an_unknown_sandbox_is_dropped_when_told_only(
    enforced, make_collector, leave_behind
):
    await enforced.create(ADA)
    unknown = uuid4()
    await leave_behind(unknown)
    assert await make_collector().collect(HOUR) == []
    dropped = await make_collector().drop()
    assert seen(dropped) == {(OrphanKind.SCHEMA, Proof.MARK), (OrphanKind.ROLE, Proof.MARK)}


async def test_of_several_bots_one_tidies_once_in_a_while(make_collector, leave_behind, destroyed, redis_client):
    await leave_behind(destroyed.id)
    await redis_client.config_resetstat()
    outcomes = await asyncio.gather(*(make_collector().collect(HOUR) for _ in range(4)))
    assert sorted(len(dropped) for dropped in outcomes) == [0, 0, 0, len(IN_STORES)]
    assert (await redis_client.info("commandstats"))["cmdstat_scan"]["calls"] == 1
    assert await make_collector().find() == []


async def test_a_turn_that_fails_or_dies_is_taken_again_and_not_only_when_the_next_one_is_due(
    make_collector, leave_behind, destroyed, pool, monkeypatch
):
    await leave_behind(destroyed.id)
    failing = make_collector()
    failing._redis = RedisStore(redis.asyncio.from_url("redis://127.0.0.1:9"))
    with pytest.raises(ServiceUnavailable):
        await failing.collect(HOUR)
    assert await make_collector().collect(HOUR) == []  # not at once: the store may be slow, and the other one at it
    await pool.execute(
        "UPDATE sandbox_orphan_sweeps SET swept_at = swept_at - make_interval(secs => $1)",
        constants.ORPHANS_CLAIMED_FOR_S,
    )
    assert len(await make_collector().collect(HOUR)) > 0
    await leave_behind(destroyed.id)
    assert await make_collector().collect(HOUR) == []
    await pool.execute("UPDATE sandbox_orphan_sweeps SET swept_at = swept_at - $1::interval", HOUR)
    assert len(await make_collector().collect(HOUR)) == len(IN_STORES)


async def test_the_truth_is_read_again_before_each_drop(make_collector, leave_behind, destroyed, pool, enforced):
    await leave_behind(destroyed.id)
    collector = make_collector()
    found = await collector.find()
    await pool.execute("UPDATE sandboxes SET status = 'running', destroyed_at = NULL WHERE id = $1", destroyed.id)
    assert await collector._drop(found) == []
    assert (await enforced.get_health(destroyed.id)).ok


async def test_what_a_destroyed_sandboxs_bot_has_left_in_discord_is_listed_and_left_to_the_bot(
    enforced, make_collector, destroyed, pool
):
    living = await enforced.create(ADA)
    for number, sandbox_id in enumerate((destroyed.id, living.id, uuid4())):
        await pool.execute(
            "INSERT INTO relay_guild_commands (guild_id, type, name, command_id, sandbox_id, definition)"
            " VALUES ($1, 1, 'ping', $1, $2, '{}')",
            number,
            sandbox_id,
        )
    await pool.execute(
        "INSERT INTO relay_webhooks (webhook_id, sandbox_id, guild_id, channel_id) VALUES (77, $1, 5, 6)", destroyed.id
    )
    found = await make_collector().find()
    assert seen(found) == {(OrphanKind.COMMAND, Proof.DISCORD), (OrphanKind.WEBHOOK, Proof.DISCORD)}
    assert [orphan.name for orphan in found] == ["ping in server 0", "ping in server 2", "77 in server 5"]
    assert await make_collector(HOUR).find() == [orphan for orphan in found if orphan.sandbox_id != destroyed.id]
    assert await make_collector().drop() == []
    assert await make_collector().find() == found
