"""One client's events out of its sandbox's stream: pulled in order, no more at a time than the client takes."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

import orjson
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from bot import constants, names
from bot.clock import StampedClock
from bot.errors import ServiceUnavailable
from bot.relay.gateway.stream_reader import StoredEvent, StreamReader
from bot.stores.nats_client import FAILURES, asking, unavailable

_IDLE = 100


class StreamLost(Exception):
    """The stream is another one, or no longer holds what comes next: the session cannot go on."""


class StreamState(NamedTuple):
    """What a stream holds, by sequence; `last` is 0 in one that never held anything. `holes`: sequences in between that
    somebody has deleted."""

    created_at: datetime
    first: int
    last: int
    holes: int

    def holds_all_after(self, sequence: int) -> bool:
        """Whether nothing after it is missing."""
        return self.first <= sequence + 1 <= self.last + 1


class Streams:
    """What the relay asks JetStream, over the connection that the events come by."""

    def __init__(self, reader: StreamReader) -> None:
        self.reader, self._clock = reader, StampedClock()
        self._jetstream = reader.client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)

    async def state(self, sandbox_id: UUID) -> StreamState:
        """`StreamLost` if there is none, `ServiceUnavailable` if NATS doesn't answer."""
        subject = f"$JS.API.STREAM.INFO.{names.stream_name(sandbox_id)}"
        with asking():
            answer = await self.reader.client.request(subject, timeout=constants.NATS_ANSWER_WITHIN_S)
        told = orjson.loads(answer.data)  # nats-py's own leaves out at what time
        if "error" in told:
            if told["error"].get("code") == HTTPStatus.NOT_FOUND:
                raise StreamLost("its stream is not there")
            raise ServiceUnavailable("NATS", str(told["error"].get("description")))
        self._clock.observe(datetime.fromisoformat(told["ts"]).timestamp())
        state = told["state"]
        created_at, holes = datetime.fromisoformat(told["created"]), state.get("num_deleted", 0)
        return StreamState(created_at, state["first_seq"], state["last_seq"], holes)

    def now(self) -> float:
        """Unix time by NATS's clock, by which events are dated. Asked for after `state` at the earliest."""
        return self._clock.now() or 0.0

    async def add_consumer(self, sandbox_id: UUID, after: int) -> str:
        """The name of one of its own that begins behind `after`; as for `state`."""
        config = ConsumerConfig(
            name=f"relay-{secrets.token_hex(8)}",
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            inactive_threshold=constants.RELAY_CONSUMER_KEPT_S,
            mem_storage=True,
            num_replicas=1,
        )
        try:
            return (await self._jetstream.add_consumer(names.stream_name(sandbox_id), config)).name
        except NotFoundError:
            raise StreamLost("its stream is not there") from None
        except FAILURES as error:
            raise unavailable(error) from error

    async def delete_consumer(self, sandbox_id: UUID, name: str) -> None:
        """Best effort: what stays is forgotten by itself."""
        if not self.reader.client.is_connected:
            return
        with suppress(*FAILURES):
            await self._jetstream.delete_consumer(names.stream_name(sandbox_id), name)


