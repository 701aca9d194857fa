"""Who may have a shard's session: one at a time, by PostgreSQL's clock, in order of takeovers."""

import asyncio
import time

import pytest
from loguru import logger

from bot.routing.leases import GatewayLeases, Shards
from bot.stores.leases import list_claimants
from bot.supervisor import State, Supervisor
from tests.faults.wires import Gate, wired

APPLICATION = 10**17
ONE, BOTH = Shards(APPLICATION, 1, (0,)), Shards(APPLICATION, 2, (0, 1))


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A standby looks often; the lease itself lasts as long as always, if a test does not wait for its end."""
    monkeypatch.setattr("bot.constants.LEASE_TRIED_EVERY_S", 0.02)
    monkeypatch.setattr("bot.constants.LEASE_RENEWED_EVERY_S", 0.05)


@pytest.fixture
def said():
    """The messages of the log."""
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


class Bot:
    """A process, as far as leases go."""

    def __init__(self, dsn, shards, *, is_alone=False):
        self.leases, self._shards = GatewayLeases(dsn, is_alone=is_alone), shards

    async def __aenter__(self):
        self._supervisor = Supervisor()
        self.part = self._supervisor.start("gateway leases", lambda part: self.leases.keep(self._shards, part))
        await self.part.wait_running()
        return self

    async def __aexit__(self, *_):
        await self.die()
        await self.leases.give_back()

    async def die(self):
        """Without giving anything back."""
        await self._supervisor.end()

    @property
    def held(self):
        return sorted(self.leases.held)

    async def until(self, condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)


async def test_one_process_has_a_shard_and_the_other_is_told_and_listed_as_the_standby(dsn, pool, said):
    async with Bot(dsn, ONE) as first, Bot(dsn, ONE) as second:
        assert (first.held, second.held) == ([0], [])
        assert (first.leases.is_valid(0), second.leases.is_valid(0)) == (True, False)
        for _ in range(5):
            await second.leases.next_turn()
        assert sum("standby" in line for line in said) == 1
        listed = await list_claimants(pool, APPLICATION)
        assert [(one.held, one.awaited) for one in listed] == [((0,), []), ((), [0])]
    assert await list_claimants(pool, APPLICATION) == []


async def test_a_lease_that_is_given_back_is_taken_at_once_and_under_a_higher_epoch(dsn):
    async with Bot(dsn, ONE) as first, Bot(dsn, ONE) as second:
        before = first.leases.epoch_of(0)
        await first.die()
        started_at = time.monotonic()
        await first.leases.give_back()
        await second.until(lambda: second.held == [0])
        assert time.monotonic() - started_at < 2
        assert second.leases.epoch_of(0) > before > 0
        assert (first.leases.epoch_of(0), first.leases.is_valid(0)) == (0, False)


async def test_one_that_dies_is_followed_when_its_lease_has_run_out_and_not_before(dsn, monkeypatch):
    monkeypatch.setattr("bot.constants.LEASE_S", 1.0)
    async with Bot(dsn, ONE) as first, Bot(dsn, ONE) as second:
        await first.die()
        while first.leases.is_valid(0):
            assert second.held == []
            await asyncio.sleep(0.005)
        await second.until(lambda: second.held == [0])


async def test_each_shard_has_an_owner_of_its_own_among_those_that_may_run_it(dsn):
    zero, one = Shards(APPLICATION, 2, (0,)), Shards(APPLICATION, 2, (1,))
    async with Bot(dsn, zero) as first, Bot(dsn, one) as second, Bot(dsn, BOTH) as spare:
        assert (first.held, second.held, spare.held) == ([0], [1], [])
        await second.die()
        await second.leases.give_back()
        await spare.until(lambda: spare.held == [1])
        assert first.held == [0]


async def test_processes_with_different_numbers_of_shards_do_not_run_side_by_side_and_the_log_names_it(dsn, said):
    async with Bot(dsn, ONE) as old, Bot(dsn, BOTH) as new:
        for _ in range(5):
            await new.leases.next_turn()
        assert (old.held, new.held) == ([0], [])
        assert sum("another number of shards" in line for line in said) == 1
        await old.die()
        await old.leases.give_back()
        await new.until(lambda: new.held == [0, 1])


async def test_who_starts_together_agrees(dsn):
    bots = [Bot(dsn, BOTH) for _ in range(4)]
    await asyncio.gather(*(bot.__aenter__() for bot in bots))
    assert sorted(bot.held for bot in bots) == [[], [], [], [0, 1]]
    await asyncio.gather(*(bot.__aexit__() for bot in bots))


async def test_when_postgresql_is_back_a_lease_that_has_run_out_meanwhile_is_its_owners_before_anybody_elses(dsn, pool):
    async with (
        wired({"dsn": dsn}, Gate()) as (detours, wires),
        Bot(detours["dsn"], ONE) as first,
        Bot(detours["dsn"], ONE) as second,
    ):
        before = first.leases.epoch_of(0)
        wires["dsn"].go_away()
        await first.until(lambda: first.part.state is second.part.state is State.FAILING)
        await pool.execute("UPDATE gateway_leases SET expires_at = '-infinity'")
        assert first.leases.may_act(0, before)
        wires["dsn"].come_back()
        await first.until(lambda: first.part.state is second.part.state is State.RUNNING)
        assert (first.leases.epoch_of(0), first.leases.is_valid(0), second.held) == (before, True, [])


async def test_who_stood_still_acts_on_nothing_before_postgresql_has_answered(dsn, monkeypatch):
    monkeypatch.setattr("bot.constants.LEASE_DOUBTED_AFTER_S", 0.3)
    async with wired({"dsn": dsn}, Gate()) as (detours, wires), Bot(detours["dsn"], ONE) as bot:
        epoch = bot.leases.epoch_of(0)
        assert bot.leases.may_act(0, epoch)
        time.sleep(0.35)  # noqa: ASYNC251 - as if it had been stopped
        wires["dsn"].go_away()
        assert not bot.leases.may_act(0, epoch)
        await bot.until(lambda: bot.part.state is State.FAILING)
        assert not bot.leases.may_act(0, epoch)
        wires["dsn"].come_back()
        await bot.until(lambda: bot.leases.may_act(0, epoch))


async def test_a_bot_that_has_its_database_for_itself_need_not_wait_for_a_dead_one(dsn):
    async with Bot(dsn, ONE) as dead:
        await dead.die()
        started_at = time.monotonic()
        async with Bot(dsn, ONE, is_alone=True) as new:
            assert new.held == [0]
            assert time.monotonic() - started_at < 4


async def test_epochs_grow_although_the_database_is_made_anew(dsn, pool):
    async with Bot(dsn, ONE) as first:
        before = first.leases.epoch_of(0)
    await pool.execute("DELETE FROM gateway_leases")
    async with Bot(dsn, ONE) as second:
        assert second.leases.epoch_of(0) > before


async def test_a_postgresql_that_is_far_away_gives_leases_and_takes_them_back(dsn, pool, monkeypatch):
    """Not even three times as far as a renewal may take, and to open a connection takes a dozen round trips."""
    monkeypatch.setattr("bot.constants.LEASE_ANSWER_WITHIN_S", 0.3)
    async with wired({"dsn": dsn}, Gate()) as (detours, wires):
        wires["dsn"].one_way_s = 0.035
        async with Bot(detours["dsn"], ONE) as far:
            assert far.held == [0]
            connections = wires["dsn"].connections
            for _ in range(3):
                await far.leases.next_turn()
            assert (far.held, wires["dsn"].connections) == ([0], connections)
        assert await pool.fetchval("SELECT bool_and(expires_at = '-infinity') FROM gateway_leases")


async def test_who_is_connecting_does_not_stand_still(dsn, monkeypatch):
    monkeypatch.setattr("bot.constants.LEASE_DOUBTED_AFTER_S", 0.3)
    async with wired({"dsn": dsn}, Gate()) as (detours, wires), Bot(detours["dsn"], ONE) as bot:
        epoch = bot.leases.epoch_of(0)
        wires["dsn"].freeze()
        wires["dsn"].cut()
        await bot.until(lambda: wires["dsn"].connections > 1)
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            assert bot.leases.may_act(0, epoch)
            await asyncio.sleep(0.005)
        wires["dsn"].thaw()


def test_a_lease_outlives_four_renewals_and_is_doubted_before_it_ends():
    from bot import constants as limits

    assert limits.LEASE_S >= 4 * limits.LEASE_RENEWED_EVERY_S
    assert limits.LEASE_DOUBTED_AFTER_S + limits.LEASE_ANSWER_WITHIN_S < limits.LEASE_S
    assert limits.LEASE_RENEWED_EVERY_S + limits.LEASE_ANSWER_WITHIN_S < limits.LEASE_DOUBTED_AFTER_S
