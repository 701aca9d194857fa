"""One server process, to be killed, to stand still, and to be started again on the same port and data."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bot.stores.embedded.configuration import launch_command
from bot.stores.embedded.folder import is_free
from tests.service.servers import lives

LOOPBACK = "127.0.0.1"
ANSWERS_WITHIN_S = 30
_STOPS_WITHIN_S = 10
_ASK_EVERY_S = 0.05
_PORTS = range(20_000, 32_000)
"""Below those from which Linux takes the near end of connections: a server that is down finds its port free again."""


class Server:
    """`is_ready` asks once whether it answers; whatever it raises means that it doesn't yet."""

    def __init__(
        self,
        name: str,
        port: int,
        argv: Sequence[str],
        folder: Path,
        is_ready: Callable[[], Awaitable[object]],
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name, self.port, self.log = name, port, folder / f"{name}.log"
        self._argv, self._is_ready, self._stop_signal = argv, is_ready, stop_signal
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.is_frozen = False

    @property
    def runs(self) -> bool:
        """A frozen one runs, too."""
        return self._process is not None and self._process.returncode is None

    @property
    def pids(self) -> list[int]:
        """Its own process first, then those that it has made."""
        return _with_children(self._process.pid) if self._process is not None and self.runs else []

    async def launch(self) -> None:
        """Start the process; `ready` waits for its answer."""
        assert not self.runs, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *launch_command(list(self._argv), signal.SIGKILL), env=self._environment, stdout=log, stderr=log
            )
        self.is_frozen = False

    async def ready(self) -> None:
        """Return when it answers."""
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            while not await self._answers():
                assert self.runs, f"{self.name} has ended: {self.log.read_text()[-2000:]}"
                await asyncio.sleep(_ASK_EVERY_S)

    async def start(self) -> None:
        """Return when it answers."""
        await self.launch()
        await self.ready()

    async def kill(self) -> None:
        """With all of its processes, as by a loss of power; return when they are gone."""
        pids = self.pids
        self._send(signal.SIGKILL, pids)
        if self._process is not None:
            await self._process.wait()
        while any(map(lives, pids)):
            await asyncio.sleep(_ASK_EVERY_S)

    async def stop(self) -> None:
        """In good order."""
        self.resume()
        self._send(self._stop_signal, self.pids[:1])
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOPS_WITHIN_S):
                if self._process is not None:
                    await self._process.wait()
        await self.kill()

    def freeze(self) -> None:
        """Nothing of it moves; its connections stay open."""
        self._send(signal.SIGSTOP, self.pids[:1])  # which makes no more of them
        self._send(signal.SIGSTOP, self.pids)
        self.is_frozen = True

    def resume(self) -> None:
        """Go on after `freeze`, as if no time had passed."""
        self._send(signal.SIGCONT, self.pids)
        self.is_frozen = False

    async def _answers(self) -> bool:
        with suppress(Exception):
            async with asyncio.timeout(1):
                await self._is_ready()
                return True
        return False

    def _send(self, number: signal.Signals, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def free_ports(count: int) -> list[int]:
    """Different ones on which nobody listens."""
    chosen = (port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))
    return [next(chosen) for _ in range(count)]


async def run(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """A program that ends by itself, as the servers' user; AssertionError with what it said, unless it succeeds."""
    process = await asyncio.create_subprocess_exec(
        *launch_command(list(argv), signal.SIGKILL),
        env={**os.environ, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{argv[0]}: {said.decode(errors='replace')}"


def _with_children(pid: int) -> list[int]:
    try:
        found = [
            int(child) for one in Path(f"/proc/{pid}/task").glob("*/children") for child in one.read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(below for child in found for below in _with_children(child))]
