"""Keeps the long-running parts of the process going, knows how each of them is, and ends them within one deadline.

A part is a coroutine function that should never end. One that ends or fails is started again with back-off. An outage
is told once when it begins and once when it is over, however many parts it concerns. Health, metrics and `check` read
`Supervisor.parts`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Self

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.shutdown import Deadline


class State(StrEnum):
    """How a part is. A part that fails stays `FAILING` through its pause and its next try, until it is running."""

    STARTING = "starting"
    RUNNING = "running"
    FAILING = "failing"
    STOPPED = "stopped"


class PartEnded(Exception):
    """A part that should never end has returned, or was cancelled by nobody."""


class Part:
    """One part as it reports itself, and as others see it: `state`, `since` when (UTC), how many `restarts`, and the
    `last_error` as one line, None if there was none; its `trouble` is that without what only the log may hold."""

    def __init__(self, name: str, outages: Outages) -> None:
        self.name, self._outages = name, outages
        self.state, self.since = State.STARTING, datetime.now(UTC)
        self.restarts = 0
        self.last_error: str | None = None
        self.trouble = ""
        self._is_running = asyncio.Event()

    def running(self) -> None:
        """It does its work: said when it has begun to, and after each turn or repair. Costs nothing when repeated."""
        if self.state is not State.RUNNING:
            self._enter(State.RUNNING)
            self._is_running.set()
            self._outages.end(self.name)

    def failing(self, error: BaseException) -> None:
        """It cannot do its work, and tries again by itself: for a part that goes on through an outage."""
        self.failed(error)
        self._outages.begin(self.name, error)

    def failed(self, error: BaseException) -> None:
        """As `failing`, and told by somebody else."""
        self.last_error = _line(error)
        self.trouble = self.last_error if isinstance(error, ServiceUnavailable) else type(error).__name__
        self._is_running.clear()
        if self.state is not State.FAILING:
            self._enter(State.FAILING)

    def stopped(self) -> None:
        """It has been ended on purpose."""
        self._enter(State.STOPPED)

    async def wait_running(self) -> None:
        """Returns when it is running, at once if it is."""
        await self._is_running.wait()

    def _enter(self, state: State) -> None:
        self.state, self.since = state, datetime.now(UTC)


Run = Callable[[Part], Awaitable[object]]
"""What a part does, for ever. It is given itself, to say that it is `running()`."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How a part is started again: after pauses from `first_s` to `longest_s` seconds, doubled at each failure in a
    row; and, unless `most` is None, at most so often `within` that time. Then the process ends with its error."""

    first_s: float = constants.RESTART_FIRST_S
    longest_s: float = constants.RESTART_LONGEST_S
    most: int | None = None
    within: timedelta = constants.RESTARTS_COUNTED_FOR


ALWAYS = Restarts()
NEVER = Restarts(most=0)
"""For a part without which the process has nothing left to do: its first failure is the process's."""


def backoff(first_s: float, longest_s: float) -> Iterator[float]:
    """Pauses in seconds, each twice the one before, up to the longest."""
    pause = first_s
    while True:
        yield pause
        pause = min(pause * 2, longest_s)


