"""The health of a sandbox as a manager without a router and without Discord finds it."""

import asyncio
import time
from datetime import timedelta

from bot import names
from bot.errors import ServiceUnavailable
from bot.sandboxes.health import GuildPresence, HealthLevel, Routes
from bot.sandboxes.manager import SandboxManager
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore
from tests.service.conftest import ADA, BOB, STREAM_LIMITS, new_guild


async def test_without_a_router_the_routes_are_those_that_postgresql_gives(enforced, age):
    guild, other = new_guild(), new_guild()
    blue = await enforced.create(ADA, guild_ids=[guild])
    await enforced.create(BOB, guild_ids=[other])
    health = await enforced.get_health(blue.id)
    (bound,) = health.routing.guilds
    assert (bound.guild_id, bound.in_force, bound.presence) == (guild, True, None)
    assert (health.level, health.routing.stale) == (HealthLevel.HEALTHY, None)
    assert health.routing.unknown == ("Discord was not asked: no token is configured.",)
    assert (await enforced.get_health((await enforced.create(ADA)).id)).routing.unknown == ()

    await age(blue, timedelta(days=2))  # expired, which nobody has noted yet
    health = await enforced.get_health(blue.id)
    assert (health.routing.guilds[0].in_force, health.level) == (False, HealthLevel.UNHEALTHY)


async def test_the_time_of_the_last_event_outlives_the_event(enforced, nats_client):
    blue = await enforced.create(ADA)
    assert await enforced.streams.last_event_at(blue.id) is None
    before = time.time()
    await nats_client.jetstream().publish(names.event_subject_prefix(blue.id) + "TYPING_START", b"{}")
    await nats_client.jetstream().purge_stream(blue.stream)
    last = (await enforced.get_health(blue.id)).routing.last_event_at
    assert before - 1 <= last.timestamp() <= time.time() + 1
    await nats_client.jetstream().delete_stream(blue.stream)
    assert await enforced.streams.last_event_at(blue.id) is None


def manager_with(pool, redis_client, nats_client, **sources):
    return SandboxManager(pool, RedisStore(redis_client), StreamStore(nats_client, STREAM_LIMITS), **sources)


async def test_what_the_sources_say_is_told_and_what_they_do_not_is_named(pool, redis_client, nats_client):
    here, unknown = new_guild(), new_guild()

    async def inspect(guild_ids):
        assert list(guild_ids) == [here, unknown]
        return {here: GuildPresence(True, "Lab", ("secret",))}

    async def read(sandbox):
        return Routes(frozenset({unknown}), "PostgreSQL: gone")

    manager = manager_with(pool, redis_client, nats_client, read_routes=read, inspect_guilds=inspect)
    blue = await manager.create(ADA, guild_ids=[here, unknown])
    health = await manager.get_health(blue.id)
    assert [(guild.shown, guild.in_force) for guild in health.routing.guilds] == [("Lab", False), (str(unknown), True)]
    assert health.routing.stale == "PostgreSQL: gone"
    assert health.routing.unknown == ("Discord has not told of 1 server in time.",)


async def test_sources_that_fail_or_never_answer_fail_no_status(pool, redis_client, nats_client, monkeypatch):
    monkeypatch.setattr("bot.constants.HEALTH_TIMEOUT_S", 0.2)

    async def inspect(guild_ids):
        await asyncio.Event().wait()

    async def read(sandbox):
        raise ServiceUnavailable("PostgreSQL", "gone")

    manager = manager_with(pool, redis_client, nats_client, read_routes=read, inspect_guilds=inspect)
    blue = await manager.create(ADA, guild_ids=[new_guild()])
    health = await manager.get_health(blue.id)
    (guild,) = health.routing.guilds
    assert (guild.in_force, guild.presence) == (None, None)
    assert health.routing.unknown == ("Discord could not be asked: no answer within 0.2 s.",)
    assert health.ok
