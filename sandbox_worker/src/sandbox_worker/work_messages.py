"""What the workers of a sandbox tell each other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from nats.aio.msg import Msg

from sandbox_worker import constants
from sandbox_worker.nats_connection import NatsConnection, Subscription


@dataclass(frozen=True, slots=True)
class Message:
    """`subject` is what the sender called it, without the sandbox's prefix."""

    subject: str
    data: bytes = field(repr=False)


class MessageStream:
    """`async with` begins to listen, `async for` waits for the next one, over outages too; what was sent during one is
    not received."""

    def __init__(self, connection: NatsConnection, prefix: str, subject: str) -> None:
        self._connection, self._prefix = connection, prefix
        self._subscription = Subscription(self._on_message, self._on_disconnect, prefix + subject)
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue(constants.UNREAD_MESSAGES)

    async def __aenter__(self) -> Self:
        await self._connection.subscribe(self._subscription)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.unsubscribe(self._subscription)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            if self._arrived.empty():
                await self._connection.client()  # `SandboxEnded` if there is nothing to wait for
            message = await self._arrived.get()
            if message is not None:
                return message

    async def _on_message(self, message: Msg) -> None:
        await self._arrived.put(Message(message.subject.removeprefix(self._prefix), message.data))

    def _on_disconnect(self) -> None:
        with suppress(asyncio.QueueFull):
            self._arrived.put_nowait(None)
