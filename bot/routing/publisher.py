"""Acknowledged JetStream publishing with its own window, for nats-py's own loses messages in an outage."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import msgspec
import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from bot.routing.acks import AckReader
from sandbox_worker.protocol import MESSAGE_ID_HEADER

_HEADERS_AT_MOST = 512
_TICK_S = 0.1
_REPORT_EVERY_S = 60.0
_FORBIDDEN = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)


class _AckError(msgspec.Struct):
    description: str = ""


class _Ack(msgspec.Struct):
    duplicate: bool = False
    error: _AckError | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Publisher:
    """Publishes in order, at least once, and the message id makes that once in the stream.

    What is not acknowledged in time, or was under way when the connection broke, is sent again from the oldest on,
    with unchanged ids, for as long as it takes. An error of JetStream (no such stream, full, not permitted) is a
    result: counted and reported.
    """

    def __init__(
        self, client: Client, *, window: int, ack_timeout: timedelta, max_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._client, self._window, self._max_bytes = client, window, max_bytes
        self._ack_timeout_s = ack_timeout.total_seconds()
        self._pending: dict[int, bytes] = {}  # as they go over the wire, so that a repeat costs nothing
        self._unsent: list[bytes] = []
        self._plain: list[bytes] = []
        self._number = self._sent = self._due = 0
        self._bytes = 0
        self._sent_by: deque[tuple[float, int]] = deque()
        self._wake, self._progress = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reconnects = client.stats["reconnects"]
        self._refusals: Counter[str] = Counter()
        self._reported_at = 0.0
        self.counts: Counter[str] = Counter()
        self.gone = asyncio.Event()
        """Set when nats-py has given up for good, as it does when the server refuses its user."""

    async def start(self) -> None:
        self._inbox = self._client.new_inbox() + "."
        self._replies: Subscription = await self._client.subscribe(
            self._inbox + "*", cb=self._on_reply, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._acks = AckReader(self._client, self._inbox, self._on_acks, self._examine)
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """Stops at once; `drain` first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._acks.remove()
        with suppress(nats.errors.Error):
            await self._replies.unsubscribe()
        self._report()

    def fits(self, payload: bytes) -> bool:
        """Whether NATS would take it, headers included."""
        return len(payload) + _HEADERS_AT_MOST <= self._client.max_payload

    def publish(self, subject: str, payload: bytes, message_id: str, headers: Mapping[str, str] | None = None) -> None:
        """Takes it at once, whatever the window holds: who reads faster than NATS writes awaits `room`."""
        self._number = number = self._number + 1
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
        head = f"NATS/1.0\r\n{MESSAGE_ID_HEADER}: {message_id}\r\n{more}\r\n"
        size = len(head)
        frame = b"%b%b\r\n" % (
            f"HPUB {subject} {self._inbox}{number} {size} {size + len(payload)}\r\n{head}".encode(),
            payload,
        )
        self._pending[number] = frame
        self._bytes += len(frame)
        self._unsent.append(frame)
        self._wake.set()

    def publish_unacknowledged(self, subject: str, payload: bytes) -> None:
        """For whoever listens just now: dropped while NATS is away or does not keep up."""
        client = self._client
        if self._is_steady() and len(payload) <= client.max_payload and client.pending_data_size < self._max_bytes:
            self._plain.append(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(payload), payload))
            self._wake.set()
        else:
            self.counts["dropped"] += 1

    @property
    def published(self) -> int:
        """The number of the message published last; they count from 1."""
        return self._number

    @property
    def settled(self) -> int:
        """Up to this number every message is acknowledged or refused."""
        return next(iter(self._pending), self._number + 1) - 1

    @property
    def is_full(self) -> bool:
        return len(self._pending) >= self._window or self._bytes >= self._max_bytes

    async def room(self) -> None:
        """Returns when the window has room."""
        while self.is_full:
            self._progress.clear()
            await self._progress.wait()

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

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._is_steady():  # otherwise the watch wakes us
                await self._hand_over()

    async def _hand_over(self) -> None:
        """Everything unsent at once, through nats-py's own writer: its `publish` would cost 5 µs a message."""
        client = self._client
        frames = [*self._unsent, *self._plain]
        self._unsent.clear()
        self._plain.clear()
        self._sent = self._number
        client._pending.extend(frames)
        client._pending_data_size += sum(map(len, frames))
        await client._flush_pending()

    def _is_steady(self) -> bool:
        """Connected, and on the connection on which everything before was sent."""
        return self._client.is_connected and self._client.stats["reconnects"] == self._reconnects

    async def _watch(self) -> None:
        """Notices reconnects and what was not acknowledged in time."""
        while True:
            await asyncio.sleep(_TICK_S)
            if self._client.is_closed:
                self.gone.set()
            if not self._client.is_connected:
                continue
            if self._client.stats["reconnects"] != self._reconnects:
                self._reconnects = self._client.stats["reconnects"]
                self._refuse_too_large()
                self._send_again()
            elif self._is_overdue():
                await self._reconsider()
            if self._refusals and time.monotonic() - self._reported_at > _REPORT_EVERY_S:
                self._report()

    def _is_overdue(self) -> bool:
        """Whether the oldest was sent longer than the timeout ago, to a tick: a time for each would cost more."""
        now = time.monotonic()
        while self._sent_by and self._sent_by[0][0] <= now - self._ack_timeout_s:
            self._due = self._sent_by.popleft()[1]
        self._sent_by.append((now, self._sent))
        oldest = next(iter(self._pending), None)
        return oldest is not None and oldest <= self._due

    async def _reconsider(self) -> None:
        """Sends again what nobody has answered, unless NATS says why nobody will."""
        subject = next(iter(self._pending.values())).split(b" ", 2)[1]
        try:
            reason = await self._refusal_of(subject.decode())
        except (nats.errors.Error, JetStreamError, TimeoutError):
            return  # away: a repeat would only wait behind what has been sent
        if reason is not None:
            start = b"HPUB %b " % subject
            for number in [number for number, frame in self._pending.items() if frame.startswith(start)]:
                self._refuse(number, reason)
        self._send_again()

    async def _refusal_of(self, subject: str) -> str | None:
        forbidden = _FORBIDDEN.search(str(self._client.last_error))
        if forbidden and forbidden[1].lower() == subject.lower():
            return "not permitted"
        try:
            await self._client.jetstream(timeout=self._ack_timeout_s).find_stream_name_by_subject(subject)
        except NotFoundError:
            return "no such stream"
        return None

    def _send_again(self) -> None:
        """Everything unacknowledged, in order."""
        self.counts["resent"] += len(self._pending) - len(self._unsent)
        self._unsent = list(self._pending.values())
        self._sent_by.clear()
        self._due = 0
        self._wake.set()

    def _refuse_too_large(self) -> None:
        """Another server may take less, and would end the connection again and again."""
        sizes = {number: int(frame[: frame.index(b"\r\n")].rsplit(b" ")[-1]) for number, frame in self._pending.items()}
        for number, size in sizes.items():
            if size > self._client.max_payload:
                self._refuse(number, "larger than this server takes")

    async def _on_reply(self, message: Msg) -> None:
        """What the ack reader has left to nats-py."""
        number = int(message.subject[len(self._inbox) :])
        if message.headers and message.headers.get(Header.STATUS) == "503":
            self._refuse(number, "no such stream")
        else:
            self._examine(number, message.data)

    def _on_acks(self, numbers: Sequence[int]) -> None:
        self.counts["acked"] += sum(map(self._settle, numbers))

    def _examine(self, number: int, body: bytes) -> None:
        try:
            ack = _decode_ack(body)
        except msgspec.MsgspecError:
            self._refuse(number, "unreadable acknowledgement")
            return
        if ack.error is not None:
            self._refuse(number, ack.error.description)
        elif self._settle(number):
            self.counts["duplicates" if ack.duplicate else "acked"] += 1

    def _refuse(self, number: int, reason: str) -> None:
        if not self._settle(number):
            return
        self.counts["refused"] += 1
        self._refusals[reason] += 1
        if time.monotonic() - self._reported_at > _REPORT_EVERY_S:
            self._report()

    def _report(self) -> None:
        """At most once a minute: a refused flood is no reason for a flood of lines."""
        if self._refusals:
            logger.warning("events were refused by NATS", reasons=dict(self._refusals))
            self._refusals.clear()
            self._reported_at = time.monotonic()

    def _settle(self, number: int) -> bool:
        frame = self._pending.pop(number, None)
        if frame is None:
            return False
        self._bytes -= len(frame)
        self._progress.set()
        return True
