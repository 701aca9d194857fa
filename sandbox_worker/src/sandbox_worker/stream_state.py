"""What the bot says of a sandbox's stream and consumer, which NATS may lose and the bot then makes again."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import datetime
from typing import Any

from sandbox_worker import constants, protocol
from sandbox_worker.environment import Environment
from sandbox_worker.errors import ReplayRefused, SandboxEnded, ServiceUnavailable
from sandbox_worker.nats_connection import NatsConnection
from sandbox_worker.requests import THE_BOT, ask_bot


class StreamState:
    """Asked for in the background, whenever it may be another one. Until there is an answer, every event is taken for a
    possible duplicate."""

    def __init__(self, connection: NatsConnection, environment: Environment) -> None:
        self._connection, self._environment = connection, environment
        self._asking: asyncio.Task[None] | None = None
        self._forget()

    def _forget(self) -> None:
        self.created_at: datetime | None = None
        """When the stream was created; None if that is not known."""
        self._duplicates_up_to = math.inf
        self._last_delivery = 0
        self._settled = asyncio.Event()
        """There is an answer, or it is not waited for any more."""

    @property
    def is_asked_for(self) -> bool:
        """Whether there is no answer yet."""
        return self._asking is not None and not self._asking.done()

    def doubt(self) -> None:
        """Ask anew: the consumer may be another one."""
        self.close()
        self._forget()
        self._asking = asyncio.create_task(self._ask())

    def close(self) -> None:
        """Nothing more is asked. Safe to repeat."""
        if self._asking is not None:
            self._asking.cancel()

    async def facts(self, delivery: protocol.Delivery) -> dict[str, Any]:
        """Of an event that was delivered: fields of an `Event`. Waits a moment for an answer that is due."""
        if delivery.consumer_sequence <= self._last_delivery:  # a consumer counts on, and this one has begun again
            self.doubt()
        self._last_delivery = delivery.consumer_sequence
        if not self._settled.is_set():
            await self._wait()
        possible_duplicate = delivery.times > 1 or delivery.stream_sequence <= self._duplicates_up_to
        return {"stream_created_at": self.created_at, "possible_duplicate": possible_duplicate}

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.STATE_WAITED_FOR_S):
                await self._settled.wait()
        self._settled.set()

    async def _ask(self) -> None:
        while True:
            try:
                client = await self._connection.client()
            except SandboxEnded:  # which whoever waits for an event is told, too
                return
            try:
                self._learn(await ask_bot(client, self._environment, protocol.STATE_REQUEST))
            except ServiceUnavailable as error:
                if error.service == THE_BOT:
                    self._settled.set()
                await asyncio.sleep(constants.STATE_RETRY_DELAY_S)
            except ReplayRefused:  # by a bot that is older than this, and marks nothing
                self._learn({})
                return
            except SandboxEnded:
                self._connection.end("gone")
                return
            else:
                return

    def _learn(self, told: dict[str, Any]) -> None:
        created_at = told.get("stream_created_at")
        self.created_at = datetime.fromisoformat(created_at) if created_at else None
        self._duplicates_up_to = told.get("possible_duplicates_up_to", 0)
        self._settled.set()