class Supervisor:
    """`async with` it; leaving it ends every part. `parts` has them by their names, in the order of their start."""

    def __init__(self, stop_within_s: float = constants.STOP_WITHIN_S) -> None:
        self.parts: dict[str, Part] = {}
        self.deadline = Deadline(stop_within_s)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._outages = Outages()
        self._exhausted: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    def start(self, name: str, run: Run, restarts: Restarts = ALWAYS) -> Part:
        """Start a part, to be kept going from now on. Its name is its own."""
        if name in self._tasks:
            raise ValueError(f"two parts are called {name}")
        part = self.parts[name] = Part(name, self._outages)
        self._tasks[name] = asyncio.create_task(self._keep_going(part, run, restarts), name=name)
        return part

    def start_periodic(
        self,
        name: str,
        turn: Callable[[], Awaitable[object]],
        every: timedelta,
        *,
        within: Callable[[Run], Run] | None = None,
    ) -> Part:
        """A part that takes a turn, waits, and takes the next. What a turn raises makes the part fail. `within` decides
        when it runs at all."""
        every_s = every.total_seconds()

        async def run(part: Part) -> None:
            while True:
                await turn()
                part.running()
                await asyncio.sleep(every_s)

        first_s = min(every_s, constants.RESTART_FIRST_S)
        restarts = Restarts(first_s, max(first_s, constants.RESTART_LONGEST_S))
        return self.start(name, run if within is None else within(run), restarts)

    async def wait_exhausted(self) -> BaseException:
        """The error of the first part that has failed more often than it may; waits until there is one."""
        return await asyncio.shield(self._exhausted)

    async def end(self, names: Collection[str] | None = None) -> None:
        """End the parts of these names (None: all). What does not obey in time is named in the log, and ended again by
        the next call: its sockets may be closed by then."""
        ending = [name for name in self._tasks if names is None or name in names]
        await self.deadline.cancel([self._tasks[name] for name in ending])
        for name in ending:
            if name in self._tasks and self._tasks[name].done():  # a part may end parts of its own meanwhile
                del self._tasks[name]
                self.parts[name].stopped()
        if stubborn := [name for name in ending if name in self._tasks]:
            logger.warning("parts do not end", parts=stubborn)

    async def _keep_going(self, part: Part, run: Run, restarts: Restarts) -> None:
        failures: deque[float] = deque()
        pauses = backoff(restarts.first_s, restarts.longest_s)
        while True:
            error = await _failure_of(part, run)
            if part.state is State.RUNNING:
                pauses = backoff(restarts.first_s, restarts.longest_s)
            if _are_too_many(failures, restarts):
                part.failed(error)
                if not self._exhausted.done():
                    self._exhausted.set_result(error)
                return
            part.failing(error)
            await asyncio.sleep(next(pauses))
            part.restarts += 1


async def _failure_of(part: Part, run: Run) -> BaseException:
    """Runs the part until it ends, and says in what. The cancellation of the task itself goes through, also if the part
    swallows it and returns."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await run(part)
    except asyncio.CancelledError:
        failure: BaseException = PartEnded("it was cancelled by nobody")
    except Exception as error:
        failure = error
    else:
        failure = PartEnded("it ended by itself")
    if task.cancelling():
        raise asyncio.CancelledError
    return failure


def _are_too_many(failures: deque[float], restarts: Restarts) -> bool:
    """Notes one more failure."""
    if restarts.most is None:
        return False
    now = time.monotonic()
    failures.append(now)
    while failures[0] < now - restarts.within.total_seconds():
        failures.popleft()
    return len(failures) > restarts.most


@dataclass(slots=True)
class _Outage:
    began: float = field(default_factory=time.monotonic)
    parts: set[str] = field(default_factory=set)


class Outages:
    """Tells of an outage when the first part suffers from it, and of its end when the last one does no more."""

    def __init__(self) -> None:
        self._of: dict[str, _Outage] = {}

    def begin(self, part: str, error: BaseException) -> None:
        """The part suffers from what the error names, and no more from anything else."""
        service = error.service if isinstance(error, ServiceUnavailable) else None
        cause = service or f"{part}: {type(error).__name__}"
        self.end(part, but=cause)
        if cause not in self._of:
            self._of[cause] = _Outage()
            _tell(part, error)
        self._of[cause].parts.add(part)

    def end(self, part: str, *, but: str | None = None) -> None:
        """The part suffers from nothing any more, `but` for one cause."""
        for cause, outage in list(self._of.items()):
            if cause == but or part not in outage.parts:
                continue
            outage.parts.discard(part)
            if not outage.parts:
                del self._of[cause]
                logger.info("an outage is over", cause=cause, after_s=round(time.monotonic() - outage.began, 1))


def _line(error: BaseException) -> str:
    """For an operator: which service and why, rather than what a user is told."""
    if isinstance(error, ServiceUnavailable):
        return f"{error.service}: {error.detail}"
    return str(error) or type(error).__name__


def _tell(part: str, error: BaseException) -> None:
    """A service that is away, or has run out of something, is a line, everything else a bug with its traceback."""
    if isinstance(error, ServiceUnavailable):
        said = "a service is away" if error.lack is None else "a service has run out of what it needs"
        lacks = {} if error.lack is None else {"lacks": str(error.lack)}
        logger.warning(said, service=error.service, **lacks, detail=error.detail, part=part)
    else:
        logger.opt(exception=error).error("a part failed and is started again", part=part)
