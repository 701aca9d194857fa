"""What receiving costs the process that does it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from bench.processes import Json

_LOOK_EVERY_S = 0.002
_PATIENCE_S = 120.0


class Meter:
    """Counts what `count` counts, from `expect` on."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._goal = 0
        self._cpu = 0.0

    async def expect(self, events: int) -> Json:
        self._goal = self._count() + events
        self._cpu = time.process_time()
        return {}

    async def measure(self) -> Json:
        """When all that was expected had come (monotonic), the CPU seconds since, and the memory in bytes."""
        async with asyncio.timeout(_PATIENCE_S):
            while self._count() < self._goal:
                await asyncio.sleep(_LOOK_EVERY_S)
        return {
            "ended_at": time.monotonic(),
            "cpu": time.process_time() - self._cpu,
            "surplus": self._count() - self._goal,
            "rss": resident(),
        }


async def used() -> Json:
    """This process' CPU seconds until now, and its memory in bytes."""
    return {"cpu": time.process_time(), "rss": resident()}


def resident() -> int:
    """This process' memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def cpu_of(pid: int) -> float:
    """CPU seconds of another process, in steps of 10 ms."""
    return sum(_ticks(pid)[:2]) / 100


def cpu_with_children(pid: int) -> float:
    """The same, with the processes that it has made, also those that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_ticks(pid)) / 100 + sum(cpu_of(int(child)) for child in children)


def memory_of(pid: int) -> int:
    """Another process' memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def files_of(pid: int) -> int:
    """How many files another process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _ticks(pid: int) -> list[int]:
    """In user mode and in the kernel, of itself and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]
