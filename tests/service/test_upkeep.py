"""What the bot mends by itself: lost streams, and access that nobody has brought in line."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import nats
import pytest
import redis.asyncio

from bot import constants
from bot.errors import ServiceUnavailable
from bot.sandboxes.access.retries import AccessRetries
from bot.sandboxes.lifecycle.streams import StreamReconciler
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore
from bot.supervisor import Supervisor
from tests.faults.operations import addresses, bot_settings
from tests.faults.wires import Gate, wired
from tests.service.conftest import ADA, STREAM_LIMITS, enforcing
from tests.sessions import ENDED

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def users(redis_client):
    return [user for user in await redis_client.acl_users() if user.startswith("sandbox-")]


async def test_a_stream_or_consumer_that_nats_has_lost_is_made_again(manager, nats_client):
    whole, without_consumer, without_stream = [await manager.create(ADA) for _ in range(3)]
    jetstream = nats_client.jetstream()
    await jetstream.delete_stream(without_stream.stream)
    await jetstream.delete_consumer(without_consumer.stream, "worker")
    assert await manager.stream_reconciler.reconcile() == 2
    for sandbox, marks in ((whole, 0), (without_consumer, 0), (without_stream, 1)):
        await jetstream.publish(f"sandbox.{sandbox.id}.events.TEST", b"event")
        assert (await manager.get_health(sandbox.id)).nats.figures["unacknowledged"] == 1 + marks
    assert await manager.stream_reconciler.reconcile() == 0


async def test_a_stream_that_is_made_again_while_its_sandbox_is_destroyed_does_not_stay(pool, manager, nats_client):
    sandbox = await manager.create(ADA)
    await nats_client.jetstream().delete_stream(sandbox.stream)

    class LateStreams(StreamStore):
        async def create_stream(self, sandbox_id):
            await manager.destroy(ADA, sandbox_id)
            return await super().create_stream(sandbox_id)

    late = LateStreams(nats_client, STREAM_LIMITS)
    assert await StreamReconciler(pool, late, manager.acknowledgements).reconcile() == 0
    assert await manager.streams.list_streams() == {}


async def test_streams_that_cannot_be_looked_after_are_one_error_after_all_were_tried(pool, manager, nats_client, told):
    away, *others = [await manager.create(ADA) for _ in range(3)]
    for sandbox in others:
        await nats_client.jetstream().delete_stream(sandbox.stream)

    class PartlyAway(StreamStore):
        async def stats(self, sandbox_id):
            if sandbox_id == away.id:
                raise ServiceUnavailable("NATS", "no answer")
            return await super().stats(sandbox_id)

    reconciler = StreamReconciler(pool, PartlyAway(nats_client, STREAM_LIMITS), manager.acknowledgements)
    told.clear()
    with pytest.raises(ServiceUnavailable) as raised:
        await reconciler.reconcile()
    assert raised.value.detail == "1 of 3 streams not looked after: no answer"
    assert isinstance(raised.value.__cause__, ServiceUnavailable)
    assert set(await manager.streams.list_streams()) == {away.id, *(s.id for s in others)}
    assert [line[1] for line in told] == ["a lost stream was made again"] * 2


@pytest.mark.parametrize("change", ["destroy", "expire"])
async def test_a_redis_user_that_is_set_after_the_end_does_not_stay(enforced, redis_client, age, change, monkeypatch):
    sandbox = await enforced.create(ADA)
    set_user = RedisStore.set_user

    async def set_late(store, sandbox_id, token_sha256, **rights):
        if change == "destroy":
            await enforced.destroy(ADA, sandbox_id)
        else:
            await age(sandbox, 30 * HOUR)
            await enforced.mark_expired(sandbox_id)
        await set_user(store, sandbox_id, token_sha256, **rights)

    monkeypatch.setattr(RedisStore, "set_user", set_late)
    await enforced.issue_credentials(ADA, sandbox.id)
    assert await users(redis_client) == []


async def test_an_extension_that_overtakes_the_expiry_keeps_its_redis_user(enforced, redis_client, age, monkeypatch):
    sandbox = await enforced.create(ADA, ttl=HOUR)
    await enforced.issue_credentials(ADA, sandbox.id)
    await age(sandbox, 2 * HOUR)
    disconnect = enforced.access._disconnect

    async def disconnect_late(sandbox_id, *others):
        await enforced.extend_ttl(ADA, sandbox_id, HOUR)
        await disconnect(sandbox_id, *others)

    monkeypatch.setattr(enforced.access, "_disconnect", disconnect_late)
    assert await enforced.mark_expired(sandbox.id)
    assert await users(redis_client) == [f"sandbox-{sandbox.id}"]


async def test_a_change_of_access_that_its_process_did_not_apply_is_applied_by_another(
    enforced, redis_client, pool, monkeypatch
):
    sandbox = await enforced.create(ADA)
    first = await enforced.issue_credentials(ADA, sandbox.id)
    worker = await asyncpg.connect(first.environment["SANDBOX_DATABASE_URL"])
    with monkeypatch.context() as patched:
        patched.setattr(AccessRetries, "attempt", lambda *_, **__: asyncio.sleep(0))
        second = await enforced.issue_credentials(ADA, sandbox.id, rotate=True)
    await pool.execute("UPDATE sandboxes SET access_changed_at = access_changed_at - interval '1m'")
    await enforced.access.reconcile(MINUTE)
    with pytest.raises(ENDED):
        await worker.fetchval("SELECT 1")
    client = redis.asyncio.from_url(second.environment["SANDBOX_REDIS_URL"])
    assert await client.ping()
    await client.aclose()
    assert await pool.fetchval("SELECT access_changed_at FROM sandboxes") is None


async def test_while_nats_says_nothing_a_new_token_counts_in_redis_and_the_old_one_no_more(stores, dsn, redis_client):
    callout = stores.nats_callout
    async with wired({"nats_system": callout.system_url}, Gate()) as (detours, wires):
        settings = bot_settings(addresses(stores, dsn) | detours, callout.account_seed)
        async with enforcing(settings) as manager:
            sandbox = await manager.create(ADA)
            first = await manager.issue_credentials(ADA, sandbox.id)
            wires["nats_system"].freeze()
            second = await manager.issue_credentials(ADA, sandbox.id, rotate=True)
            old, new = [redis.asyncio.from_url(one.environment["SANDBOX_REDIS_URL"]) for one in (first, second)]
            assert await new.ping()
            with pytest.raises(redis.exceptions.AuthenticationError):
                await old.ping()
            await old.aclose()
            await new.aclose()
            wires["nats_system"].thaw()


async def test_a_change_that_a_store_has_not_got_is_applied_as_soon_as_it_is_back_and_ends_nobody_of_now(
    stores, dsn, redis_client, pool
):
    urls = addresses(stores, dsn)
    async with AsyncExitStack() as stack:
        detours, wires = await stack.enter_async_context(wired({"redis": urls["redis"]}, Gate()))
        supervisor = await stack.enter_async_context(Supervisor())
        settings = bot_settings(urls | detours, stores.nats_callout.account_seed)
        manager = await stack.enter_async_context(enforcing(settings))
        supervisor.start("access retries", manager.access.retries.run)
        sandbox = await manager.create(ADA)
        await manager.issue_credentials(ADA, sandbox.id)
        wires["redis"].go_away()
        details = await manager.issue_credentials(ADA, sandbox.id, rotate=True)
        in_postgres = await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"])
        in_nats = await nats.connect(details.environment["SANDBOX_NATS_URL"], allow_reconnect=False)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                await manager.access.apply(sandbox.id)
        wires["redis"].come_back()
        async with asyncio.timeout(constants.ACCESS_UNAPPLIED_AFTER_S / 2):
            while await pool.fetchval("SELECT access_changed_at FROM sandboxes"):
                await asyncio.sleep(0.02)
        async with redis.asyncio.from_url(details.environment["SANDBOX_REDIS_URL"]) as in_redis:
            assert await in_redis.ping()
        await manager.access.nats.connections.servers.look()
        assert await in_postgres.fetchval("SELECT 1") == 1
        assert in_nats.is_connected
        await in_postgres.close()
        await in_nats.close()


async def test_a_change_of_access_is_applied_although_nats_is_away_which_has_no_logins_of_its_own(stores, dsn, pool):
    urls = addresses(stores, dsn)
    async with wired({"nats_system": urls["nats_system"]}, Gate()) as (detours, wires):
        settings = bot_settings(urls | detours, stores.nats_callout.account_seed)
        async with enforcing(settings) as manager:
            sandbox = await manager.create(ADA)
            details = await manager.issue_credentials(ADA, sandbox.id)
            worker = await nats.connect(details.environment["SANDBOX_NATS_URL"], allow_reconnect=False)
            wires["nats_system"].go_away()
            await manager.issue_credentials(ADA, sandbox.id, rotate=True)
            assert await pool.fetchval("SELECT access_changed_at FROM sandboxes") is None
            wires["nats_system"].come_back()
            async with asyncio.timeout(10):
                while not worker.is_closed:
                    await asyncio.sleep(0.02)


async def test_a_first_token_that_its_process_did_not_tell_redis_is_told_by_another(enforced, monkeypatch):
    sandbox = await enforced.create(ADA)
    with monkeypatch.context() as patched:
        patched.setattr(AccessRetries, "attempt", lambda *_, **__: asyncio.sleep(0))
        details = await enforced.issue_credentials(ADA, sandbox.id)
    client = redis.asyncio.from_url(details.environment["SANDBOX_REDIS_URL"])
    with pytest.raises(redis.AuthenticationError):
        await client.ping()
    enforced.access._users_checked_at = -1000
    await enforced.access.reconcile(MINUTE)
    assert await client.ping()
    await client.aclose()


async def test_sessions_of_a_sandbox_that_has_expired_are_ended_even_if_nobody_marked_it(enforced, age):
    sandbox, living = [await enforced.create(ADA, ttl=2 * HOUR) for _ in range(2)]
    sessions = []
    for owner in (sandbox, living):
        details = await enforced.issue_credentials(ADA, owner.id)
        sessions.append(await asyncpg.connect(details.environment["SANDBOX_DATABASE_URL"]))
    await age(sandbox, 3 * HOUR)
    await enforced.access.reconcile(MINUTE)
    with pytest.raises(ENDED):
        await sessions[0].fetchval("SELECT 1")
    assert await sessions[1].fetchval("SELECT 1") == 1
    for session in sessions:
        await session.close()


async def test_a_consumer_is_asked_for_only_where_there_is_something_to_acknowledge(manager, nats_client, monkeypatch):
    sandbox = await manager.create(ADA)
    await manager.acknowledgements.look_at_all()
    asked, ask = [], manager.streams.consumers._info

    async def note(sandbox_id):
        asked.append(sandbox_id)
        return await ask(sandbox_id)

    monkeypatch.setattr(manager.streams.consumers, "_info", note)
    await manager.acknowledgements.look_at_all()
    assert asked == []
    await nats_client.jetstream().publish(f"sandbox.{sandbox.id}.events.TEST", b"event")
    await manager.acknowledgements.look_at_all()
    assert asked == [sandbox.id]
