"""Answers to NATS requests, so many of each asker: what is over its ration is dropped by the server, unread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_client import abort_nats, close_nats, flush, open_nats
from bot.stores.nats_responder import QUEUE, Answer
from bot.supervisor import Part, Supervisor


@dataclass(frozen=True, slots=True)
class Service:
    """What is answered, on a subject for each asker."""

    subject_of: Callable[[UUID], str]
    answer: Answer


class RationedResponder:
    """Answers on a connection of its own, one request at a time of each asker and service.

    Each subscription ends at the server after a ration of requests, and is made anew a while later. So a flood costs
    this process no more than the ration, and nobody else's request stands behind it. Several bot processes share the
    requests as one queue group, each with rations of its own.
    """

    def __init__(
        self, url: str, services: Collection[Service], list_askers: Callable[[], Awaitable[Collection[UUID]]]
    ) -> None:
        """`url` has credentials. `list_askers` is asked again and again who may ask."""
        self._url, self._services, self._list_askers = url, services, list_askers
        self._client: Client | None = None
        self._askers: dict[UUID, list[_Asker]] = {}
        self._slots = asyncio.Semaphore(constants.RATIONED_AT_ONCE)

    @asynccontextmanager
    async def serving(self, supervisor: Supervisor, name: str) -> AsyncIterator[None]:
        """Answers as a part of that name, until the block is left; what has been asked by then is still answered, and
        the other processes go on. The block is entered without NATS too, if that is slow to let the part in."""
        part = supervisor.start(name, self._run)
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.NATS_CONNECT_WITHIN_S):
                await part.wait_running()
        try:
            yield
        finally:
            await supervisor.end({name})
            await supervisor.deadline.finish(name, self._finish(), constants.CLOSE_WITHIN_S)
            await self._close(supervisor)

    async def admit(self, asker: UUID) -> None:
        """It may ask when this returns, unless the connection is away: then some time after that is back."""
        if self._client is None or not self._client.is_connected or asker in self._askers:
            return
        self._start(self._client, asker)
        with suppress(nats.errors.Error, OSError, TimeoutError):
            for each in self._askers[asker]:
                await each.subscribed.wait()
            await flush(self._client)

    async def _run(self, part: Part) -> None:
        self._forget_all()
        self._client = client = await open_nats(self._url, name="sandbox-bot workers", jetstream=False)
        while not client.is_closed:
            try:
                await self._reconcile(client)
                part.running()
            except ServiceUnavailable as error:
                part.failing(error)
            await asyncio.sleep(constants.RATION_EVERY_S)
        raise _is_away(client)

    async def _reconcile(self, client: Client) -> None:
        if not client.is_connected:
            raise _is_away(client)
        before = set(self._askers)  # whoever is admitted meanwhile may be too new for the list
        wanted = set(await self._list_askers())
        for asker in before - wanted:
            for each in self._askers.pop(asker):
                await each.end()
        for asker in wanted - self._askers.keys():
            self._start(client, asker)

    def _start(self, client: Client, asker: UUID) -> None:
        self._askers[asker] = [
            _Asker(client, service.subject_of(asker), partial(self._answer_in_turn, service.answer))
            for service in self._services
        ]

    async def _answer_in_turn(self, answer: Answer, message: Msg) -> None:
        async with self._slots:
            response = await answer(message)
            if response is not None:
                with suppress(nats.errors.Error, OSError):  # the server is gone, and the asker with it
                    await message.respond(response)

    async def _finish(self) -> None:
        await asyncio.gather(*(each.finish() for each in self._all()))

    async def _close(self, supervisor: Supervisor) -> None:
        self._forget_all()
        if client := self._client:
            self._client = None
            await supervisor.deadline.close("NATS", lambda: close_nats(client), lambda: abort_nats(client))

    def _forget_all(self) -> None:
        """With the connection that they were on."""
        for each in self._all():
            each.task.cancel()
        self._askers.clear()

    def _all(self) -> Iterator[_Asker]:
        return (each for of_asker in self._askers.values() for each in of_asker)


class _Asker:
    """One asker's subscription to one service, and what is answered on it."""

    def __init__(self, client: Client, subject: str, answer: Callable[[Msg], Awaitable[None]]) -> None:
        self._client, self._subject, self._answer = client, subject, answer
        self._subscription: Subscription | None = None
        self._is_idle = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.task = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        with suppress(nats.errors.Error, OSError):  # the connection has ended, and its successor begins anew
            while True:
                rested = asyncio.create_task(asyncio.sleep(constants.RATION_EVERY_S))
                await self._serve_ration()
                self._is_idle.set()
                await rested

    async def _serve_ration(self) -> None:
        self._subscription = subscription = await self._client.subscribe(self._subject, queue=QUEUE)
        await subscription.unsubscribe(limit=constants.RATION)
        self.subscribed.set()
        for _ in range(constants.RATION):
            if not subscription.pending_msgs:
                self._is_idle.set()
            message = await subscription.next_msg(timeout=None)
            self._is_idle.clear()
            await self._answer(message)

    async def finish(self) -> None:
        """Nothing more is taken; returns when what has come is answered."""
        await self._unsubscribe()
        with suppress(nats.errors.Error, OSError, TimeoutError):
            await flush(self._client)
        if not self.task.done():
            await self._is_idle.wait()
            self.task.cancel()

    async def end(self) -> None:
        """At once."""
        self.task.cancel()
        await self._unsubscribe()

    async def _unsubscribe(self) -> None:
        if self._subscription is not None:
            with suppress(nats.errors.Error, OSError):  # it had ended by itself, or the connection has
                await self._subscription.unsubscribe()


def _is_away(client: Client) -> ServiceUnavailable:
    return ServiceUnavailable("NATS", str(client.last_error or "") or "the connection is lost")
