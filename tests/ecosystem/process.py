"""A bot as a process of its own, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_KILLED_AFTER_S = 3.0


class BotProcess:
    """`lines` are what it has written, errors among them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._has_ended = False
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def says(self, wanted: Callable[[str], bool], seconds: float) -> str:
        """The first line that is wanted, now or when it comes. `TimeoutError`, at once if the bot has ended."""

        def found() -> str | None:
            return next((line for line in self.lines if wanted(line)), None)

        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: found() is not None or self._has_ended)
        line = found()
        if line is None:
            raise TimeoutError("the bot has ended")
        return line

    async def end(self) -> None:
        """As somebody who presses Ctrl+C in the end loses patience."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_KILLED_AFTER_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip())
                self._changed.notify_all()
        async with self._changed:
            self._has_ended = True
            self._changed.notify_all()


@asynccontextmanager
async def running_bot(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[BotProcess]:
    """Until the context is left. `folder` is where it runs, if not here."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    bot = BotProcess(process)
    try:
        yield bot
    finally:
        await bot.end()
