"""Any sequence of changes through two bots ends in what a simple model of sandboxes says, with all stores in line."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bot.errors import GuildNotBound, GuildTaken, InvalidTransition, NameTaken, QuotaReached
from bot.sandboxes.limits import Limits
from bot.sandboxes.model import Actor
from bot.stores.postgres import open_pool
from tests.faults.invariants import check
from tests.faults.operations import addresses, bot_settings, open_manager

HOUR = timedelta(hours=1)
QUOTA = 2
OWNERS = [Actor(100_000_000_000_000_001, "ada"), Actor(100_000_000_000_000_002, "bob")]
ADMIN = Actor(100_000_000_000_000_003, "root", is_admin=True)
NAMES = ["blue", "green", "red"]
GUILDS = [200_000_000_000_000_001, 200_000_000_000_000_002, 200_000_000_000_000_003]

bots = st.integers(0, 1)
sandbox_names = st.sampled_from(NAMES)
guild_ids = st.sampled_from(GUILDS)


@dataclass
class Model:
    """A sandbox that lives, with the hours that it has left."""

    id: object
    owner: Actor
    left: int
    age: int = 0
    expired: bool = False
    guilds: set[int] = field(default_factory=set)


class World:
    """Two bots on the same stores, on a loop of their own."""

    def __init__(self, urls, seed):
        self._urls, self._settings = urls, bot_settings(urls, seed)
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self):
        self.run(self._open())
        return self

    def __exit__(self, *_):
        self.run(self._stack.aclose())
        self._runner.close()

    def run(self, work):
        return self._runner.run(work)

    async def _open(self):
        self.managers = [await self._stack.enter_async_context(open_manager(self._settings)) for _ in range(2)]
        for manager in self.managers:
            manager._limits = manager._creation._limits = Limits(max_per_owner=QUOTA)
        self.pool = await open_pool(self._urls["postgres"])
        self._stack.push_async_callback(self.pool.close)
        self.redis = redis.asyncio.from_url(self._urls["redis"])
        self._stack.push_async_callback(self.redis.aclose)


def machine(world):  # noqa: C901 - many small rules, each simple
    class Sandboxes(RuleBasedStateMachine):
        living: dict[str, Model]

        @initialize()
        def begin(self):
            self.living = {}

        def teardown(self):
            for model in self.living.values():
                world.run(world.managers[0].destroy(ADMIN, model.id))
            world.run(world.pool.execute("TRUNCATE sandboxes, sandbox_audit_log CASCADE"))

        def attempt(self, work, refusals):
            """Does the work, or sees that it is refused for one of the reasons; whether it was done."""
            reasons = tuple(kind for kind, applies in refusals.items() if applies)
            try:
                self.result = world.run(work)
            except reasons:
                return False
            assert not reasons, reasons
            return True

        def holder(self, guild):
            return next((model for model in self.living.values() if guild in model.guilds), None)

        @rule(bot=bots, owner=st.sampled_from(OWNERS), name=sandbox_names, guilds=st.sets(guild_ids, max_size=2))
        def create(self, bot, owner, name, guilds):
            refusals = {
                QuotaReached: sum(model.owner == owner for model in self.living.values()) >= QUOTA,
                NameTaken: name in self.living,
                GuildTaken: any(self.holder(guild) for guild in guilds),
            }
            work = world.managers[bot].create(owner, name=name, ttl=5 * HOUR, guild_ids=guilds)
            if self.attempt(work, refusals):
                self.living[name] = Model(self.result.id, owner, 5, guilds=set(guilds))

        @rule(bot=bots, name=sandbox_names, guild=guild_ids)
        def bind(self, bot, name, guild):
            if model := self.living.get(name):
                held_by_it = guild in model.guilds
                refusals = {
                    InvalidTransition: model.expired and not held_by_it,
                    GuildTaken: not held_by_it and self.holder(guild) is not None,
                }
                if self.attempt(world.managers[bot].register_guild(ADMIN, model.id, guild), refusals):
                    model.guilds.add(guild)

        @rule(bot=bots, guild=guild_ids)
        def unbind(self, bot, guild):
            model = self.holder(guild)
            if self.attempt(world.managers[bot].unregister_guild(ADMIN, guild), {GuildNotBound: model is None}):
                model.guilds.remove(guild)

        @rule(bot=bots, name=sandbox_names, hours=st.integers(1, 4))
        def extend(self, bot, name, hours):
            if model := self.living.get(name):
                world.run(world.managers[bot].extend_ttl(ADMIN, model.id, hours * HOUR))
                model.left, model.expired = max(model.left, 0) + hours, False

        @rule(bot=bots, name=sandbox_names)
        def issue(self, bot, name):
            if model := self.living.get(name):
                work = world.managers[bot].issue_credentials(ADMIN, model.id, rotate=True)
                self.attempt(work, {InvalidTransition: model.expired})

        @rule(bot=bots, name=sandbox_names)
        def destroy(self, bot, name):
            if model := self.living.pop(name, None):
                world.run(world.managers[bot].destroy(ADMIN, model.id))

        @rule(bot=bots, hours=st.integers(1, 6))
        def time_passes_and_a_bot_sweeps(self, bot, hours):
            world.run(
                world.pool.execute(
                    "UPDATE sandboxes SET created_at = created_at - $1::interval,"
                    " expires_at = expires_at - $1::interval WHERE status <> 'destroyed'",
                    hours * HOUR,
                )
            )
            reaper = world.managers[bot].make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=HOUR)
            world.run(reaper.sweep())
            for name, model in list(self.living.items()):
                model.left -= hours
                model.expired = model.left <= 0
                if model.left <= -1:
                    del self.living[name]

        @invariant()
        def everything_is_in_line(self):
            world.run(check(world.managers[0], world.pool, world.redis))
            found = {sandbox.name: sandbox for sandbox in world.run(world.managers[1].list())}
            assert found.keys() == self.living.keys()
            for name, model in self.living.items():
                assert (found[name].status == "expired", set(found[name].guild_ids)) == (model.expired, model.guilds)

    return Sandboxes


def test_every_sequence_of_changes_ends_as_the_model_says(stores, dsn, nats_client, redis_client):
    with world_of(stores, dsn) as world:
        run_state_machine_as_test(
            lambda: machine(world)(),
            settings=settings(
                max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


def world_of(stores, dsn):
    return World(addresses(stores, dsn), stores.nats_callout.account_seed)
