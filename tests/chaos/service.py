"""The bot as an operator runs it: whenever it ends it is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

_PROGRAMS = {"postgres": "postgres", "redis": "valkey-server", "nats": "nats-server"}
_AGAIN_AFTER_S = 0.5
_STOPS_WITHIN_S = 20


class Service:
    """`async with` starts it and in the end stops it. Its log goes to a file."""

    def __init__(
        self, folder: Path, environment: dict[str, str], log: Path, *, command: str = "run", module: str = "bot"
    ) -> None:
        self._folder, self._environment, self._log = folder, environment, log
        self._argv = (sys.executable, "-m", module, command)
        self._process: asyncio.subprocess.Process | None = None
        self.exits: Counter[int | None] = Counter()
        """How often it has ended with which code."""

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), _STOPS_WITHIN_S)
            except TimeoutError:
                self.signal(signal.SIGKILL)
                await self._process.wait()
            self.exits[self._process.returncode] += 1

    def signal(self, number: signal.Signals) -> None:
        """To the bot alone, if it runs."""
        if self._process is not None and self._process.returncode is None:
            send(number, [self._process.pid])

    def guardian(self) -> list[int]:
        """The process that supervises the servers; none while there is none."""
        if self._process is None or self._process.returncode is not None:
            return []
        return [pid for pid in _children(self._process.pid) if b"bot.stores.guardian" in _command(pid)]

    def servers(self, store: str) -> list[int]:
        """The store's own processes, the one that makes the others first."""
        found = [pid for guardian in self.guardian() for pid in _children(guardian) if _name(pid) == _PROGRAMS[store]]
        return found + [child for pid in found for child in _children(pid)]

    async def _run(self) -> None:
        while True:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv, cwd=self._folder, env=self._environment, stderr=log
                )
            self.exits[await self._process.wait()] += 1
            await asyncio.sleep(_AGAIN_AFTER_S)


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """To those of the processes that there still are."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for one in Path(f"/proc/{pid}/task").glob("*/children") for child in one.read_text().split()]
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
