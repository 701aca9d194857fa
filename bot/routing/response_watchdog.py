"""Notices interactions that no worker answers, before Discord tells the user that the application did not respond."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from bot import constants, names


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An interaction as Discord sent it (its `d`), and whether nobody even reads the sandbox's events."""

    data: dict[str, Any]
    sandbox_id: UUID
    is_deserted: bool


type OnUnanswered = Callable[[Unanswered], Awaitable[None]]


class ResponseWatchdog:
    """Waits for a response to each forwarded interaction: two seconds, or half a second where no worker is connected.

    A worker's response goes to Discord, not through the bot. A message that answers shows it; where there is none,
    the bot's own attempt fails, which disturbs nobody.
    """

    def __init__(self, client: Client, on_unanswered: OnUnanswered) -> None:
        """`on_unanswered` runs once for each; what it raises is logged."""
        self._jetstream = client.jetstream(timeout=constants.RESPONSE_WATCH_NATS_TIMEOUT_S)
        self._on_unanswered = on_unanswered
        self._watches: dict[int, asyncio.Task[None]] = {}
        self._answered_here: deque[int] = deque(maxlen=constants.WATCHED_INTERACTIONS)

    def watch(self, interaction_id: int, prefix: str, text: str) -> None:
        """The interaction, as `text` has it, has been published below the prefix just now."""
        if len(self._watches) < constants.WATCHED_INTERACTIONS:
            task = asyncio.create_task(self._watch(interaction_id, names.sandbox_of_subject(prefix), text))
            self._watches[interaction_id] = task
            task.add_done_callback(lambda _: self._watches.pop(interaction_id, None))

    def record_response(self, interaction_id: int) -> bool:
        """A message responds to it; True if that message is the bot's own."""
        if interaction_id in self._answered_here:
            return True
        if task := self._watches.get(interaction_id):
            task.cancel()
        return False

    async def close(self) -> None:
        """Ends all watches; nobody is told any more."""
        tasks = list(self._watches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, interaction_id: int, sandbox_id: UUID, text: str) -> None:
        now = asyncio.get_running_loop().time
        unanswered_at = now() + constants.UNANSWERED_AFTER_S
        await asyncio.sleep(constants.DESERTED_AFTER_S)
        is_deserted = await self._is_deserted(sandbox_id)
        if not is_deserted:
            await asyncio.sleep(unanswered_at - now())
        # Before it is sent: its message may come back on the gateway sooner than the request returns.
        self._answered_here.append(interaction_id)
        try:
            await self._on_unanswered(Unanswered(msgspec.json.decode(text)["d"], sandbox_id, is_deserted))
        except Exception:
            logger.exception("a user could not be told that nobody answers", sandbox=str(sandbox_id))

    async def _is_deserted(self, sandbox_id: UUID) -> bool:
        """Whether no worker waits for events, none is busy with one, and none has taken what there was."""
        try:
            consumer = await self._jetstream.consumer_info(names.stream_name(sandbox_id), names.WORKER_CONSUMER)
        except (nats.errors.Error, JetStreamError, TimeoutError):
            return False  # nobody knows
        return not consumer.num_waiting and not consumer.num_ack_pending and bool(consumer.num_pending)
