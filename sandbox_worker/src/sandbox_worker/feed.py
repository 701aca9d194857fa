"""Pulls from the durable consumer that a sandbox's workers share."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import nats.errors
import orjson
from nats.aio.msg import Msg

from bot import names
from sandbox_worker.environment import Environment
from sandbox_worker.link import Link, Listener

NAK = b"-NAK"
_EXPIRES_S, _HEARTBEAT_S = 30, 5
_SILENT_FOR_S = 3.0 * _HEARTBEAT_S
_KEPT_FOR_S = 25.0
"""Less than the 30 seconds after which the server takes an event for lost and delivers it anew."""
_GONE_FOR_S = 10.0
_SECOND = 1_000_000_000


class Feed:
    """A batch is asked for at a time, and what the worker does not get round to goes back to the others."""

    def __init__(self, link: Link, environment: Environment, *, batch: int) -> None:
        self._link, self._batch = link, batch
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{environment.stream}.{names.WORKER_CONSUMER}"
        self._listener = Listener(self._arrive, self._on_loss)
        self._arrived: asyncio.Queue[tuple[float, Msg | None]] = asyncio.Queue()
        self._expected = 0
        self._gone_since: float | None = None
        self._closing = asyncio.Lock()
        self._closed = False

    async def open(self) -> None:
        await self._link.listen(self._listener)

    async def next(self) -> Msg:
        """Waits as long as it takes. `SandboxEnded` when nothing will come any more."""
        while True:
            if self._arrived.empty() and self._expected <= 0:
                await self._ask()
            arrived_at, message = await self._receive()
            if message is None:
                self._expected = 0  # what was asked for went with the connection
            elif status := status_of(message):
                await self._heed(status)
            else:
                self._expected -= 1
                self._gone_since = None
                if not message.data:
                    await self._begin_anew()
                if _is_fresh(arrived_at):
                    return message

    async def close(self) -> None:
        """Gives back what was not handed out; it may come in another order then. Safe to repeat."""
        async with self._closing:
            if self._closed:
                return
            self._closed = True
            await self._link.drop(self._listener)
            while not self._arrived.empty():
                arrived_at, message = self._arrived.get_nowait()
                client = self._link.live
                if client is not None and message is not None and not status_of(message) and _is_fresh(arrived_at):
                    with suppress(nats.errors.Error):
                        await client.publish(message.reply, NAK)

    async def _begin_anew(self) -> None:
        """An empty message is the end of what another account answers to a request, whatever else is to come."""
        await self._link.drop(self._listener)
        await self._link.listen(self._listener)
        self._expected = 0

    async def _ask(self) -> None:
        wanted = {"batch": self._batch, "expires": _EXPIRES_S * _SECOND, "idle_heartbeat": _HEARTBEAT_S * _SECOND}
        await self._link.publish(self._subject, orjson.dumps(wanted), answer_to=self._listener)
        self._expected = self._batch

    async def _receive(self) -> tuple[float, Msg | None]:
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        try:
            async with asyncio.timeout(_SILENT_FOR_S):
                return await self._arrived.get()
        except TimeoutError:
            return 0.0, None

    async def _heed(self, status: str) -> None:
        """A word of the server instead of an event: 100 is a sign of life, anything else the end of the batch."""
        if status == "100":
            return
        self._expected = 0
        if status in {"404", "408"}:
            self._gone_since = None
            return
        now = time.monotonic()  # 409: the consumer is gone or moves to another server; 503: nobody has the stream
        self._gone_since = self._gone_since or now
        if now - self._gone_since > _GONE_FOR_S:
            self._link.end("gone")
        await asyncio.sleep(0.5)

    async def _arrive(self, message: Msg) -> None:
        self._arrived.put_nowait((time.monotonic(), message))

    def _on_loss(self) -> None:
        self._arrived.put_nowait((0.0, None))


def _is_fresh(arrived_at: float) -> bool:
    return time.monotonic() - arrived_at < _KEPT_FOR_S


def status_of(message: Msg) -> str:
    """What the server says instead of an event; empty for an event."""
    return (message.headers or {}).get("Status", "")
