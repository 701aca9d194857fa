"""One run: operations by several processes while everything breaks, and then what has to hold."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import asyncpg
import redis.asyncio

from bot.errors import SandboxError, ServiceUnavailable
from bot.sandboxes.model import OPERATOR
from bot.stores.embedded import EmbeddedStores
from bot.stores.postgres import open_pool
from local_discord import LocalDiscord
from tests.chaos.disks import Disk
from tests.chaos.ledger import Ledger
from tests.chaos.messages import Messages, Stored, read_streams, require_all_in_order, require_once
from tests.chaos.service import Service
from tests.chaos.strikes import HITS, Targets, plan, set_ahead
from tests.faults.invariants import check, check_rows, settle
from tests.faults.operations import BUG, GRACE, STUCK_AFTER, Job, addresses, bot_settings, open_manager, perform
from tests.faults.processes import KILLED, BotProcess, NotReady
from tests.faults.wires import Gate, wired

OWNERS, GUILDS, STAYING = 6, 24, 3
WEIGHTS = {"create": 5, "extend": 2, "bind": 3, "unbind": 2, "issue": 2, "reset": 2, "destroy": 2, "sweep": 3}
HOUR = timedelta(hours=1)
TIME_PASSES = (
    "UPDATE sandboxes SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1"
)
TTL = timedelta(hours=24)
LANES = 2
"""Of faults: so many may last at the same time."""
STARTS_WITHIN_S, ENDS_WITHIN_S, COMES_RIGHT_WITHIN_S = 60, 240, 120
"""The bot; an operation, whatever it waits for; and everything, once nothing breaks any more."""
HEARTBEAT_MS = 3000
"""Discord's: a dead connection to it is noticed after two of them."""
_AWAY = (
    ServiceUnavailable,
    SandboxError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    redis.RedisError,
    OSError,
    TimeoutError,
)


@dataclass(slots=True)
class Order:
    """What is wanted of a run, where it has its files, and where it writes down what it does."""

    folder: Path
    trace: TextIO
    log: Path
    seed: int
    operations: int
    processes: int
    seconds: float
    faults: Sequence[str]
    disks: Mapping[str, Disk] = field(default_factory=dict)


