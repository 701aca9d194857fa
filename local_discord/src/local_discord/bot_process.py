"""A bot as a process of its own, in whatever library or language it is written."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from local_discord.server import LocalDiscord

_KILLED_AFTER_S = 3.0


@asynccontextmanager
async def run_bot(
    discord: LocalDiscord,
    *command: str,
    environ: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    timeout: float = 60,
) -> AsyncIterator[BotProcess]:
    """The bot as a process, with `discord.environment` and what `environ` has more, from its READY until the block is
    left. `BotEnded` if it ends before that, `TimeoutError` after so many seconds."""
    bot = await BotProcess.start(command, {**discord.environment, **(environ or {})}, cwd)
    try:
        await bot.wait_until(asyncio.create_task(discord.wait_ready(timeout)))
        yield bot
    finally:
        await bot.end()


class BotEnded(Exception):
    """Its process has ended before it was ready; the text has what it wrote."""


class BotProcess:
    """`lines` are what it has written so far, errors among them."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self.reading = asyncio.create_task(self._read())
        """Done when the bot has ended, or closed what it writes to."""

    @classmethod
    async def start(cls, command: Sequence[str], environ: Mapping[str, str], cwd: Path | str | None) -> BotProcess:
        """With these variables beside those that there are; `OSError` for a program that cannot be started."""
        environment = {**os.environ, **environ}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        return cls(process)

    async def end(self) -> None:
        """By SIGTERM, and by SIGKILL if it takes too long over that."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _KILLED_AFTER_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self.reading.cancel()
        await asyncio.wait([self.reading])

    async def wait_until(self, ready: asyncio.Task[None]) -> None:
        """Until the task is done; `BotEnded` if the bot ends before."""
        await asyncio.wait([ready, self.reading], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            code = await self._process.wait()
            raise BotEnded("\n".join([f"The bot has ended with {code}. It wrote:", *self.lines]))
        await ready

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())