class Feed:
    """Calls `on_events` with what follows `after`, for as long as `run` runs, while `has_room` says so.

    A consumer that NATS loses is made again behind the last event, as long as the stream is the same and holds it.
    """

    def __init__(
        self,
        streams: Streams,
        sandbox_id: UUID,
        after: int,
        created_at: datetime,
        on_events: Callable[[list[StoredEvent]], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._streams, self._sandbox_id, self._created_at = streams, sandbox_id, created_at
        self._deliver, self._has_room = on_events, has_room
        self.last = after
        """The stream sequence that was received last."""
        self._arrived: list[StoredEvent] = []
        self._awaited = 0
        self._heard_at = 0.0
        """When NATS has said something of the consumer last, by time.monotonic()."""
        self._consumer_lost = self._skipped = False
        """NATS has thrown it away, or has sent events of it that did not arrive."""
        self._signal = asyncio.Event()

    async def run(self) -> None:
        """Ends in `StreamLost` only; while NATS is away it waits."""
        while True:
            with suppress(ServiceUnavailable):
                await self._run_consumer()
            await asyncio.sleep(constants.RELAY_CONSUMER_MADE_AFTER_S)

    def wake(self) -> None:
        """There may be room again."""
        self._signal.set()

    def on_events(self, events: list[StoredEvent]) -> None:
        """What a pull has brought."""
        self._heard_at = time.monotonic()
        self._awaited -= len(events)
        if events[-1].sequence != self.last + len(events):
            # The ones before went to a connection that is gone, or are in the stream no more: its state tells.
            self._skipped = True
            self.on_lost()
            return
        self.last = events[-1].sequence
        # Not yet: what else NATS has sent by now goes out in the same write, which is what costs most.
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._arrived += events
        if self._awaited <= constants.RELAY_PULL_EVENTS // 2:
            self._signal.set()

    def _hand_over(self) -> None:
        events, self._arrived = self._arrived, []
        self._deliver(events)

    def on_status(self, status: int, left_over: int) -> None:
        """A pull has ended without all that was asked for, or NATS is alive."""
        self._heard_at = time.monotonic()
        if left_over:
            self._awaited -= left_over
            self._signal.set()
        elif status != _IDLE:
            self.on_lost()

    def on_lost(self) -> None:
        """What was asked for will not come, or not all of it: a consumer is made again behind the last event."""
        self._consumer_lost = True
        self._signal.set()

    async def _run_consumer(self) -> None:
        state = await self._streams.state(self._sandbox_id)
        is_whole = state.holds_all_after(self.last) and not (self._skipped and state.holes)
        if state.created_at != self._created_at or not is_whole:
            raise StreamLost("its stream is another one, or has lost events that are still to come")
        self._awaited, self._consumer_lost, self._skipped = 0, False, False
        inbox = self._streams.reader.client.new_inbox()
        with asking():
            subscription = await self._streams.reader.open(inbox, self)
        try:
            consumer = await self._streams.add_consumer(self._sandbox_id, self.last)
            try:
                await self._pull(f"$JS.API.CONSUMER.MSG.NEXT.{names.stream_name(self._sandbox_id)}.{consumer}", inbox)
            finally:
                await self._streams.delete_consumer(self._sandbox_id, consumer)
        finally:
            await self._streams.reader.close(subscription)

    async def _pull(self, subject: str, inbox: str) -> None:
        """Until NATS has lost the consumer, or says nothing of it any more."""
        while not self._consumer_lost:
            self._signal.clear()  # before the look: what comes meanwhile has to be looked at too
            has_room = self._has_room()
            if has_room and self._awaited <= constants.RELAY_PULL_EVENTS // 2:
                await self._ask(subject, inbox)
            elif self._awaited and time.monotonic() - self._heard_at > 2.5 * constants.RELAY_PULL_HEARTBEAT_S:
                return
            pause = constants.RELAY_PULL_HEARTBEAT_S if has_room else constants.RELAY_ROOM_LOOKED_FOR_EVERY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._signal.wait()

    async def _ask(self, subject: str, inbox: str) -> None:
        wanted = constants.RELAY_PULL_EVENTS
        expires, heartbeat = constants.RELAY_PULL_EXPIRES_S, constants.RELAY_PULL_HEARTBEAT_S
        request = {
            "batch": wanted,
            "max_bytes": constants.RELAY_PULL_BYTES,
            "expires": int(expires * 1e9),
            "idle_heartbeat": int(heartbeat * 1e9),
        }
        with asking():
            await self._streams.reader.client.publish(subject, json.dumps(request).encode(), reply=inbox)
        if not self._awaited:
            self._heard_at = time.monotonic()
        self._awaited += wanted
