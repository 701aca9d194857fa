"""A worker as the kit makes one, which has to live through everything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from sandbox_worker import Sandbox, WorkerError
from tests.cluster.events import EVENT


class Worker:
    """`numbers` are the events that it has heard; `ended` says why it hears no more."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.numbers: set[int] = set()
        self.ended = ""

    async def work(self) -> None:
        """Without end, unless the kit says that there is one."""
        try:
            async with Sandbox.from_env(self._environment) as sandbox:
                async for event in sandbox.events(EVENT):
                    if "number" in event.data:  # the bot writes messages, too
                        self.numbers.add(event.data["number"])
                    with suppress(TimeoutError):  # it comes again
                        await event.ack()
        except WorkerError as error:
            self.ended = str(error)

    async def has_all(self, count: int, seconds: float) -> bool:
        """Whether all below that number come in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self.numbers) < count and not self.ended:
                    await asyncio.sleep(0.1)
        return self.numbers >= set(range(count))
