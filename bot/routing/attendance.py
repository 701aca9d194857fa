"""Notices interactions that no worker answers, before Discord tells the user that the application did not respond."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import msgspec
import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from bot import names

_LOOK_AFTER_S = 0.5
_PATIENCE_S = 2.0
_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An interaction as Discord sent it, and whether nobody even reads the sandbox's events."""

    data: dict[str, Any]
    sandbox_id: UUID
    is_deserted: bool


class Tell(Protocol):
    async def __call__(self, unanswered: Unanswered) -> None: ...


class Attendance:
    """Waits for an answer to each forwarded interaction: two seconds, or half a second where no worker is connected.

    A worker's answer goes to Discord, not through the bot. A message that answers shows it; where there is none, the
    bot's own attempt fails, which disturbs nobody.
    """

    def __init__(self, client: Client, tell: Tell) -> None:
        self._jetstream, self._tell = client.jetstream(timeout=1), tell
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._told: deque[int] = deque(maxlen=_MOST_AT_ONCE)

    def expect(self, interaction_id: int, prefix: str, text: str) -> None:
        """It has been published below the prefix just now."""
        if len(self._waiting) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._watch(interaction_id, names.sandbox_of_subject(prefix), text))
            self._waiting[interaction_id] = task
            task.add_done_callback(lambda _: self._waiting.pop(interaction_id, None))

    def answered(self, interaction_id: int) -> bool:
        """Somebody has answered it; True if that was the bot."""
        if interaction_id in self._told:
            return True
        if task := self._waiting.get(interaction_id):
            task.cancel()
        return False

    async def close(self) -> None:
        tasks = list(self._waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, interaction_id: int, sandbox_id: UUID, text: str) -> None:
        await asyncio.sleep(_LOOK_AFTER_S)
        is_deserted = await self._is_deserted(sandbox_id)
        if not is_deserted:
            await asyncio.sleep(_PATIENCE_S - _LOOK_AFTER_S)
        self._told.append(interaction_id)
        try:
            await self._tell(Unanswered(msgspec.json.decode(text)["d"], sandbox_id, is_deserted))
        except Exception:
            logger.exception("a user could not be told that nobody answers", sandbox=str(sandbox_id))

    async def _is_deserted(self, sandbox_id: UUID) -> bool:
        """Whether no worker waits for events, none is busy with one, and none has taken what there was."""
        try:
            consumer = await self._jetstream.consumer_info(names.stream_name(sandbox_id), names.WORKER_CONSUMER)
        except (nats.errors.Error, JetStreamError, TimeoutError):
            return False  # nobody knows
        return not consumer.num_waiting and not consumer.num_ack_pending and bool(consumer.num_pending)
