"""What a store enforces is asked again when its server has been started or configured anew, and said."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

import redis.asyncio
from redis.exceptions import RedisError

from bot.errors import ServiceUnavailable
from tests.breakout.conftest import furnish_redis
from tests.breakout.sessions import A_MINUTE, restart_redis, until_async
from tests.logs import logged, message_of

NO_MORE = "sandboxes are not kept apart by a store any more"
REVOKE = "REVOKE USAGE ON SCHEMA public FROM PUBLIC"
AGAIN = "sandboxes are kept apart by all stores again"


async def has_turned(world, store, *, enforced):
    """After one more of the turns that a running bot takes every second."""
    with suppress(ServiceUnavailable):
        await world.manager.access.reconcile(A_MINUTE)
    return getattr(world.manager.access.isolation, store).enforced is enforced


async def test_postgresql_is_asked_again_when_it_has_been_started_anew(world):
    """As far as the bot knows: to start it anew would end everybody's sessions here."""
    access = world.manager.access
    with logged(read=message_of) as heard:
        for statement, enforced in (("GRANT USAGE ON SCHEMA public TO PUBLIC", False), (REVOKE, True)):
            await world.superuser.execute(statement)
            assert await has_turned(world, "postgres", enforced=not enforced)
            access._probed = ("another start",)
            await until_async(lambda enforced=enforced: has_turned(world, "postgres", enforced=enforced))
    assert [heard.count(NO_MORE), heard.count(AGAIN)] == [1, 1]


async def test_redis_is_asked_again_when_it_has_been_started_anew(world, servers):
    await restart_redis(servers)
    client = redis.asyncio.from_url(servers.redis_url)
    password = urlsplit(servers.redis_url).password
    with logged(read=message_of) as heard:
        await client.execute_command("ACL", "SETUSER", "default", "nopass")
        await until_async(lambda: has_turned(world, "redis", enforced=False))
        assert heard.count(NO_MORE) == 1
        await client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{password}")
        await restart_redis(servers)
        await until_async(lambda: has_turned(world, "redis", enforced=True), 5)
    with suppress(RedisError):
        await client.aclose()
    await world.manager.access.reconcile(A_MINUTE)
    for worker in (world.a, world.b):  # other tests use what they had there
        await worker.redis.connection_pool.disconnect()
        await furnish_redis(worker)


async def test_nats_is_asked_again_when_it_has_been_started_anew_and_slow_answers_change_nothing(world, monkeypatch):
    access = world.manager.access
    asked, probe = [], access.nats.probe

    async def once_slow(address):
        asked.append(address)
        return "it did not answer in time" if len(asked) == 1 else await probe(address)

    for _ in range(2):  # what the servers were told before is seen
        await access.reconcile(A_MINUTE)
    monkeypatch.setattr(access.nats, "probe", once_slow)
    access.nats._auth.stats["reconnects"] += 1
    assert await has_turned(world, "nats", enforced=True)
    assert await has_turned(world, "nats", enforced=True)
    assert len(asked) == 2
    await access.reconcile(A_MINUTE)
    assert len(asked) == 2
