"""Acknowledged JetStream publishing with its own window, for nats-py's own loses messages in an outage."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header
from nats.js.errors import ServiceUnavailableError

from bot import constants
from bot.routing.acks import AckError, AckReader, read_ack
from bot.routing.oldest import OldestEvent
from bot.routing.refusals import RefusalLog, find_refusal
from bot.stores.nats_client import FAILURES, NO_JETSTREAM
from sandbox_worker.protocol import MESSAGE_ID_HEADER


class Publisher:
    """Publishes in order, at least once, and the message id makes that once in the stream.

    What is not acknowledged in time, or was under way when the connection broke, is sent again from the oldest on,
    with unchanged ids, for as long as it takes; so is what JetStream has no room for. Any other error of JetStream (no
    such stream, too large, not permitted) is a result: counted and reported.
    """

    def __init__(self, client: Client, *, window: int, ack_timeout: timedelta) -> None:
        """`window`: how many events may be unacknowledged before `is_full`. The client is shared: others use it too."""
        self._client, self._window = client, window
        self._ack_timeout_s = ack_timeout.total_seconds()
        # Read once and not for each event.
        self._buffer_bytes, self._header_bytes = constants.PUBLISH_BUFFER_BYTES, constants.PUBLISH_HEADERS_BYTES
        self._pending: dict[int, bytes] = {}
        """Unacknowledged frames in order, as they go over the wire, so that a repeat costs nothing."""
        self._pending_bytes = 0
        self._unsent: list[bytes] = []
        """Those of them that the writer has yet to hand over, and after a reconnect all of them again."""
        self._unacknowledged: list[bytes] = []
        """Frames that nobody acknowledges; they go with the next ones that are sent."""
        self._last_number = self._last_sent = self._overdue_up_to = 0
        self._sent_marks: deque[tuple[float, int]] = deque()
        """When (monotonic) which number had been sent last: a mark for each check, not for each event."""
        self._wake, self._progress = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reconnects = client.stats["reconnects"]
        """Of the connection on which all that is not in `_unsent` was sent."""
        self._refusals = RefusalLog()
        self._doubted: dict[bytes, bytes] = {}
        """By subject, a frame on which nobody listens: JetStream is to be asked whether it lies in a stream."""
        self._doubt = asyncio.Event()
        self.oldest = OldestEvent()
        self.counts: Counter[str] = Counter()
        """What became of the events: acked, duplicates, refused, resent; dropped are unacknowledged ones."""

    async def start(self) -> None:
        """Subscribes to the acknowledgements and begins to send; `nats.errors.Error` if the client is closed."""
        # One inbox, and the number at its end: nats-py's publish_async makes a future for each message, which takes
        # longer than all the rest, and never resolves those that JetStream answers with an error.
        self._inbox = self._client.new_inbox() + "."
        self._replies: Subscription = await self._client.subscribe(
            self._inbox + "*", cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._acks = AckReader(self._client, self._inbox, self._on_acks, self._on_reply)
        self._tasks = [asyncio.create_task(run()) for run in (self._write_loop, self._monitor, self._ask_after_doubted)]

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
        self._last_number = number = self._last_number + 1
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
        head = f"NATS/1.0\r\n{MESSAGE_ID_HEADER}: {message_id}\r\n{more}\r\n"
        size = len(head)
        frame = b"%b%b\r\n" % (
            f"HPUB {subject} {self._inbox}{number} {size} {size + len(payload)}\r\n{head}".encode(),
            payload,
        )
        self._pending[number] = frame
        self._pending_bytes += len(frame)
        self._unsent.append(frame)
        self._wake.set()

    def publish_unacknowledged(self, subject: str, payload: bytes) -> None:
        """For whoever listens just now: dropped while NATS is away or does not keep up."""
        client = self._client
        has_room = client.pending_data_size < self._buffer_bytes  # nats-py's own buffer knows no limit here
        if has_room and self._may_send() and len(payload) <= client.max_payload:
            self._unacknowledged.append(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(payload), payload))
            self._wake.set()
        else:
            self.counts["dropped"] += 1

    @property
    def last_published(self) -> int:
        """The number of the message published last; they count from 1."""
        return self._last_number

    @property
    def low_water_mark(self) -> int:
        """Up to this number every message is acknowledged or refused."""
        # Acknowledgements come out of order, and a dict keeps its: its first key is the oldest that is still open.
        return next(iter(self._pending), self._last_number + 1) - 1

    @property
    def is_full(self) -> bool:
        """Whether as many events, or as many bytes of them, are unacknowledged as may be."""
        return len(self._pending) >= self._window or self._pending_bytes >= self._buffer_bytes

    async def wait_for_capacity(self) -> None:
        """Returns when it is not full any more; without end while NATS is away."""
        while self.is_full:
            self._progress.clear()
            await self._progress.wait()

    async def has_capacity_within(self, seconds: float) -> bool:
        """Whether it is not full, or will not be any more after so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wait_for_capacity()
        return not self.is_full

    async def acknowledged_within(self, number: int, seconds: float | None) -> bool:
        """Waits until every message up to this one is acknowledged or refused; False if that takes longer than so many
        seconds. None: without end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.low_water_mark < number:
                    self._progress.clear()
                    await self._progress.wait()
        return self.low_water_mark >= number

    async def drain(self, timeout: float) -> int:
        """Waits until all is acknowledged, at most `timeout` seconds; returns how many are not."""
        try:
            async with asyncio.timeout(timeout):
                while self._pending:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            logger.warning("events were not acknowledged in time", events=len(self._pending))
        return len(self._pending)

    async def _write_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._may_send():  # otherwise the monitor wakes it
                await self._send_unsent()

    async def _send_unsent(self) -> None:
        """Everything unsent at once, through nats-py's own writer: its `publish` would cost 5 µs a message."""
        client = self._client
        frames = [*self._unsent, *self._unacknowledged]
        self._unsent.clear()
        self._unacknowledged.clear()
        self._last_sent = self._last_number
        # No await up to here since _may_send, and none in nats-py between a reconnect and its being counted: so none
        # of this can get onto a new connection before what is sent again there.
        client._pending.extend(frames)
        client._pending_data_size += sum(map(len, frames))
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
                self.oldest.begin_anew()
                self._refuse_too_large()
                self._resend_pending()
            elif self._is_overdue() and await self._ask_after(next(iter(self._pending.values()))):
                self._resend_pending()
            self.oldest.look(next(iter(self._pending), None))
            self._refusals.flush_if_due()

    def _is_overdue(self) -> bool:
        """Whether the oldest was sent longer than the timeout ago, to a check: a time for each would cost more."""
        now = time.monotonic()
        while self._sent_marks and self._sent_marks[0][0] <= now - self._ack_timeout_s:
            self._overdue_up_to = self._sent_marks.popleft()[1]
        self._sent_marks.append((now, self._last_sent))
        oldest = next(iter(self._pending), None)
        return oldest is not None and oldest <= self._overdue_up_to

    async def _ask_after_doubted(self) -> None:
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            doubted, self._doubted = self._doubted, {}
            for frame in doubted.values():
                await self._ask_after(frame)

    async def _ask_after(self, frame: bytes) -> bool:
        """Gives up what lies in no stream; False if NATS does not say: a repeat would wait behind what was sent."""
        subject = _subject_of(frame)
        try:
            reason = await find_refusal(self._client, subject.decode(), self._ack_timeout_s)
        except ServiceUnavailableError:
            self.oldest.fail(AckError(NO_JETSTREAM))
            return False
        except FAILURES:
            return False
        if reason is not None:
            start = b"HPUB %b " % subject
            for number in [number for number, frame in self._pending.items() if frame.startswith(start)]:
                self._refuse(number, reason)
        return True

    def _resend_pending(self) -> None:
        """Everything unacknowledged, from the oldest on: one alone would come after those behind it, out of order.

        What is stored already is dropped there by its message id, and its acknowledgement says so.
        """
        self.counts["resent"] += len(self._pending) - len(self._unsent)
        self._unsent = list(self._pending.values())
        self._sent_marks.clear()
        self._overdue_up_to = 0
        self._wake.set()

    def _refuse_too_large(self) -> None:
        """Another server may take less, and would end the connection again and again."""
        sizes = {number: int(frame[: frame.index(b"\r\n")].rsplit(b" ")[-1]) for number, frame in self._pending.items()}
        for number, size in sizes.items():
            if size > self._client.max_payload:
                self._refuse(number, "larger than this server takes")

    async def _on_message(self, message: Msg) -> None:
        """What the ack reader has left to nats-py."""
        number = int(message.subject[len(self._inbox) :])
        if not (message.headers and message.headers.get(Header.STATUS) == "503"):
            self._on_reply(number, message.data)
        elif (frame := self._pending.get(number)) is not None:
            self._doubted[_subject_of(frame)] = frame
            self._doubt.set()

    def _on_acks(self, numbers: Sequence[int]) -> None:
        self.counts["acked"] += sum(map(self._complete, numbers))

    def _on_reply(self, number: int, body: bytes) -> None:
        ack = read_ack(body)
        if ack is None:
            self._refuse(number, "unreadable acknowledgement")
        elif ack.error is not None and ack.error.may_pass:  # it will be overdue, and is sent again then
            self.oldest.fail(ack.error)
        elif ack.error is not None:
            self._refuse(number, ack.error.description)
        elif self._complete(number):
            self.counts["duplicates" if ack.duplicate else "acked"] += 1

    def _refuse(self, number: int, reason: str) -> None:
        if self._complete(number):
            self.counts["refused"] += 1
            self._refusals.add(reason)

    def _complete(self, number: int) -> bool:
        """Its frame need not be kept any longer; False if that was known, as after a repeat."""
        frame = self._pending.pop(number, None)
        if frame is None:
            return False
        self._pending_bytes -= len(frame)
        self._progress.set()
        return True


def _subject_of(frame: bytes) -> bytes:
    return frame.split(b" ", 2)[1]
