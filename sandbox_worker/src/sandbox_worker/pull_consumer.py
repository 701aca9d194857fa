"""Pulls from the durable consumer that a sandbox's workers share."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from sandbox_worker import constants, protocol
from sandbox_worker.environment import Environment
from sandbox_worker.nats_connection import NatsConnection, Subscription
from sandbox_worker.stream_state import StreamState

NAK = b"-NAK"
_logger = logging.getLogger(__name__)
_NANOSECONDS = 1_000_000_000


class PullConsumer:
    """A batch is asked for at a time, and what the worker does not get round to goes back to the others.

    nats-py's own pull subscription would be lost with each connection.
    """

    def __init__(self, connection: NatsConnection, environment: Environment, *, batch: int) -> None:
        self._connection, self._batch = connection, batch
        self._stream = environment.stream
        self._subscription = Subscription(self._on_message, self._on_disconnect)
        self._arrived: asyncio.Queue[tuple[float, Msg | None]] = asyncio.Queue()
        self._expected = 0
        self._is_silent = False
        """Nothing has come of what was asked for last."""
        self._state = StreamState(connection, environment)
        self._lost = _Loss(environment.name)
        self._closing = asyncio.Lock()
        self._closed = False

    async def open(self) -> None:
        """No event is asked for yet."""
        await self._connection.subscribe(self._subscription)
        self._state.doubt()

    async def facts(self, delivery: protocol.Delivery) -> dict[str, Any]:
        """Fields of the `Event`, of one that `next` has returned, which are the bot's to know."""
        return await self._state.facts(delivery)

    async def next(self) -> Msg:
        """Waits as long as it takes. `SandboxEnded` when nothing will come any more."""
        while True:
            if self._arrived.empty() and self._expected <= 0:
                await self._request_batch()
            arrived_at, message = await self._receive()
            if message is None:
                self._expected = 0  # what was asked for went with the connection
            elif status := status_of(message):
                await self._on_status(status, message)
            else:
                self._expected -= 1
                self._is_silent = False
                self._lost.over()
                if not message.data:
                    await self._resubscribe()
                if _is_fresh(arrived_at):
                    return message

    async def close(self) -> None:
        """Gives back what was not handed out; it may come in another order then. Safe to repeat."""
        async with self._closing:
            if self._closed:
                return
            self._closed = True
            await self._connection.unsubscribe(self._subscription)
            self._state.close()
            while not self._arrived.empty():
                await self._give_back(*self._arrived.get_nowait())

    async def _give_back(self, arrived_at: float, message: Msg | None) -> None:
        client = self._connection.current
        if client is not None and message is not None and self._is_owed(message) and _is_fresh(arrived_at):
            with suppress(nats.errors.Error):
                await client.publish(message.reply, NAK)

    def _is_owed(self, message: Msg) -> bool:
        """Whether it is an event of the stream, and no word of the server's or message of somebody else's."""
        delivery = protocol.read_delivery(message.reply)
        return delivery is not None and delivery.stream == self._stream

    async def _resubscribe(self) -> None:
        """An empty message is the end of what another account answers to a request, whatever else is to come."""
        await self._connection.unsubscribe(self._subscription)
        await self._connection.subscribe(self._subscription)
        self._expected = 0

    async def _request_batch(self) -> None:
        """One alone after a silence: a leader that was frozen may answer all that it was asked meanwhile."""
        count = 1 if self._is_silent else self._batch
        request = {
            "batch": count,
            "expires": int(constants.PULL_EXPIRES_S * _NANOSECONDS),
            "idle_heartbeat": int(constants.PULL_HEARTBEAT_S * _NANOSECONDS),
        }
        subject = protocol.pull_subject(self._stream)
        await self._connection.publish(subject, json.dumps(request).encode(), reply_to=self._subscription)
        self._expected = count

    async def _receive(self) -> tuple[float, Msg | None]:
        """When it arrived (monotonic), and what; no message after a disconnect or a silence."""
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        try:
            async with asyncio.timeout(constants.MISSED_HEARTBEATS * constants.PULL_HEARTBEAT_S):
                return await self._arrived.get()
        except TimeoutError:
            self._is_silent = True
            return 0.0, None

    async def _on_status(self, status: str, message: Msg) -> None:
        """A word of the server instead of an event: 100 is a sign of life, anything else the end of the batch."""
        self._is_silent = False
        if status == "100":
            return
        self._expected = 0
        if status in {"404", "408"}:
            self._lost.over()
            return
        # 503: nobody has the consumer; other words, such as that it moves to another server, are no loss.
        if (status == "503" or _says_deleted(message)) and (self._lost.note() or not self._state.is_asked_for):
            self._state.doubt()
        await asyncio.sleep(constants.LOST_RETRY_DELAY_S)

    async def _on_message(self, message: Msg) -> None:
        if _says_deleted(message):
            while not self._arrived.empty():  # its successor delivers all of it, and again what is done by then
                self._arrived.get_nowait()
        self._arrived.put_nowait((time.monotonic(), message))

    def _on_disconnect(self) -> None:
        self._state.doubt()
        self._arrived.put_nowait((0.0, None))


class _Loss:
    """Tells of a consumer that is not there, and of its return, once each."""

    def __init__(self, sandbox: str) -> None:
        self._sandbox = sandbox
        self._since: float | None = None
        self._is_told = False

    def note(self) -> bool:
        """It is not there; whether that is news."""
        now, is_news = time.monotonic(), self._since is None
        self._since = self._since or now
        if not self._is_told and now - self._since >= constants.LOST_TOLD_AFTER_S:
            self._is_told = True
            _logger.warning("NATS has lost the consumer of events, the bot makes it again: sandbox %s", self._sandbox)
        return is_news

    def over(self) -> None:
        """It is."""
        if self._is_told:
            _logger.info("events can be asked for again: sandbox %s", self._sandbox)
        self._since, self._is_told = None, False


def _says_deleted(message: Msg) -> bool:
    """Whether the server has ended a request for the consumer was deleted."""
    return status_of(message) == "409" and "Deleted" in (message.headers or {}).get("Description", "")


def _is_fresh(arrived_at: float) -> bool:
    return time.monotonic() - arrived_at < constants.KEPT_FOR_S


def status_of(message: Msg) -> str:
    """What the server says instead of an event; empty for an event."""
    return (message.headers or {}).get("Status", "")
