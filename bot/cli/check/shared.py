"""What several checks need and one of them reports: opened once, when it is first asked for, and closed at the end."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from bot import constants
from bot.shutdown import cancel_repeatedly


class Unanswerable(Exception):
    """A check cannot be made. `because` is the name of the check that says why."""

    def __init__(self, because: str) -> None:
        self.because = because
        super().__init__(because)


class Shared[T]:
    """`name` is that of the check that reports how its opening went."""

    def __init__(
        self, name: str, opening: AbstractAsyncContextManager[T], *, close_within_s: float = constants.CLOSE_WITHIN_S
    ) -> None:
        self.name, self._close_within_s = name, close_within_s
        self._opening, self._over = opening, asyncio.Event()
        self._opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._opened.add_done_callback(lambda opened: opened.exception())  # perhaps nobody asks any more
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> T:
        """Raises what its opening has failed with."""
        if self._task is None:
            self._task = asyncio.create_task(self._hold())
        return await asyncio.shield(self._opened)

    async def get(self) -> T:
        """`Unanswerable` if it could not be opened."""
        try:
            return await self.wait()
        except Exception as error:
            raise Unanswerable(error.because if isinstance(error, Unanswerable) else self.name) from error

    def give_up(self, error: Exception) -> None:
        """If it is not open yet: nobody waits for it any longer, and this is why."""
        if self._task is not None and not self._opened.done():
            self._opened.set_exception(error)
            self._task.cancel()

    async def close(self) -> None:
        """In good order if that takes no time."""
        if self._task is None:
            return
        self._over.set()
        if self._opened.done():
            await asyncio.wait({self._task}, timeout=self._close_within_s)
        await cancel_repeatedly([self._task], constants.CANCEL_WITHIN_S)

    async def _hold(self) -> None:
        try:
            async with self._opening as opened:
                if not self._opened.done():
                    self._opened.set_result(opened)
                await self._over.wait()
        except Exception as error:
            if not self._opened.done():
                self._opened.set_exception(error)
