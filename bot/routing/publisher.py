"""Acknowledged JetStream publishing with its own window, for nats-py's own loses messages in an outage."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header

from bot import constants, tracing
from bot.routing import frames
from bot.routing.acks import AckReader, read_ack
from bot.routing.backlog import Backlog, Load
from bot.routing.lane_watch import LaneWatch
from bot.routing.lanes import Gap, Lane
from bot.routing.oldest import OldestEvent
from bot.routing.refusals import RefusalLog
from sandbox_worker import protocol

type DescribeGap = Callable[[str, Gap], bytes]
"""The marker of a gap in the stream whose subjects have that prefix, with its dot."""


class Publisher:
    """Publishes in order, at least once, and the message id makes that once in the stream.

    What its stream has not acknowledged in time, or says that it cannot store now, or was under way when the connection
    broke, is sent again from the oldest on, with unchanged ids, for as long as it takes; until then what comes for that
    stream waits. What is too much for it is lost, and a marker stands for it. Any other error of JetStream (no such
    stream, too large, not permitted) is a result: counted and reported.
    """

    def __init__(self, client: Client, *, window: int, ack_timeout: timedelta) -> None:
        """`window`: how many events may be unacknowledged before `is_full`. The client is shared: others use it too."""
        self._client = client
        # Read once and not for each event.
        self._buffer_bytes, self._header_bytes = constants.PUBLISH_BUFFER_BYTES, constants.PUBLISH_HEADERS_BYTES
        self._backlog = backlog = Backlog(window, self._gap_frame)
        self._unacknowledged: list[bytes] = []
        """Frames that nobody acknowledges; they go with the next ones that are sent."""
        self._recovering: dict[str, Lane] = {}
        """Streams that recover, and have acknowledged something."""
        self._tasks: list[asyncio.Task[None]] = []
        self._reconnects = client.stats["reconnects"]
        """Of the connection on which all that is not unsent was sent."""
        self._refusals, self._trace = RefusalLog(), tracing.trace_headers()
        self.counts: Counter[str] = Counter()
        """What became of the events: acked, duplicates, refused, resent, lost; dropped are unacknowledged ones."""
        self._watch = LaneWatch(client, backlog, self.counts, self._refuse, patience_s=ack_timeout.total_seconds())
        self.describe_gap: DescribeGap = lambda _, gap: protocol.gap({"events": gap.events}, [])

    async def start(self) -> None:
        """Subscribes to the acknowledgements and begins to send; `nats.errors.Error` if the client is closed."""
        # One inbox, and the number at its end: nats-py's publish_async makes a future for each message, which takes
        # longer than all the rest, and never resolves those that JetStream answers with an error.
        self._inbox = self._client.new_inbox() + "."
        self._replies: Subscription = await self._client.subscribe(
            self._inbox + "*", cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._acks = AckReader(self._client, self._inbox, self._on_acks, self._on_reply)
        runs = self._write_loop, self._monitor, self._watch.ask_for_ever
        self._tasks = [asyncio.create_task(run()) for run in runs]

    async def close(self) -> None:
        """Stops at once; `drain` first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._acks.remove()
        with suppress(nats.errors.Error):
            await self._replies.unsubscribe()
        self._refusals.flush()

    def fits(self, payload: bytes) -> bool:
        """Whether NATS would take it, headers included."""
        return len(payload) + self._header_bytes <= self._client.max_payload

    def publish(self, subject: str, payload: bytes, message_id: str, headers: Mapping[str, str] | None = None) -> None:
        """Takes it at once, however full it is: who reads faster than NATS writes awaits `wait_for_capacity`."""
        backlog = self._backlog
        lane = backlog.lane_by_subject.get(subject) or backlog.find_lane(subject)
        if lane.recovery is not None and backlog.loses(lane):
            self.counts["lost"] += 1
            return
        number = backlog.last_number + 1
        frame = frames.encode(subject, self._inbox, number, payload, message_id, headers, self._trace())
        backlog.keep(lane, number, frame)

    def publish_unacknowledged(self, subject: str, payload: bytes) -> None:
        """For whoever listens just now: dropped while NATS is away or does not keep up."""
        client = self._client
        has_room = client.pending_data_size < self._buffer_bytes  # nats-py's own buffer knows no limit here
        if has_room and self._may_send() and len(payload) <= client.max_payload:
            self._unacknowledged.append(frames.encode_plain(subject, payload))
            self._backlog.wake.set()
        else:
            self.counts["dropped"] += 1

    @property
    def oldest(self) -> OldestEvent:
        """Of those that wait for all of NATS, and not for their stream alone."""
        return self._watch.oldest

    @property
    def apart_for_s(self) -> float:
        """For how long a stream has taken nothing while others do, on the connection that there is."""
        return self._watch.apart_for_s

    @property
    def load(self) -> Load:
        """How full it is."""
        return self._backlog.load

    @property
    def gaps(self) -> int:
        """How many stretches of events streams have lost."""
        return self._backlog.gaps

    @property
    def last_published(self) -> int:
        """The number of the message published last; they count from 1."""
        return self._backlog.last_number

    @property
    def low_water_mark(self) -> int:
        """Up to this number every message is acknowledged or refused, and what was lost since is marked."""
        return self._backlog.low_water_mark

    def unstored(self) -> Mapping[str, float]:
        """Streams, by their prefixes with the dot, for which the low-water mark waits no longer: since when
        (`clock.elapsed`) they may miss events if this process ends."""
        return {f"{prefix}.": each.since for prefix, each in self._backlog.unstored.items()}

    def inherit(self, prefix: str, since: float, marker: bytes, message_id: str) -> None:
        """A process before has left that stream `unstored`. The marker says so when the stream takes events again."""
        self.publish(prefix + protocol.GAP_EVENT, marker, message_id)
        self._backlog.wait_no_longer(self._backlog.lanes[prefix[:-1]], since)

    @property
    def is_full(self) -> bool:
        """Whether as many events, or as many bytes of them, wait for NATS as may."""
        return self._backlog.is_full

    async def wait_for_capacity(self) -> None:
        """Returns when it is not full any more; without end while NATS is away."""
        while self.is_full:
            await self._next_progress()

    async def has_capacity_within(self, seconds: float) -> bool:
        """Whether it is not full, or will not be any more after so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wait_for_capacity()
        return not self.is_full

    async def taken_within(self, number: int, seconds: float | None) -> bool:
        """Waits until no message up to this one waits for NATS, though some may for a stream that takes nothing while
        others do; False if that takes longer than so many seconds. None: without end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._has_taken(number):
                    await self._next_progress()
        return self._has_taken(number)

    async def drain(self, timeout: float) -> int:
        """Waits until all is acknowledged, at most `timeout` seconds; returns how many are not."""
        try:
            async with asyncio.timeout(timeout):
                while self._backlog:
                    await self._next_progress()
        except TimeoutError:
            logger.warning("events were not acknowledged in time", events=len(self._backlog))
        return len(self._backlog)

    async def _next_progress(self) -> None:
        self._backlog.progress.clear()
        await self._backlog.progress.wait()

    def _has_taken(self, number: int) -> bool:
        oldest = self._backlog.oldest_in_window
        return oldest is None or oldest > number

    async def _write_loop(self) -> None:
        while True:
            await self._backlog.wake.wait()
            self._backlog.wake.clear()
            self._go_on()
            if self._may_send():  # otherwise the monitor wakes it
                await self._send_unsent()

    def _go_on(self) -> None:
        """Here and not with each acknowledgement: those of a burst come together."""
        recovering, self._recovering = self._recovering, {}
        for lane in recovering.values():
            self._watch.on_acknowledged(lane)

    async def _send_unsent(self) -> None:
        """Everything unsent at once, through nats-py's own writer: its `publish` would cost 5 µs a message."""
        client = self._client
        unsent = self._backlog.take_unsent() + self._unacknowledged
        self._unacknowledged.clear()
        # No await up to here since _may_send, and none in nats-py between a reconnect and its being counted: so none
        # of this can get onto a new connection before what is sent again there.
        client._pending.extend(unsent)
        client._pending_data_size += sum(map(len, unsent))
        await client._flush_pending()

    def _may_send(self) -> bool:
        """Connected, and on the connection on which everything before was sent: else the order would be lost."""
        return self._client.is_connected and self._client.stats["reconnects"] == self._reconnects

    async def _monitor(self) -> None:
        """Notices reconnects and what was not acknowledged in time."""
        while True:
            await asyncio.sleep(constants.PUBLISH_CHECK_EVERY_S)
            if not self._client.is_connected:
                continue
            if self._client.stats["reconnects"] != self._reconnects:
                self._reconnects = self._client.stats["reconnects"]
                self._refuse_too_large()
                self._watch.begin_anew()
            self._watch.look()
            self._refusals.flush_if_due()

    def _refuse_too_large(self) -> None:
        """Another server may take less, and would end the connection again and again."""
        for number in self._backlog.larger_than(self._client.max_payload):
            self._refuse(number, "larger than this server takes")

    async def _on_message(self, message: Msg) -> None:
        """What the ack reader has left to nats-py."""
        number = int(message.subject[len(self._inbox) :])
        if not (message.headers and message.headers.get(Header.STATUS) == "503"):
            self._on_reply(number, message.data)
        elif (lane := self._backlog.lane_of(number)) is not None:
            self._watch.fail(lane)

    def _on_acks(self, numbers: Sequence[int]) -> None:
        self.counts["acked"] += sum(map(self._complete, numbers))

    def _on_reply(self, number: int, body: bytes) -> None:
        ack = read_ack(body)
        if ack is None:
            self._refuse(number, "unreadable acknowledgement")
        elif ack.error is None:
            if self._complete(number):
                self.counts["duplicates" if ack.duplicate else "acked"] += 1
        elif not ack.error.may_pass:
            self._refuse(number, ack.error.description)
        elif (lane := self._backlog.lane_of(number)) is not None:
            self._watch.fail(lane, error=ack.error)

    def _refuse(self, number: int, reason: str) -> None:
        if self._complete(number, is_stored=False):
            self.counts["refused"] += 1
            self._refusals.add(reason)

    def _complete(self, number: int, *, is_stored: bool = True) -> bool:
        """Its frame need not be kept any longer; False if that was known, as after a repeat."""
        lane = self._backlog.complete(number, is_stored=is_stored)
        if lane is None:
            return False
        if lane.recovery is not None:
            self._recovering[lane.prefix] = lane
            self._backlog.wake.set()
        return True

    def _gap_frame(self, lane: Lane, gap: Gap) -> bytes:
        prefix, message_id = f"{lane.prefix}.", f"{self._inbox}{gap.number}:gap"
        marker = self.describe_gap(prefix, gap)
        subject, trace = prefix + protocol.GAP_EVENT, self._trace()
        return frames.encode(subject, self._inbox, gap.number, marker, message_id, None, trace)
