"""Bot processes to give jobs to, and to kill."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from tests.faults.operations import Job, process
from tests.forks import context

KILLED = "killed"


class NotReady(Exception):
    """The process has ended: `KILLED`, which is what one does that does not reach its stores, or what went wrong."""


class BotProcess:
    def __init__(self, urls: dict[str, str], seed: str) -> None:
        self._channel, theirs = context.Pipe()
        self._process = context.Process(target=process, args=(urls, seed, theirs), daemon=True)
        self._theirs: Connection = theirs
        self._killed = False

    async def start(self) -> None:
        await asyncio.to_thread(self._process.start)
        self._theirs.close()
        if (answer := await self._receive()) != "ready":
            raise NotReady(answer)

    async def do(self, *jobs: Job) -> list[str]:
        """Of each the error's code, an empty text, or `KILLED`."""
        try:
            self._channel.send(jobs)
        except OSError:
            return [KILLED] * len(jobs)
        outcomes = await self._receive()
        return [KILLED] * len(jobs) if outcomes == KILLED else outcomes

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._killed = self._process.pid is not None

    def signal(self, number: signal.Signals) -> None:
        """Nothing after a `kill`: the process number may soon be another one's."""
        if self._process.pid is not None and not self._killed:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def end(self) -> None:
        self.kill()
        await asyncio.to_thread(self._process.join)
        self._channel.close()

    async def _receive(self) -> Any:
        try:
            return await asyncio.to_thread(self._channel.recv)
        except (EOFError, OSError):
            return KILLED


@asynccontextmanager
async def bot_process(urls: dict[str, str], seed: str) -> AsyncIterator[BotProcess]:
    """One that has reached its stores."""
    bot = BotProcess(urls, seed)
    try:
        await bot.start()
        yield bot
    finally:
        await bot.end()
