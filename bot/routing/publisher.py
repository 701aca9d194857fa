"""Acknowledged JetStream publishing with its own window, for nats-py's own loses messages in an outage."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from datetime import timedelta

import msgspec
import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header

MESSAGE_ID = Header.MSG_ID.value
_HEADERS_AT_MOST = 512
_TICK_S = 0.1
_MOST_ATTEMPTS = 5
_REPORT_EVERY_S = 60.0


class _Pending(msgspec.Struct):
    """A message that nobody has acknowledged yet."""

    subject: str
    payload: bytes
    headers: dict[str, str]
    sent_at: float = 0.0
    attempts: int = 0


class _AckError(msgspec.Struct):
    description: str = ""


class _Ack(msgspec.Struct):
    duplicate: bool = False
    error: _AckError | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Publisher:
    """Publishes in order, at least once, and the message id makes that once in the stream.

    What is not acknowledged in time, or was under way when the connection broke, is sent again from the oldest on,
    with unchanged ids. An error of JetStream (no such stream, full, not permitted) is a result: counted and reported.
    """

    def __init__(
        self, client: Client, *, window: int, ack_timeout: timedelta, max_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._client, self._window, self._max_bytes = client, window, max_bytes
        self._ack_timeout_s = ack_timeout.total_seconds()
        self._pending: dict[int, _Pending] = {}
        self._queue: deque[int] = deque()
        self._plain: deque[tuple[str, bytes]] = deque(maxlen=window)
        self._number = 0
        self._bytes = 0
        self._wake, self._progress = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reconnects = client.stats["reconnects"]
        self._refusals: Counter[str] = Counter()
        self._reported_at = 0.0
        self.counts: Counter[str] = Counter()

    async def start(self) -> None:
        self._inbox = self._client.new_inbox() + "."
        self._acks: Subscription = await self._client.subscribe(
            self._inbox + "*", cb=self._on_ack, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """Stops at once; `drain` first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._report()

    def fits(self, payload: bytes) -> bool:
        """Whether NATS would take it, headers included."""
        return len(payload) + _HEADERS_AT_MOST <= self._client.max_payload

    def publish(self, subject: str, payload: bytes, message_id: str, headers: dict[str, str] | None = None) -> None:
        """Takes it at once, whatever the window holds: who reads faster than NATS writes awaits `room`."""
        self._number += 1
        self._pending[self._number] = _Pending(subject, payload, {MESSAGE_ID: message_id, **(headers or {})})
        self._bytes += len(payload)
        self._queue.append(self._number)
        self._wake.set()

    def publish_unacknowledged(self, subject: str, payload: bytes) -> None:
        """For whoever listens just now; the oldest go first when NATS is away."""
        self._plain.append((subject, payload))
        self._wake.set()

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
            if not self._client.is_connected:
                continue  # the watch wakes us when it is back
            try:
                await self._write_queue()
                await self._write_plain()
            except (nats.errors.Error, OSError) as error:
                logger.debug("publishing stopped short", error=repr(error))

    async def _write_queue(self) -> None:
        while self._queue and self._is_steady():
            number = self._queue.popleft()
            message = self._pending.get(number)
            if message is None:
                continue
            message.sent_at = time.monotonic()
            message.attempts += 1
            reply = f"{self._inbox}{number}"
            await self._client.publish(message.subject, message.payload, reply=reply, headers=message.headers)

    async def _write_plain(self) -> None:
        while self._plain and self._is_steady():
            subject, payload = self._plain.popleft()
            if len(payload) <= self._client.max_payload:
                await self._client.publish(subject, payload)

    def _is_steady(self) -> bool:
        """Connected, and on the connection on which everything before was sent."""
        return self._client.is_connected and self._client.stats["reconnects"] == self._reconnects

    async def _watch(self) -> None:
        """Notices reconnects and what was not acknowledged in time."""
        while True:
            await asyncio.sleep(_TICK_S)
            if not self._client.is_connected:
                continue
            reconnects = self._client.stats["reconnects"]
            if reconnects != self._reconnects:
                self._reconnects = reconnects
                self._send_again()
            elif self._is_overdue():
                self._send_again()
            if self._queue or self._plain:
                self._wake.set()
            if self._refusals and time.monotonic() - self._reported_at > _REPORT_EVERY_S:
                self._report()

    def _is_overdue(self) -> bool:
        oldest = next(iter(self._pending.values()), None)
        return oldest is not None and 0 < oldest.sent_at < time.monotonic() - self._ack_timeout_s

    def _send_again(self) -> None:
        """Everything unacknowledged, in order; what has been tried too often is given up."""
        worn_out = [number for number, message in self._pending.items() if message.attempts >= _MOST_ATTEMPTS]
        for number in worn_out:
            self._refuse(number, "no acknowledgement")
        self.counts["resent"] += sum(message.attempts > 0 for message in self._pending.values())
        self._queue = deque(self._pending)
        self._wake.set()

    async def _on_ack(self, message: Msg) -> None:
        number = int(message.subject[len(self._inbox) :])
        if message.headers and message.headers.get(Header.STATUS) == "503":
            self._refuse(number, "no such stream")
            return
        try:
            ack = _decode_ack(message.data)
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
        message = self._pending.pop(number, None)
        if message is None:
            return False
        self._bytes -= len(message.payload)
        self._progress.set()
        return True
