"""What a bot tells by HTTP of whether it is ready, asked as a probe would ask."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import aiohttp

LISTENS = {"listen": "127.0.0.1:0"}


class Watch:
    def __init__(self, session, address):
        self._session, self.address = session, address

    async def ask(self):
        """The status, and the checks by their names."""
        async with self._session.get(f"{self.address}/readyz") as answer:
            return answer.status, (await answer.json())["checks"]

    async def wrong(self):
        """The details of what is not well, by check."""
        status, checks = await self.ask()
        wrong = {name: check["detail"] for name, check in checks.items() if not check["ok"]}
        assert status == (503 if wrong else 200)
        return wrong

    async def until_ready(self, seconds=30.0):
        """How long that took."""
        return await self._until(lambda wrong: not wrong, seconds)

    async def until_wrong(self, *names, seconds=30.0):
        return await self._until(lambda wrong: wrong.keys() >= set(names), seconds)

    async def _until(self, condition, seconds):
        began, wrong = time.monotonic(), None
        try:
            async with asyncio.timeout(seconds):
                while wrong is None or not condition(wrong):
                    await asyncio.sleep(0.02)
                    with suppress(aiohttp.ClientError):
                        wrong = await self.wrong()
        except TimeoutError:
            raise AssertionError(f"after {seconds} s: {wrong}") from None
        return time.monotonic() - began


@asynccontextmanager
async def watching(address):
    async with aiohttp.ClientSession() as session:
        yield Watch(session, address)
