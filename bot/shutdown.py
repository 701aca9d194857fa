"""How things end, bounded: one deadline over every step, and sockets cut off where a good end takes too long."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from loguru import logger

from bot import constants


class Deadline:
    """One bound, in seconds from its start, over all that is done to end. Each step takes what the ones before left."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The time runs from the first call on."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expired.set)

    def expire(self) -> None:
        """No time is left: steps under way are broken off, later ones get none."""
        self.start()
        self._expired.set()

    async def finish(self, what: str, step: Coroutine[Any, Any, object], at_most_s: float | None = None) -> bool:
        """Take a step; True if it came to its end without an error. It gets so many seconds at most (None: all that are
        left), is cancelled then, and left behind if it does not even obey that."""
        self.start()
        task = asyncio.create_task(step, name=what)
        await self._wait({task}, at_most_s)
        if not task.done():
            await cancel_repeatedly([task], constants.CANCEL_WITHIN_S)
            logger.warning("broken off", step=what)
            return False
        if task.cancelled() or (error := task.exception()) is None:
            return True
        logger.warning("a step failed", step=what, error=repr(error))
        return False

    async def close(
        self,
        what: str,
        close: Callable[[], Coroutine[Any, Any, object]],
        abort: Callable[[], object],
        at_most_s: float = constants.CLOSE_WITHIN_S,
    ) -> None:
        """Close something in good order; where that fails or takes too long, cut it off with `abort`."""
        if not await self.finish(what, close(), at_most_s):
            abort()

    async def cancel(
        self, tasks: Iterable[asyncio.Task[Any]], within_s: float = constants.PARTS_END_WITHIN_S
    ) -> set[asyncio.Task[Any]]:
        """As `cancel_repeatedly`, and not beyond the deadline."""
        self.start()
        cancelling = asyncio.create_task(cancel_repeatedly(tasks, within_s))
        await self._wait({cancelling})
        return await cancelling if cancelling.done() else {task for task in tasks if not task.done()}

    async def _wait(self, tasks: set[asyncio.Task[Any]], at_most_s: float | None = None) -> None:
        expired = asyncio.create_task(self._expired.wait())
        await asyncio.wait({*tasks, expired}, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)
        expired.cancel()


async def cancel_repeatedly(tasks: Iterable[asyncio.Task[Any]], within_s: float) -> set[asyncio.Task[Any]]:
    """Cancel until it takes, for a library may swallow one cancellation. Returns those that still live after so many
    seconds."""
    pending = {task for task in tasks if not task.done()}
    ends_at = asyncio.get_running_loop().time() + within_s
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=constants.CANCEL_AGAIN_AFTER_S)
        if asyncio.get_running_loop().time() >= ends_at:
            break
    return pending


def run[ResultT](work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """As `asyncio.run`, which waits for ever for tasks that ignore their cancellation; here they are left behind, and
    the process has to be ended with `leave`."""
    runner = asyncio.Runner()
    try:
        return runner.run(work)
    finally:
        _left_behind.update(runner.run(_cancel_the_rest()))
        if not _left_behind:
            runner.close()


def leave(code: str | int | None) -> None:
    """End the process at once, if something was left behind that would keep it; otherwise do nothing. `code` is a
    `SystemExit`'s: None is 0, a text is 1."""
    if _left_behind:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


_left_behind: set[asyncio.Task[Any]] = set()


async def _cancel_the_rest() -> set[asyncio.Task[Any]]:
    return await cancel_repeatedly(asyncio.all_tasks() - {asyncio.current_task()}, constants.CANCEL_WITHIN_S)
