"""One fault after the other under load, and after each what was lost, and who was let in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.cluster.events import Account
from tests.cluster.faults import Step
from tests.cluster.scene import Order, open_scene

STORED_WITHIN_S = 10.0
"""After a fault is over, until everything that was sent by then is stored."""
_WORKER_HAS_ALL_WITHIN_S = 40.0
"""An event that was on the way to a worker when its server ended comes again after 30 seconds."""
_TAKES_UP_SPEED_S = 1.0


@dataclass(slots=True)
class Row:
    """What came of one step. `wrong` are sentences; `None` for a time means that nothing was measured."""

    name: str
    seconds: float = 0.0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    gaps: int = 0
    commands: int = 0
    unanswered: int = 0
    dead_s: float | None = None
    let_in_s: float | None = None
    wrong: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        counts = (self.lost, self.doubled, self.out_of_order, self.gaps, self.unanswered)
        return not any(counts) and not self.wrong


def _later(one: float | None, other: float | None) -> float | None:
    return max((time for time in (one, other) if time is not None), default=None)


class Run:
    """`rows` grow as it goes on."""

    def __init__(self, order: Order, steps: Sequence[Step]) -> None:
        self._order, self._steps = order, steps
        self.rows: list[Row] = []

    async def run(self) -> AsyncIterator[Row]:
        """Each row as soon as it is there."""
        async with open_scene(self._order) as self._scene, self._in_use():
            self._read_to = {place.sandbox: 0 for place in self._scene.places}
            for step in self._steps:
                yield self._note(await self._guarded(step))
            yield self._note(await self._end())

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[None]:
        """Events and commands come, each without end."""
        scene = self._scene
        # An extension has workers log in anew: those that listen, and those whose end is timed, are left alone.
        extended = [place for place in scene.places if place.sandbox not in ("worker", "keys")]
        lanes = [[place for place in extended if place.guild.id >> 22 & 1 == shard] for shard in range(2)]
        doing = [scene.load.pour(), scene.worker.work(), *(scene.commands.extend(lane) for lane in lanes)]
        self._tasks = [asyncio.create_task(each) for each in doing]
        try:
            await asyncio.sleep(_TAKES_UP_SPEED_S)
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guarded(self, step: Step) -> Row:
        row = Row(step.name)
        began_at, asked, unanswered = time.monotonic(), self._scene.commands.asked, len(self._scene.commands.unanswered)
        ended = self._ended()
        try:
            await self._take(step, row)
        except Exception as error:
            row.wrong.append(f"{type(error).__name__}: {error}")
        await self._count(row)
        commands = self._scene.commands
        row.commands, row.unanswered = commands.asked - asked, len(commands.unanswered) - unanswered
        row.wrong += commands.unanswered[unanswered:]
        row.wrong += [f"no more load: {task.exception()!r}" for task in self._tasks if task.done()]
        row.wrong += [f"{name} ended" for name, count in self._ended().items() if count > ended[name]]
        row.seconds = time.monotonic() - began_at
        return row

    async def _take(self, step: Step, row: Row) -> None:
        credentials = self._scene.credentials
        await credentials.hold()
        servers = self._scene.cluster.servers
        async with step.fault(self._scene.cluster) as away:
            lasts = asyncio.create_task(asyncio.sleep(step.lasts_s))
            if is_replaced := await credentials.replace():
                await self._try_credentials(row, servers.keys() - away)
            await lasts
        if is_replaced:
            await self._try_credentials(row, away)
        await self._try_credentials(row, (), servers)
        await credentials.release()

    async def _try_credentials(self, row: Row, old: Collection[str], new: Collection[str] | None = None) -> None:
        """The old ones, and where nothing else is said the new ones too, on those servers, which answer from now on."""
        credentials = self._scene.credentials
        dead, let_in = await asyncio.gather(credentials.ended(old), credentials.let_in(old if new is None else new))
        row.dead_s, row.let_in_s = _later(row.dead_s, dead.after_s), _later(row.let_in_s, let_in.after_s)
        row.wrong += [*dead.wrong, *let_in.wrong]

    async def _count(self, row: Row) -> None:
        """Everything that was sent until now."""
        marks = {place.sandbox: self._scene.load.sent[place.guild.id] for place in self._scene.places}
        before = {name: self._totals(name) for name in marks}
        readers = self._scene.readers
        await asyncio.gather(*(readers[name].read_until(mark - 1, STORED_WITHIN_S) for name, mark in marks.items()))
        for name, mark in marks.items():
            account, first = readers[name].account, self._read_to[name]
            self._read_to[name] = mark
            row.events += mark - first
            row.lost += account.lost(first, mark)
            doubled, out_of_order, gaps = (
                now - then for now, then in zip(self._totals(name), before[name], strict=True)
            )
            row.doubled += doubled
            row.out_of_order += out_of_order
            row.gaps += gaps

    def _totals(self, name: str) -> tuple[int, int, int]:
        account = self._scene.readers[name].account
        return account.doubled, account.out_of_order, account.gaps

    def _ended(self) -> dict[str, int]:
        """How often each process has."""
        return {name: service.exits.total() for name, service in self._scene.bots.items()}

    async def _end(self) -> Row:
        """No more is sent: what those have heard who listened all the time."""
        self._tasks[0].cancel()
        row = Row("relays, worker, effects")
        began_at = time.monotonic()
        await self._count(row)
        for name, bot in self._scene.relayed.items():
            await self._judge_relayed(name, row)
            if bot.beginnings != 1:
                row.wrong.append(f"{name}: {bot.beginnings} sessions on its relay")
        await self._judge_worker(row)
        await self._judge_effects(row)
        row.seconds = time.monotonic() - began_at
        return row

    async def _judge_relayed(self, name: str, row: Row) -> None:
        bot, count = self._scene.relayed[name], self._read_to[name]
        try:
            await bot.until(lambda: count - 1 in bot.numbers[-1:], STORED_WITHIN_S)
        except TimeoutError:
            row.wrong.append(f"{name}: its relay is behind")
        account: Account = bot.account
        found = (account.lost(0, count), account.doubled, account.out_of_order)
        if any(found):
            row.wrong.append(f"{name} at its relay: lost {found[0]}, doubled {found[1]}, out of order {found[2]}")

    async def _judge_worker(self, row: Row) -> None:
        worker, count = self._scene.worker, self._read_to["worker"]
        if not await worker.has_all(count, _WORKER_HAS_ALL_WITHIN_S):
            missing = sorted(set(range(count)) - worker.numbers)
            what = f"{len(missing)} of {count} events, {missing[0]} to {missing[-1]}"
            row.wrong.append(f"the worker missed {what}: {worker.ended or 'it is still waiting'}")

    async def _judge_effects(self, row: Row) -> None:
        """Whatever the bot has said that it has done, it has."""
        query = "SELECT name, extract(epoch FROM expires_at - created_at) / 60 - 1440 AS minutes FROM sandboxes"
        for found in await self._scene.cluster.postgres.fetch(query):
            told = self._scene.commands.extended.get(found["name"], 0)
            if round(found["minutes"]) < told:
                row.wrong.append(f"{found['name']}: extended {round(found['minutes'])} times, told {told}")

    def _note(self, row: Row) -> Row:
        self.rows.append(row)
        return row
