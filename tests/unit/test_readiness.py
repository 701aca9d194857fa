"""How what was asked and looked at becomes whether the bot is ready."""

import asyncio
from types import SimpleNamespace
from uuid import uuid4

import pytest

from bot import constants
from bot.errors import Lack, ServiceUnavailable
from bot.findings import failure, ok
from bot.health.looks import GatewayLook
from bot.health.readiness import Readiness
from bot.routing.leases import Shards
from bot.stores.leases import Claimant
from bot.supervisor import Supervisor


@pytest.fixture
async def supervisor():
    async with Supervisor() as supervisor:
        yield supervisor


@pytest.fixture
def watch(supervisor, monkeypatch):
    """Starts to ask a probe; what it has found so far."""
    monkeypatch.setattr(constants, "HEALTH_LOOKED_AT_EVERY_S", 0.001)

    async def start(**probes):
        readiness = Readiness(probes, {}, supervisor.parts)
        await supervisor.start("health", readiness.run).wait_running()
        return readiness

    return start


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_store_that_says_nothing_is_asked_once_at_a_time_and_delays_no_other(watch, monkeypatch):
    monkeypatch.setattr(constants, "HEALTH_ANSWER_WITHIN_S", 0.05)
    asking, most, asked = 0, 0, 0
    thawed = asyncio.Event()

    async def frozen():
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        try:
            await thawed.wait()
        finally:
            asking -= 1

    async def answers():
        nonlocal asked
        asked += 1

    readiness = await watch(frozen=frozen, answers=answers)
    await until(lambda: readiness.checks()["frozen"].detail == "no answer within 0.05 s")
    assert not readiness.checks()["frozen"].ok
    before = asked
    await until(lambda: readiness.checks()["answers"].ok and asked > before)
    thawed.set()
    await until(lambda: readiness.checks()["frozen"].ok)
    assert most == 1


async def test_since_when_is_the_time_of_the_change_and_not_of_the_last_question(watch):
    trouble = [ServiceUnavailable("Redis", "used memory > 'maxmemory'", lack=Lack.MEMORY)]
    asked = 0

    async def ask():
        nonlocal asked
        asked += 1
        if trouble:
            raise trouble[0]

    readiness = await watch(redis=ask)
    await until(lambda: asked > 1)
    check = readiness.checks()["redis"]
    assert (check.ok, check.detail) == (False, "no memory left: used memory > 'maxmemory'")
    since, before = check.since, asked
    await until(lambda: asked > before + 1)
    assert readiness.checks()["redis"].since == since
    trouble.clear()
    await until(lambda: readiness.checks()["redis"].ok)
    assert readiness.checks()["redis"].since > since


async def test_a_part_that_was_ended_on_purpose_is_no_trouble_and_one_that_has_not_begun_is(watch, supervisor):
    async def begins_never(part):
        await asyncio.Future()

    readiness = await watch()
    supervisor.start("late", begins_never)
    found = readiness.checks()
    assert (found["part late"].ok, found["part late"].detail) == (False, "starting")
    assert found["part health"].ok
    await supervisor.end({"late"})
    assert "part late" not in readiness.checks()


async def test_of_a_bug_only_its_kind_is_told(watch, supervisor):
    readiness = await watch()
    part = supervisor.start("webhooks", lambda _: asyncio.sleep(3600))
    part.failed(RuntimeError("404 at https://discord.com/api/webhooks/7/hunter22"))
    assert readiness.checks()["part webhooks"].detail == "RuntimeError"
    part.failed(ServiceUnavailable("Redis", "gone"))
    assert readiness.checks()["part webhooks"].detail == "Redis: gone"


def process(*held):
    return Claimant(uuid4(), "host, process 7", Shards(1, 2, (0, 1)), held)


@pytest.mark.parametrize(
    ("held", "others", "connected", "found"),
    [
        ({}, None, set(), failure("it isn't known yet which shards are this bot's")),
        ({}, [], set(), failure("no bot has a shard")),
        ({}, [process()], set(), failure("no bot has a shard")),
        ({}, [process(0, 1)], set(), ok("standby: host, process 7 runs shards 0, 1 of 2")),
        ({0: 3}, [process(1)], {0}, ok("connected: shard 0")),
        ({0: 3, 1: 3}, [], {1}, failure("not connected: shard 0")),
        ({0: 3, 1: 3}, [], {0, 1}, ok("connected: shards 0, 1")),
    ],
)
def test_ready_is_who_has_its_shards_connected_or_waits_for_another_bot(held, others, connected, found):
    leases = SimpleNamespace(held=held, others=others)
    assert GatewayLook(leases, lambda: connected).look() == found
