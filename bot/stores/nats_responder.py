"""Answers to NATS requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_client import flush, unavailable, watch_connection
from bot.supervisor import Part, Supervisor

QUEUE = "sandbox-bot"
"""The group in which the bot's processes share requests."""

Answer = Callable[[Msg], Awaitable[bytes | None]]
"""What to respond; None to keep silent, so that the asker sees a timeout."""


class Responder:
    """Answers requests on a subject, each in a task of its own: a slow one holds up no other.

    Several bot processes share the requests as one queue group.
    """

    def __init__(self, client: Client, subject: str, answer: Answer, *, queue: str = QUEUE) -> None:
        """With an empty `queue` it gets every request, and takes none from the others."""
        self._client, self._subject, self._answer, self._queue = client, subject, answer, queue
        self._subscription: Subscription | None = None
        self._slots = asyncio.Semaphore(constants.RESPONDER_MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, supervisor: Supervisor, name: str) -> AsyncIterator[None]:
        """Answers as a part of that name, until the block is left; what has been asked by then is still answered, and
        the other processes go on. `ServiceUnavailable` if NATS is away at the start."""
        await self._subscribe()
        supervisor.start(name, self._run)
        try:
            yield
        finally:
            await supervisor.end({name})
            await supervisor.deadline.finish(name, self._drain(), constants.CLOSE_WITHIN_S)

    async def _run(self, part: Part) -> None:
        if self._subscription is None:
            await self._subscribe()
        try:
            await watch_connection(self._client, part)
        except ServiceUnavailable:
            self._subscription = None
            raise

    async def _subscribe(self) -> None:
        try:
            self._subscription = await self._client.subscribe(self._subject, queue=self._queue, cb=self._on_request)
            await flush(self._client)
        except (nats.errors.Error, OSError) as error:
            raise unavailable(error) from error

    async def _drain(self) -> None:
        if self._subscription is not None:
            with suppress(nats.errors.Error, OSError):
                await self._subscription.drain()  # type: ignore[no-untyped-call]
        await asyncio.gather(*self._tasks)

    async def _on_request(self, message: Msg) -> None:
        await self._slots.acquire()
        task = asyncio.create_task(self._respond(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _respond(self, message: Msg) -> None:
        response = await self._answer(message)
        if response is not None:
            with suppress(nats.errors.Error, OSError):  # the server is gone, and the asker with it
                await message.respond(response)
