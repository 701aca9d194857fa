"""What breaks, when and for how long: the same for the same seed, whatever it meets."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg

from tests.chaos.disks import Disk
from tests.chaos.service import Service, send
from tests.faults.processes import BotProcess
from tests.faults.wires import Wire
from tests.sessions import ENDED

STORES = ("postgres", "redis", "nats")
LINES = {
    "postgres": ("postgres",),
    "redis": ("redis",),
    "nats": ("nats", "nats_auth", "nats_system"),
    "discord": ("discord",),
}
"""The wires of each line: Discord's is the bot's own, the stores' are those of the other processes."""
HOURS = 20


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: after a pause, for a time, of one of several (0 to 1)."""

    name: str
    after_s: float
    lasts_s: float
    which: float


@dataclass(frozen=True, slots=True)
class Targets:
    """What may be struck."""

    service: Service
    others: Sequence[BotProcess]
    """The processes beside the bot, as they come and go."""
    wires: Mapping[str, Wire]
    disks: Mapping[str, Disk]
    clock: Path
    superuser_url: str


type Hit = Callable[[Targets, Strike], Awaitable[None]]


async def freeze_store(store: str, targets: Targets, strike: Strike) -> None:
    await _stopped(targets.service.servers(store), strike.lasts_s)


async def freeze_bot(targets: Targets, strike: Strike) -> None:
    targets.service.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(strike.lasts_s)
    finally:
        targets.service.signal(signal.SIGCONT)


async def freeze_other(targets: Targets, strike: Strike) -> None:
    if not targets.others:
        return
    other = targets.others[int(strike.which * len(targets.others))]
    other.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(strike.lasts_s)
    finally:
        other.signal(signal.SIGCONT)


async def kill_store(store: str, targets: Targets, _: Strike) -> None:
    send(signal.SIGKILL, targets.service.servers(store)[:1])


async def kill_bot(targets: Targets, _: Strike) -> None:
    targets.service.signal(signal.SIGKILL)


async def kill_guardian(targets: Targets, _: Strike) -> None:
    send(signal.SIGKILL, targets.service.guardian())


async def end_sessions(targets: Targets, _: Strike) -> None:
    with suppress(*ENDED, TimeoutError):
        connection = await asyncpg.connect(targets.superuser_url, timeout=2)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()


async def halve_line(line: str, targets: Targets, strike: Strike) -> None:
    """What is asked arrives, and no answer, until both sides hear of each other again."""
    wires = [targets.wires[name] for name in LINES[line]]
    for wire in wires:
        wire.halve()
    try:
        await asyncio.sleep(strike.lasts_s)
    finally:
        for wire in wires:
            wire.come_back()


async def lose_line(line: str, targets: Targets, strike: Strike) -> None:
    """The connections that there are carry nothing any more; who waits for them hears of their end at last."""
    wires = [targets.wires[name] for name in LINES[line]]
    for wire in wires:
        wire.lose()
    try:
        await asyncio.sleep(strike.lasts_s)
    finally:
        for wire in wires:
            wire.cut()


async def fill_disks(stores: Iterable[str], targets: Targets, strike: Strike) -> None:
    await asyncio.gather(*(targets.disks[store].fill(strike.lasts_s) for store in stores))


async def set_clock(targets: Targets, strike: Strike) -> None:
    """The wall clock of the bot's machine, by hours forward or back. PostgreSQL's stays right."""
    set_ahead(targets.clock, (strike.which - 0.5) * 2 * HOURS * 3600)


HITS: dict[str, tuple[float, Hit]] = {
    **{f"freeze {store}": (2, partial(freeze_store, store)) for store in STORES},
    "freeze bot": (2, freeze_bot),
    "freeze another process": (3, freeze_other),
    **{f"kill {store}": (2, partial(kill_store, store)) for store in STORES},
    "kill bot": (1, kill_bot),
    "kill guardian": (0.5, kill_guardian),
    "end PostgreSQL's sessions": (2, end_sessions),
    **{f"half-open line to {line}": (1, partial(halve_line, line)) for line in LINES},
    **{f"dead connections to {line}": (1, partial(lose_line, line)) for line in LINES},
    **{f"full disk of {store}": (1, partial(fill_disks, (store,))) for store in STORES},
    "full disks of all": (1, partial(fill_disks, STORES)),
    "set the clock": (3, set_clock),
}
"""By name: how often, in proportion, and how."""


def plan(seed: str, names: Sequence[str]) -> Iterator[Strike]:
    """Without end. One in four lasts for seconds, longer than most waits for a store are."""
    chooser = random.Random(seed)
    weights = [HITS[name][0] for name in names]
    while True:
        (name,) = chooser.choices(names, weights)
        lasts_s = chooser.uniform(2, 8) if chooser.random() < 0.25 else chooser.uniform(0.1, 1.5)
        yield Strike(name, chooser.uniform(0.5, 4), lasts_s, chooser.random())


def set_ahead(clock: Path, seconds: float) -> None:
    """At once, for whoever reads it meanwhile."""
    draft = clock.with_suffix(".new")
    draft.write_text(str(seconds))
    draft.replace(clock)


async def _stopped(pids: Sequence[int], seconds: float) -> None:
    send(signal.SIGSTOP, pids)
    try:
        await asyncio.sleep(seconds)
    finally:
        send(signal.SIGCONT, pids)
