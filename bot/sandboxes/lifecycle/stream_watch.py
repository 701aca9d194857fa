"""Notices lost streams and consumers: NATS tells of those that are deleted, and of all others nobody does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.sandboxes.lifecycle.streams import StreamReconciler
from bot.stores.nats_client import asking
from bot.supervisor import Part

_ADVISORIES = "$JS.EVENT.ADVISORY."
_SUBJECTS = (f"{_ADVISORIES}STREAM.DELETED.*", f"{_ADVISORIES}CONSUMER.DELETED.*.{names.WORKER_CONSUMER}")
_STREAM = 5
"""Its token in each of them."""


class StreamWatch:
    """Has looked at again what an advisory names, and all on a new connection and every so often.

    An advisory is only a hint: where workers share the bot's account, one may send any.
    """

    def __init__(self, client: Client, reconciler: StreamReconciler, every: timedelta) -> None:
        self._client, self._reconciler, self._every_s = client, reconciler, every.total_seconds()
        self._named: set[str] = set()
        """Schemas of the sandboxes whose streams the advisories name."""
        self._hinted = asyncio.Event()

    async def run(self, part: Part) -> None:
        """For ever. `ServiceUnavailable` if a store doesn't answer, or the connection has ended."""
        async with self._listening():
            while not self._client.is_closed:
                connections = self._client.stats["reconnects"]
                due_at = time.monotonic() + self._every_s
                self._named.clear()
                await self._reconciler.reconcile()
                part.running()
                while time.monotonic() < due_at and connections == self._client.stats["reconnects"]:
                    await self._follow_hints()
        raise ServiceUnavailable("NATS", "the connection is closed")

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        with asking():
            subscriptions = [await self._client.subscribe(subject, cb=self._on_advisory) for subject in _SUBJECTS]
        try:
            yield
        finally:
            for subscription in subscriptions:
                with suppress(nats.errors.Error, OSError):  # the connection is away, and they with it
                    await subscription.unsubscribe()

    async def _on_advisory(self, message: Msg) -> None:
        schema = names.schema_of_stream(message.subject.split(".")[_STREAM])
        if schema is not None and len(self._named) < constants.MOST_LOST_STREAMS_NAMED:  # the next full turn has all
            self._named.add(schema)
            self._hinted.set()

    async def _follow_hints(self) -> None:
        """Waits for some, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.NATS_LOOK_EVERY_S):
                await self._hinted.wait()
        self._hinted.clear()
        if self._named:
            named, self._named = self._named, set()
            await self._reconciler.reconcile(named)
            await asyncio.sleep(constants.LOST_STREAMS_REST_S)
