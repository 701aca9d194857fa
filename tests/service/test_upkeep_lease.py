"""Of several bots one does the upkeep: another one follows it, and one that stood still changes nothing."""

import asyncio
import time

import pytest

from bot import fence
from bot.concurrency import gather_bounded
from bot.supervisor import State, Supervisor
from bot.upkeep import Upkeep, find_upkeeper
from tests.faults.wires import Gate, wired
from tests.service.conftest import ADA


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("bot.constants.LEASE_RENEWED_EVERY_S", 0.02)


class Bot:
    """A process, as far as the upkeep goes: it works at two things at a time, each step of which takes a moment."""

    def __init__(self, dsn):
        self.upkeep = Upkeep(dsn)
        self.steps, self.runs = 0, 0
        self.pause_s = 0.005

    async def __aenter__(self):
        self._supervisor = Supervisor()
        self.keeping = self._supervisor.start("upkeep", self.upkeep.keep)
        self.part = self._supervisor.start("work", self.upkeep.while_held(self._work))
        await self.keeping.wait_running()
        await self.part.wait_running()
        return self

    async def __aexit__(self, *_):
        await self._supervisor.end()
        await self.upkeep.give_back()

    async def die(self):
        """Without giving anything back."""
        await self._supervisor.end()

    async def _work(self, part):
        self.runs += 1
        part.running()
        outcomes = await gather_bounded(range(2), self._step_by_step, limit=2)
        raise next(outcome for outcome in outcomes if isinstance(outcome, BaseException))

    async def _step_by_step(self, _):
        while True:
            await asyncio.sleep(self.pause_s)
            fence.require()
            self.steps += 1

    async def until(self, condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    async def works(self):
        """Returns when it has done some more."""
        before = self.steps
        await self.until(lambda: self.steps > before + 2)


async def test_one_bot_works_and_another_follows_at_once_when_it_ends(dsn, pool):
    async with Bot(dsn) as second, Bot(dsn) as first:
        await second.works()
        assert (first.runs, first.part.state) == (0, State.RUNNING)
        assert str(await find_upkeeper(pool)).startswith(second.upkeep._leases._name)
        epoch = await second.upkeep.epoch()
        assert (epoch > 0, await first.upkeep.epoch()) == (True, 0)
        await second.die()
        started_at = time.monotonic()
        await second.upkeep.give_back()
        await first.works()
        assert time.monotonic() - started_at < 2
        assert await first.upkeep.epoch() > epoch
    assert await find_upkeeper(pool) is None


async def test_one_that_dies_is_followed_when_its_lease_has_run_out_and_not_before(dsn, monkeypatch):
    monkeypatch.setattr("bot.constants.LEASE_S", 0.5)
    async with Bot(dsn) as first, Bot(dsn) as second:
        await first.works()
        died_at = time.monotonic()
        await first.die()
        await second.works()
        assert 0.4 < time.monotonic() - died_at < 3


async def test_work_that_has_begun_stops_when_another_bot_has_taken_over(dsn, pool):
    async with Bot(dsn) as bot:
        await bot.works()
        bot.pause_s = 3600
        await pool.execute("UPDATE gateway_leases SET holder = gen_random_uuid(), expires_at = now() + interval '1 s'")
        await bot.until(lambda: not bot.upkeep._leases.held)
        bot.pause_s, before = 0.005, bot.steps
        while not bot.upkeep._leases.held:
            assert bot.steps == before
            await asyncio.sleep(0.005)
        await bot.works()
        assert (bot.runs, bot.part.restarts) == (2, 0)


async def test_who_stood_still_changes_nothing_before_postgresql_has_answered(dsn, monkeypatch):
    monkeypatch.setattr("bot.constants.LEASE_ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr("bot.constants.LEASE_DOUBTED_AFTER_S", 0.6)
    async with wired({"dsn": dsn}, Gate()) as (detours, wires), Bot(detours["dsn"]) as bot:
        await bot.works()
        wires["dsn"].go_away()
        before = bot.steps
        time.sleep(0.8)  # noqa: ASYNC251 - as if it had been stopped
        await bot.until(lambda: bot.keeping.state is State.FAILING)
        assert bot.steps == before
        wires["dsn"].come_back()
        await bot.works()
        assert (bot.runs, bot.part.restarts) == (2, 0)


async def test_without_postgresql_the_upkeep_goes_on_where_it_is(dsn):
    async with wired({"dsn": dsn}, Gate()) as (detours, wires), Bot(detours["dsn"]) as bot:
        await bot.works()
        wires["dsn"].go_away()
        await bot.until(lambda: bot.keeping.state is State.FAILING)
        await bot.works()
        assert bot.runs == 1
        wires["dsn"].come_back()
        await bot.until(lambda: bot.keeping.state is State.RUNNING)


async def test_a_part_that_ends_by_itself_is_told_so_and_started_again(dsn):
    async def ends(part):
        part.running()

    async with Supervisor() as supervisor:
        upkeep = Upkeep(dsn)
        supervisor.start("upkeep", upkeep.keep)
        part = supervisor.start("short", upkeep.while_held(ends))
        async with asyncio.timeout(5):
            while part.state is not State.FAILING:
                await asyncio.sleep(0.005)
        assert part.last_error == "it ended by itself"


async def lost(work):
    """The work of a process that has lost the lease that it began under."""

    async def begin():
        fence.put_up(lambda: False)
        return await work

    with pytest.raises(fence.LeaseLost):
        await asyncio.create_task(begin())


async def test_lost_streams_are_another_bots_to_make_again(manager, nats_client):
    sandbox = await manager.create(ADA)
    await nats_client.jetstream().delete_stream(sandbox.stream)
    await lost(manager.stream_reconciler.reconcile())
    assert await manager.streams.list_streams() == {}
    assert await manager.stream_reconciler.reconcile() == 1


async def test_an_older_position_of_the_workers_overwrites_no_newer_one(manager, nats_client):
    sandbox = await manager.create(ADA)
    await lost(manager.acknowledgements.look_at_all())
    assert await manager.acknowledgements._saved.read(sandbox.id) is None


async def test_a_size_of_before_ends_no_sessions(manager, pool):
    await manager.create(ADA)
    manager.sizes.marks = type(manager.sizes.marks)(warned=0, most=0)
    await lost(manager.sizes.look())
    assert await pool.fetchval("SELECT count(*) FROM sandbox_sizes") == 0