class Chaos:
    """`run` raises AssertionError, with what is wrong, unless everything comes right."""

    def __init__(self, order: Order) -> None:
        self._order, self._left = order, order.operations
        self._lanes = LANES if order.faults else 0
        self._began_at = time.monotonic()
        self._clock = order.folder / "clock"
        self._others: dict[int, BotProcess] = {}
        self._spared: dict[int, str] = {}
        """By guild, the streams of the sandboxes that nobody touches."""
        self.ledger = Ledger()
        self.struck: Counter[str] = Counter()
        self.exits: Mapping[int | None, int] = {}
        """How often the bot has ended with which code."""
        self.took_s = 0.0
        self.streams: Mapping[str, Stored] = {}

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            await self._set_up(stack)
            async with asyncio.TaskGroup() as group:
                pouring = group.create_task(self._messages.pour())
                lanes = [group.create_task(self._break_things(lane)) for lane in range(self._lanes)]
                try:
                    async with asyncio.TaskGroup() as drives:
                        for number in range(self._order.processes):
                            drives.create_task(self._drive(number))
                finally:
                    for lane in lanes:
                        lane.cancel()
                    await asyncio.gather(*lanes, return_exceptions=True)
                self.took_s = self._now()
                self._trace("nothing breaks any more")
                await self._come_right(self._is_right)
                pouring.cancel()
            await self._come_right(self._is_all_stored)
        self._check_ends()

    @property
    def messages(self) -> int:
        """How many of those that were sent the sandboxes that stay have got."""
        return sum(len(self.streams[name].numbers[guild]) for guild, name in self._spared.items() if self.streams)

    @property
    def gaps(self) -> int:
        """How many are marked in these."""
        return sum(self.streams[name].gaps for name in self._spared.values() if self.streams)

    async def _set_up(self, stack: AsyncExitStack) -> None:
        """Discord and its people, the bot with its stores, a line to each, and the sandboxes that stay."""
        set_ahead(self._clock, 0)
        discord = await stack.enter_async_context(LocalDiscord())
        discord.settings.kept_events, discord.settings.heartbeat_interval_ms = 1_000_000, HEARTBEAT_MS
        self._owners = [discord.add_person(f"person-{number}") for number in range(OWNERS)]
        guilds = [discord.add_guild(f"Guild {n}", owner=self._owners[n % OWNERS]).id for n in range(GUILDS + STAYING)]
        self._guilds, staying = guilds[STAYING:], guilds[:STAYING]
        self._messages = Messages(discord, staying, self._guilds)
        _, lines = await stack.enter_async_context(wired({"discord": discord.api_base}, Gate()))
        discord._core.origin = f"http://127.0.0.1:{lines['discord'].port}"
        data = self._order.folder / "data"
        environment = bot_environment(discord, data, self._clock)
        self._service = await stack.enter_async_context(Service(self._order.folder, environment, self._order.log))
        self.exits = self._service.exits
        await discord.wait_ready(STARTS_WITHIN_S)
        async with EmbeddedStores(data, share=True) as self._stores:
            self._urls = addresses(self._stores, self._stores.database_url)
        self._seed = self._stores.nats_callout.account_seed
        self._detours, wires = await stack.enter_async_context(wired(self._urls, Gate()))
        self._wires = wires | lines
        self._pool = await stack.enter_async_context(await open_pool(self._urls["postgres"]))
        self._settings = bot_settings(self._urls, self._seed)
        await self._make_those_that_stay(staying)

    async def _make_those_that_stay(self, guild_ids: Sequence[int]) -> None:
        async with open_manager(self._settings) as manager:
            for guild_id in guild_ids:
                sandbox = await manager.create(OPERATOR, owner_id=guild_id, guild_ids=[guild_id])
                self._spared[guild_id] = sandbox.stream

    async def _break_things(self, lane: int) -> None:
        for strike in plan(f"{self._order.seed} faults {lane}", self._order.faults):
            await asyncio.sleep(strike.after_s)
            self.struck[strike.name] += 1
            self._trace(f"{strike.name}, {strike.lasts_s:.1f} s, {strike.which:.3f}")
            await HITS[strike.name][1](self._targets(), strike)

    def _targets(self) -> Targets:
        others = list(self._others.values())
        return Targets(self._service, others, self._wires, self._order.disks, self._clock, self._stores.superuser_url())

    async def _drive(self, number: int) -> None:
        """One process beside the bot, and the next one when it has been killed."""
        chooser = random.Random(f"{self._order.seed} process {number}")
        while self._goes_on():
            process = self._others[number] = BotProcess(self._detours, self._seed)
            try:
                await process.start()
                await self._use(process, chooser)
            except NotReady as error:
                self._note_not_ready(error)
                await asyncio.sleep(chooser.uniform(0.1, 0.5))
            finally:
                await process.end()

    def _note_not_ready(self, error: NotReady) -> None:
        told = error.args[0]
        self._trace(f"a process did not start: {told}")
        self.ledger.outcomes.update(told if isinstance(told, list) else ())

    async def _use(self, process: BotProcess, chooser: random.Random) -> None:
        while self._goes_on():
            self._left -= 1
            job = await self._choose(chooser)
            self.ledger.begin(job)
            doing = asyncio.create_task(process.do(job))
            if chooser.random() < 0.15:
                await asyncio.wait([doing], timeout=chooser.uniform(0, 0.08))
                process.kill()
            outcome = await self._outcome_of(job, doing)
            self._trace(f"{job}: {outcome or 'done'}")
            self.ledger.end(job, outcome)
            if outcome == KILLED:
                return

    async def _outcome_of(self, job: Job, doing: asyncio.Task[list[str]]) -> str:
        done, _ = await asyncio.wait([doing], timeout=ENDS_WITHIN_S)
        assert done, f"{job} has not ended after {ENDS_WITHIN_S} s"
        (outcome,) = doing.result()
        return outcome

    def _goes_on(self) -> bool:
        return self._left > 0 and self._now() < self._order.seconds

    async def _choose(self, chooser: random.Random) -> Job:
        """Now and then one that was asked for already. Of sandboxes that there are, if PostgreSQL tells of them."""
        if chooser.random() < 0.15 and (repeated := self.ledger.any_of_the_latest(chooser)) is not None:
            return repeated
        rows = await self._let_time_pass(chooser)
        operation = chooser.choices(list(WEIGHTS), WEIGHTS.values())[0] if rows else "create"
        chosen = chooser.choice(rows)["id"] if rows else None
        owner, guild_id = chooser.choice(self._owners), chooser.choice(self._guilds)
        return Job(operation, chosen, owner.id, guild_id, self.ledger.next_key())

    async def _let_time_pass(self, chooser: random.Random) -> Sequence[asyncpg.Record]:
        """For one of the latest sandboxes, sometimes; all of these."""
        rows: Sequence[asyncpg.Record] = []
        with suppress(*_AWAY):
            rows = await self._pool.fetch(
                "SELECT id FROM sandboxes WHERE owner_id <> ALL ($1)"
                " ORDER BY status = 'destroyed', created_at DESC LIMIT 30",
                list(self._spared),
            )
            if rows and chooser.random() < 0.08:
                passed = chooser.choice([TTL, TTL + 2 * HOUR])
                await self._pool.execute(TIME_PASSES, chooser.choice(rows)["id"], passed)
        return rows

    async def _come_right(self, is_right: Callable[[], Awaitable[None]]) -> None:
        """By itself, with all there: not at once, for what was frozen or full a moment ago needs its time."""
        give_up_at = time.monotonic() + COMES_RIGHT_WITHIN_S
        while True:
            try:
                async with asyncio.timeout(COMES_RIGHT_WITHIN_S):
                    return await is_right()
            except (AssertionError, *_AWAY) as error:
                wrong = f"{error!r} {getattr(error, 'detail', '')}"
                self._trace(f"not right yet: {wrong}")
                if time.monotonic() > give_up_at:
                    raise AssertionError(f"after {COMES_RIGHT_WITHIN_S} s still: {wrong}") from error
            await asyncio.sleep(0.5)

    async def _is_right(self) -> None:
        client = redis.asyncio.from_url(self._urls["redis"])
        try:
            async with open_manager(self._settings) as manager:
                for job in self.ledger.open_jobs():
                    self.ledger.end(job, await perform(manager, self._settings, job))
                await check_rows(self._pool)
                await settle(manager, self._pool)
                await check(manager, self._pool, client)
                await self.ledger.check(self._pool)
        finally:
            await client.aclose()

    async def _is_all_stored(self) -> None:
        self.streams = await read_streams(self._urls["nats"])
        require_once(self.streams)
        for guild_id, stream in self._spared.items():
            require_all_in_order(self.streams, stream, guild_id, self._messages.sent[guild_id])

    def _check_ends(self) -> None:
        bugs = {outcome: count for outcome, count in self.ledger.outcomes.items() if outcome.startswith(BUG)}
        assert not bugs, bugs
        strange = self.exits.keys() - USUAL_EXITS
        assert not strange, f"the bot has ended with {strange}"
        _, found, after = self._order.log.read_text().partition("Traceback")
        assert not found, f"a traceback in the bot's log: {after[:2000]}"

    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _trace(self, what: str) -> None:
        self._order.trace.write(f"{self._now():8.3f} {what}\n")


USUAL_EXITS = {0, -9, 69}
"""In good order, killed, and because its stores could not run, from which it is started again."""


_OWN = ("BOT_", "DISCORD_", "DATABASE_", "REDIS_", "NATS_")


def bot_environment(discord: LocalDiscord, data: Path, clock: Path) -> dict[str, str]:
    """Of the bot with its embedded stores."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN)} | {
        "DISCORD_TOKEN": discord.token,
        "BOT_DISCORD__API_BASE": discord.api_base,
        "BOT_EMBEDDED__FOLDER": str(data),
        "BOT_RELAY__LISTEN": "off",
        "BOT_SANDBOXES__GRACE": f"{GRACE.total_seconds():.0f}s",
        "BOT_SANDBOXES__STUCK_AFTER": f"{STUCK_AFTER.total_seconds():.0f}s",
    }
