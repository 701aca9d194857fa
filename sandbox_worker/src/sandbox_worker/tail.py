"""A sandbox's events without taking them from its workers: the bot has them played into an inbox."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg

from sandbox_worker import constants, protocol
from sandbox_worker.environment import Environment
from sandbox_worker.errors import ServiceUnavailable
from sandbox_worker.events import EventParser, StoredEvent
from sandbox_worker.nats_connection import NatsConnection, Subscription
from sandbox_worker.pull_consumer import status_of
from sandbox_worker.requests import ask_bot

_logger = logging.getLogger(__name__)


class Tail:
    """Asks anew, from the last event on, whenever what was asked for may have come to an end."""

    def __init__(self, connection: NatsConnection, environment: Environment, wanted: Sequence[str]) -> None:
        self._connection, self._environment, self._wanted = connection, environment, wanted
        self._parser = EventParser(environment.event_prefix, stream=environment.stream)
        self._after: int | None = None
        self._stream_created_at: str | None = None
        """Of the stream that `_after` is of, as the bot says it."""
        self._waits_for_bot = False

    async def events(self, since: float | None) -> AsyncGenerator[StoredEvent]:
        """From that time on (Unix, seconds), otherwise the ones to come. `ServiceUnavailable` if no bot runs at the
        start; later on it is waited for."""
        started_at, first = time.time(), True
        while True:
            inbox = _Inbox(self._connection)
            try:
                await inbox.open()
                if await self._request_replay(inbox, since, patient=not first):
                    first = False
                    async with aclosing(self._read(inbox)) as events:
                        async for event in events:
                            yield event
            finally:
                await inbox.close()
            since = started_at if since is None else since

    async def _request_replay(self, inbox: _Inbox, since: float | None, *, patient: bool) -> bool:
        """False if it was in vain and is to be tried again."""
        client = await self._connection.client()
        try:
            told = await ask_bot(client, self._environment, self._request(inbox.address, since))
        except ServiceUnavailable:
            if not patient:
                raise
            await self._wait_for_bot()
            return False
        self._waits_for_bot = False
        self._begin_after(told)
        inbox.heartbeat_s = float(told.get("heartbeat_s", protocol.EARLIER_REPLAY_HEARTBEAT_S))
        return True

    def _request(self, address: str, since: float | None) -> dict[str, object]:
        """What is after the last event, once there was one."""
        since = since if self._after is None else None
        request: dict[str, object] = {"deliver": address, "since": since, "after": self._after, "events": self._wanted}
        return request | ({"stream_created_at": self._stream_created_at} if self._stream_created_at else {})

    def _begin_after(self, told: Mapping[str, Any]) -> None:
        """An older bot doesn't say where it begins."""
        created_at = told.get("stream_created_at")
        if created_at and self._stream_created_at not in (None, created_at):
            _logger.warning("the stream is another one, events may be missing")
        self._stream_created_at, self._after = created_at, told.get("after", self._after)

    async def _wait_for_bot(self) -> None:
        if not self._waits_for_bot:
            _logger.warning("nobody plays the events, waiting for the bot")
        self._waits_for_bot = True
        await asyncio.sleep(constants.REPLAY_RETRY_DELAY_S)

    async def _read(self, inbox: _Inbox) -> AsyncGenerator[StoredEvent]:
        """Ends when something was lost, or nothing comes any more."""
        expected = 1
        while (message := await inbox.next()) is not None:
            if status_of(message):
                self._on_status(message)
                continue
            fields, delivery = self._parser.fields(message), self._parser.delivery(message)
            if fields is None or delivery is None:
                continue
            if delivery.consumer_sequence != expected:
                _logger.info("events were lost on the way, asking again")
                return
            expected += 1
            self._after = fields["sequence"]
            yield StoredEvent(**fields, stream_created_at=self._created_at)

    @property
    def _created_at(self) -> datetime | None:
        return datetime.fromisoformat(self._stream_created_at) if self._stream_created_at else None

    def _on_status(self, message: Msg) -> None:
        """A heartbeat says how far the server is."""
        reached = (message.headers or {}).get("Nats-Last-Stream", "")
        if self._after is None and reached.isdigit():
            self._after = int(reached)


class _Inbox:
    """Another subject each time: what was asked for earlier may still be delivered to the old one."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription = Subscription(self._arrived.put, lambda: self._arrived.put_nowait(None))
        self.heartbeat_s = protocol.EARLIER_REPLAY_HEARTBEAT_S

    @property
    def address(self) -> str:
        return self._subscription.address

    async def open(self) -> None:
        await self._connection.subscribe(self._subscription)

    async def next(self) -> Msg | None:
        """None after an outage, or a silence."""
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.MISSED_HEARTBEATS * self.heartbeat_s):
                return await self._arrived.get()
        return None

    async def close(self) -> None:
        await self._connection.unsubscribe(self._subscription)
