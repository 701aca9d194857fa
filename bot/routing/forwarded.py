"""To which sandbox interactions went: a private answer may follow its interaction there, and none may go elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import redis.asyncio
from loguru import logger

from bot import constants, names


class ForwardedInteractions:
    """In memory, and in Redis for whoever goes on after this process. What is not known is None.

    Without Redis, which is asked for a bounded time, an interaction is only remembered here.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._prefixes: dict[int, str] = {}
        self._spared_until = 0.0  # of time.monotonic()
        self._asking: set[asyncio.Task[object]] = set()
        self.withheld: Counter[str] = Counter()
        """Private answers that were not forwarded since nothing is known of them, by the prefix of their server's
        sandbox: of those that had one lately."""

    def prefix_of(self, snowflake: int | None) -> str | None:
        """The sandbox's, to which an interaction or a private message went, as far as memory has it."""
        return self._prefixes.get(snowflake) if snowflake is not None else None

    def remember(self, snowflake: int, prefix: str) -> None:
        """In memory alone."""
        if len(self._prefixes) >= constants.REMEMBERED_FORWARDED:
            # A dict keeps its order, so this is the one remembered longest ago.
            del self._prefixes[next(iter(self._prefixes))]
        self._prefixes[snowflake] = prefix

    def withhold(self, prefix: str) -> None:
        """One more."""
        if prefix not in self.withheld and len(self.withheld) >= constants.WITHHELD_FROM:
            del self.withheld[next(iter(self.withheld))]
        self.withheld[prefix] += 1

    async def record(self, interaction_id: int, prefix: str) -> None:
        """Before it is published: whoever takes over after that must know it."""
        self.remember(interaction_id, prefix)
        key = names.forwarded_interaction_key(interaction_id)
        await self._ask(lambda: self._client.set(key, prefix, ex=constants.FORWARDED_TTL_S))

    async def look_up(self, interaction_id: int) -> None:
        """What another process has recorded is in memory then."""
        key = names.forwarded_interaction_key(interaction_id)
        prefix = await self._ask(lambda: self._client.get(key))
        if isinstance(prefix, bytes):
            self.remember(interaction_id, prefix.decode(errors="replace"))

    async def _ask(self, ask: Callable[[], Awaitable[object]]) -> object:
        """None if there is no answer in time. What was asked goes on: it may only be slow, as on a new connection."""
        if time.monotonic() < self._spared_until:
            return None
        asking = asyncio.create_task(_attempt(ask))
        self._asking.add(asking)
        asking.add_done_callback(self._on_answer)
        await asyncio.wait({asking}, timeout=constants.FORWARDED_ANSWER_WITHIN_S)
        error = asking.exception() if asking.done() else TimeoutError()
        if error is None:
            return asking.result()
        self._spared_until = time.monotonic() + constants.FORWARDED_SPARED_S
        logger.warning("private answers may be withheld, Redis does not answer", error=repr(error))
        return None

    def _on_answer(self, asking: asyncio.Task[object]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled() and asking.exception() is None:
            self._spared_until = 0.0


async def _attempt(ask: Callable[[], Awaitable[object]]) -> object:
    async with asyncio.timeout(constants.REDIS_ANSWER_WITHIN_S):
        return await ask()
