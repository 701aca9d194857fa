"""What the control plane and the publisher tell Prometheus, on real servers."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
from nats.js.api import StreamConfig

from bot import metrics
from bot.metric_sources.events import EventSource
from bot.metric_sources.sandboxes import SandboxSource
from bot.routing.publisher import Publisher
from bot.routing.router import EventRouter
from bot.routing.table import RouteTable
from bot.sandboxes.census import Census
from bot.sandboxes.lifecycle.notices import NoticeDispatcher, Outcome
from bot.sandboxes.lifecycle.orphans import OrphanCollector, OrphanKind
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.stores.redis import RedisStore
from tests.scrapes import scrape
from tests.service.conftest import ADA

HOUR, NO_TIME = timedelta(hours=1), timedelta(0)
MUTE, SUBJECT = "sandbox.mute.events.TEST", "sandbox.x.events.TEST"


@pytest.fixture
def observed(pool, manager, make_reaper, outbox, redis_client):
    """The control plane's parts, and what they tell."""

    class Observed:
        reaper: Reaper = make_reaper()
        census = Census(pool, HOUR)
        orphans = OrphanCollector(pool, manager.schemas, RedisStore(redis_client), manager.streams, NO_TIME)
        outcome: Outcome | None = Outcome.SENT
        does_upkeep = True

        def __init__(self):
            self.notices = NoticeDispatcher(outbox, manager.get_by_id, self.deliver)

        async def deliver(self, delivery, sandbox):
            if self.outcome is None:
                raise RuntimeError("Discord is away")
            return self.outcome

        def told(self):
            parts = self.reaper, self.notices, self.orphans, self.census
            return scrape(SandboxSource(manager, *parts, collects_orphans=lambda: self.does_upkeep))

    return Observed()


async def test_what_time_does_to_sandboxes_is_counted(manager, observed, age):
    sandbox = await manager.create(ADA, ttl=2 * HOUR)
    await age(sandbox, 2 * HOUR + timedelta(minutes=5))
    await observed.census.read()
    assert 300 <= observed.told()(metrics.OVERDUE, status="running") < 400
    await observed.reaper.sweep()
    observed.outcome = None
    await observed.notices.dispatch([])  # the notice of its end: postponed
    await observed.census.read()
    told = observed.told()
    assert told(metrics.REAPED, action="expired") == told(metrics.SANDBOXES, status="expired") == 1
    assert told(metrics.NOTICES, outcome="postponed") == told(metrics.NOTICES_WAITING) == 1
    assert told(metrics.NOTICES_OLDEST) > 0
    assert told(metrics.OVERDUE) == 0
    await age(sandbox, HOUR)
    await observed.reaper.sweep()
    told = observed.told()
    assert told(metrics.REAPED, action="destroyed") == told(metrics.DESTROY_SECONDS, "_count", outcome="destroyed") == 1


async def test_what_postgres_counted_long_ago_is_not_told(observed, monkeypatch):
    await observed.census.read()
    assert observed.told()(metrics.SANDBOXES) == 0
    monkeypatch.setattr("bot.constants.CENSUS_HOLDS_S", 0)
    assert observed.told()(metrics.SANDBOXES) is None
    assert observed.told()(metrics.NOTICES_WAITING) is None


async def test_what_was_lost_or_left_behind_is_counted(manager, observed, pool, nats_client, redis_client):
    lost, ended = await manager.create(ADA), await manager.create(ADA)
    await nats_client.jetstream().delete_stream(lost.stream)
    await manager.stream_reconciler.reconcile()
    await manager.destroy(ADA, ended.id)
    await redis_client.set(f"sandbox:{ended.id}:left", 1)
    await redis_client.set("sandbox:00000000-0000-4000-8000-000000000000:somebody's", 1)
    assert await observed.orphans.collect(HOUR)
    told = observed.told()
    assert told(metrics.REPAIRS, of="stream") == 1
    assert told(metrics.ORPHANS_DROPPED, kind=OrphanKind.KEYS) == 1
    assert told(metrics.ORPHANS, kind=OrphanKind.KEYS) == 1
    observed.does_upkeep = False
    assert observed.told()(metrics.ORPHANS) is None


async def test_a_stream_that_takes_nothing_is_seen_until_all_of_it_is_stored(nats_client, monkeypatch):
    monkeypatch.setattr("bot.constants.LANE_BYTES", 1000)
    jetstream = nats_client.jetstream()
    mute = StreamConfig(name="MUTE", subjects=["sandbox.mute.events.>"], no_ack=True)
    await jetstream.add_stream(mute)
    await jetstream.add_stream(name="EVENTS", subjects=["sandbox.x.events.>"])
    publisher = Publisher(nats_client, window=50, ack_timeout=timedelta(milliseconds=150))
    await publisher.start()

    def told():
        table = RouteTable()
        router = EventRouter(table, publisher, SimpleNamespace(), SimpleNamespace())
        return scrape(EventSource(router, publisher, table, SimpleNamespace(age_s=0.0), SimpleNamespace(unanswered=0)))

    async def until(condition):
        async with asyncio.timeout(20):
            while not condition(told()):
                publisher.publish(SUBJECT, b"", f"k{publisher.last_published}")
                await asyncio.sleep(0.02)

    publisher.publish(MUTE, b"x" * 1000, "m0")
    assert (told()(metrics.WINDOW), told()(metrics.RECOVERING)) == (1, 0)
    await until(lambda told: told(metrics.OLDEST) > 0)
    await until(lambda told: told(metrics.APART) == told(metrics.RECOVERING) == 1)
    assert told()(metrics.BACKLOG_BYTES) > 1000
    publisher.publish(MUTE, b"", "m1")  # too much for it
    assert (told()(metrics.EVENTS_PUBLISHED, outcome="lost"), told()(metrics.GAPS, cause="stream")) == (1, 1)
    await jetstream.update_stream(mute.evolve(no_ack=False))
    await until(lambda told: told(metrics.RECOVERING) == 0)
    await publisher.drain(10)
    assert told()(metrics.EVENTS_RESENT) > 0
    assert told()(metrics.EVENTS_PUBLISHED, outcome="stored") > 1
    assert told()(metrics.WINDOW) == told()(metrics.BACKLOG_BYTES) == 0
    await publisher.close()
