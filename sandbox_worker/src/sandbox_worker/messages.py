"""What the workers of a sandbox tell each other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from nats.aio.msg import Msg

from sandbox_worker.link import Link, Listener

_MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """`subject` is what the sender called it, without the sandbox's prefix."""

    subject: str
    data: bytes = field(repr=False)


class Messages:
    """`async with` begins to listen, `async for` waits for the next one, over outages too; what was sent during one is
    not received."""

    def __init__(self, link: Link, prefix: str, subject: str) -> None:
        self._link, self._prefix = link, prefix
        self._listener = Listener(self._arrive, self._on_loss, prefix + subject)
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue(_MOST_WAITING)

    async def __aenter__(self) -> Self:
        await self._link.listen(self._listener)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.drop(self._listener)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            if self._arrived.empty():
                await self._link.client()  # `SandboxEnded` if there is nothing to wait for
            message = await self._arrived.get()
            if message is not None:
                return message

    async def _arrive(self, message: Msg) -> None:
        await self._arrived.put(Message(message.subject.removeprefix(self._prefix), message.data))

    def _on_loss(self) -> None:
        with suppress(asyncio.QueueFull):
            self._arrived.put_nowait(None)
