"""Notices interactions that no worker answers, before Discord tells the user that the application did not respond."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from bot import clock, constants, names
from bot.clock import StampedClock
from bot.errors import ServiceUnavailable
from bot.routing import dispatch
from bot.routing.callbacks import Callback
from sandbox_worker.text import replace_lone_surrogates


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An interaction as Discord sent it (its `d`), and whether nobody even reads the sandbox's events."""

    data: dict[str, Any]
    is_deserted: bool


type Answer = Callable[[Unanswered], Awaitable[None]]

type PrepareAnswer = Callable[[UUID], Awaitable[Answer]]
"""For a sandbox's interactions. Asked before the answer is due, for stores may be far away."""

type IsConnected = Callable[[UUID], Awaitable[bool]]
"""Whether somebody with a sandbox's credentials is connected, to NATS or to the relay; False too where that can't be
known. `ServiceUnavailable` if a store doesn't tell."""


class ResponseWatchdog:
    """Waits for a response to each forwarded interaction, as long as Discord leaves the time to give one in the
    worker's place: three seconds by its clock, less twice the round trip. Where no worker is connected, under one.

    A worker's response goes to Discord, not through the bot. A message that answers shows it, and ends the watch; where
    there is none, the bot's own attempt fails, which disturbs nobody. What passes the relay is told by that: nobody
    answers while it is on its way, nor after Discord has taken it.
    """

    def __init__(
        self,
        client: Client,
        prepare_answer: PrepareAnswer,
        *,
        is_connected: IsConnected,
        round_trip: Callable[[], float],
        discord_clock: StampedClock,
        unanswered_after: float = constants.UNANSWERED_AFTER_S,
    ) -> None:
        """The answer is prepared and given once for each; what that raises is logged. `round_trip` to Discord in
        seconds, no finite number before it is known. `unanswered_after`: the longest wait in seconds, 0 to watch
        nothing."""
        self._jetstream = client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)
        self._prepare_answer, self._is_connected = prepare_answer, is_connected
        self._round_trip, self._unanswered_after = round_trip, unanswered_after
        self._clock = discord_clock
        self._watches: dict[int, asyncio.Task[None]] = {}
        self._owners: dict[int, UUID] = {}
        self._on_the_way: dict[int, asyncio.Event] = {}
        """Answers that pass the relay; set when Discord has not taken them."""
        self._answered_here: deque[int] = deque(maxlen=constants.WATCHED_INTERACTIONS)
        self.unanswered = 0
        """Interactions that nobody has answered in time."""

    def watch(self, interaction_id: int, prefix: str, text: str) -> None:
        """The interaction, as `text` has it, has been published below the prefix just now."""
        made_at = dispatch.made_at(interaction_id)
        self._clock.observe(made_at)
        left_s = self._longest_wait() - ((self._clock.now() or made_at) - made_at)
        if len(self._watches) < constants.WATCHED_INTERACTIONS and left_s > 0:
            answer_at = clock.elapsed() + left_s
            sandbox_id = names.sandbox_of_subject(prefix)
            task = asyncio.create_task(self._watch(interaction_id, sandbox_id, text, answer_at))
            self._watches[interaction_id], self._owners[interaction_id] = task, sandbox_id
            task.add_done_callback(lambda _: self._forget(interaction_id))

    def record_response(self, interaction_id: int) -> bool:
        """A message responds to it; True if that message is the bot's own."""
        if interaction_id in self._answered_here:
            return True
        if task := self._watches.get(interaction_id):
            task.cancel()
        return False

    def note_callback(self, sandbox_id: UUID, interaction_id: int, callback: Callback) -> None:
        """A worker's answer passes the relay. One that Discord refuses leaves the time to give another. Nothing for an
        interaction that is not the sandbox's."""
        if self._owners.get(interaction_id) != sandbox_id:
            return
        match callback:
            case Callback.SENT:
                self._on_the_way[interaction_id] = asyncio.Event()
            case Callback.REFUSED:
                if (refused := self._on_the_way.pop(interaction_id, None)) is not None:
                    refused.set()
            case Callback.TAKEN:
                self._watches[interaction_id].cancel()

    async def close(self) -> None:
        """Ends all watches; nobody is told any more."""
        tasks = list(self._watches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, interaction_id: int) -> None:
        del self._watches[interaction_id], self._owners[interaction_id]
        self._on_the_way.pop(interaction_id, None)

    async def _until_refused(self, interaction_id: int) -> None:
        """At once if no answer is on its way. The relay that has sent it may be gone, so not for ever."""
        while (refused := self._on_the_way.get(interaction_id)) is not None:
            try:
                async with asyncio.timeout(constants.RELAY_CALLBACK_WITHIN_S):
                    await refused.wait()
            except TimeoutError:
                return

    def _longest_wait(self) -> float:
        round_trip = self._round_trip()
        travels = 2 * round_trip if math.isfinite(round_trip) else 0.0
        return min(self._unanswered_after, constants.INTERACTION_ANSWERABLE_S - travels)

    async def _watch(self, interaction_id: int, sandbox_id: UUID, text: str, answer_at: float) -> None:
        try:
            is_deserted, answer = await asyncio.gather(
                self._stays_deserted(sandbox_id, answer_at), self._prepare(sandbox_id)
            )
            if not is_deserted:
                await asyncio.sleep(answer_at - clock.elapsed())
            await self._until_refused(interaction_id)
            # Before it is sent: its message may come back on the gateway sooner than the request returns.
            self._answered_here.append(interaction_id)
            self.unanswered += 1
            data = msgspec.json.decode(replace_lone_surrogates(text))["d"]
            await answer(Unanswered(data, is_deserted))
        except Exception:
            logger.exception("a user could not be told that nobody answers", sandbox=str(sandbox_id))

    async def _prepare(self, sandbox_id: UUID) -> Answer:
        await asyncio.sleep(constants.DESERTED_AFTER_S)  # most are answered by then
        return await self._prepare_answer(sandbox_id)

    async def _stays_deserted(self, sandbox_id: UUID, answer_at: float) -> bool:
        """Whether two looks find nobody by the time of the answer. One proves little."""
        with suppress(TimeoutError):
            async with asyncio.timeout(answer_at - clock.elapsed()):
                for pause in (constants.DESERTED_AFTER_S, constants.DESERTED_LOOKS_APART_S):
                    await asyncio.sleep(pause)
                    if not await self._is_deserted(sandbox_id):
                        return False
                return True
        return False

    async def _is_deserted(self, sandbox_id: UUID) -> bool:
        """Whether no worker waits for events, none is busy with one, none has taken what there was, and none is
        connected: whoever settles an event before it is dealt with is seen by that alone."""
        try:
            consumer = await self._jetstream.consumer_info(names.stream_name(sandbox_id), names.WORKER_CONSUMER)
            is_idle = not consumer.num_waiting and not consumer.num_ack_pending and bool(consumer.num_pending)
            return is_idle and not await self._is_connected(sandbox_id)
        except (nats.errors.Error, JetStreamError, ServiceUnavailable):
            return False  # nobody knows
