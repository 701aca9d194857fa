"""A sandbox's events without taking them from its workers: the bot has them played into an inbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any

import nats.errors
import orjson
from loguru import logger
from nats.aio.msg import Msg

from bot import names
from bot.errors import InvalidInput, ServiceUnavailable
from sandbox_worker.environment import Environment
from sandbox_worker.events import Reader, StoredEvent
from sandbox_worker.feed import status_of
from sandbox_worker.link import Link, Listener

_ANSWER_WITHIN_S = 5
_SILENT_FOR_S = 15.0
"""Three heartbeats of the server."""
_PAUSE_S = 1.0


class Watch:
    """Asks anew, from the last event on, whenever what was asked for may have come to an end."""

    def __init__(self, link: Link, environment: Environment, wanted: Sequence[str]) -> None:
        self._link, self._environment, self._wanted = link, environment, wanted
        self._reader = Reader(environment.event_prefix)
        self._after: int | None = None
        self._waits = False

    async def events(self, since: float | None) -> AsyncGenerator[StoredEvent]:
        """From that time on (Unix, seconds), otherwise the ones to come. `ServiceUnavailable` if no bot runs at the
        start; later on it is waited for."""
        started_at, first = time.time(), True
        while True:
            inbox = Inbox(self._link)
            try:
                await inbox.open()
                if await self._ask(inbox, since, patient=not first):
                    first = False
                    async with aclosing(self._listen(inbox)) as events:
                        async for event in events:
                            yield event
            finally:
                await inbox.close()
            since = started_at if since is None else since

    async def _ask(self, inbox: Inbox, since: float | None, *, patient: bool) -> bool:
        """False if it was in vain and is to be tried again."""
        client = await self._link.client()
        request = {
            "deliver": inbox.address,
            "since": since if self._after is None else None,
            "after": self._after,
            "events": self._wanted,
        }
        try:
            subject = names.replay_subject(self._environment.sandbox_id)
            answer = await client.request(subject, orjson.dumps(request), timeout=_ANSWER_WITHIN_S)
        except (nats.errors.Error, OSError) as error:
            if not patient:
                detail = "nobody answers on NATS; is the bot running?"
                raise ServiceUnavailable("The bot", detail) from error
            if not self._waits:
                logger.warning("nobody plays the events, waiting for the bot")
            self._waits = True
            await asyncio.sleep(_PAUSE_S)
            return False
        self._waits = False
        told: dict[str, Any] = orjson.loads(answer.data)
        if "error" in told:
            raise InvalidInput(str(told["error"]))
        return True

    async def _listen(self, inbox: Inbox) -> AsyncGenerator[StoredEvent]:
        """Ends when something was lost, or nothing comes any more."""
        expected = 1
        while (message := await inbox.next()) is not None:
            if status_of(message):
                await self._heed(message)
                continue
            fields = self._reader.read(message)
            if fields is None:
                continue
            if message.metadata.sequence.consumer != expected:
                logger.info("events were lost on the way, asking again")
                return
            expected += 1
            self._after = fields["sequence"]
            yield StoredEvent(**fields)

    async def _heed(self, message: Msg) -> None:
        """A heartbeat says how far the server is; flow control asks for an answer."""
        if message.reply:
            await self._link.publish(message.reply)
        reached = (message.headers or {}).get("Nats-Last-Stream", "")
        if self._after is None and reached.isdigit():
            self._after = int(reached)


class Inbox:
    """Another subject each time: what was asked for earlier may still be delivered to the old one."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._listener = Listener(self._arrived.put, lambda: self._arrived.put_nowait(None))

    @property
    def address(self) -> str:
        return self._listener.address

    async def open(self) -> None:
        await self._link.listen(self._listener)

    async def next(self) -> Msg | None:
        """None after an outage, or a silence."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SILENT_FOR_S):
                return await self._arrived.get()
        return None

    async def close(self) -> None:
        await self._link.drop(self._listener)
