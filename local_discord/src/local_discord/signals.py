"""Waiting for a state instead of for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Signal:
    """Wakes whoever waits for a condition, so that they look again."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Call it after the change, on the loop that waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_until(self, look: Callable[[], T | None], timeout: float | None) -> T:
        """What `look` finds, as soon as it is truthy; `TimeoutError` if that takes too long."""
        async with asyncio.timeout(timeout):
            while not (found := look()):
                await self._changed.wait()
            return found
