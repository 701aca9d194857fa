"""Notices when NATS answers and stores no events, as after its disk was full, until it is started again: none of any
stream, or of one that others go on without."""

from __future__ import annotations

import asyncio
from typing import Protocol

from nats.aio.client import Client

from bot import constants
from bot.errors import Lack, ServiceUnavailable
from bot.routing.publisher import Publisher
from bot.stores.nats_client import FAILURES, flush
from bot.supervisor import Part


class Server(Protocol):
    """The server, where this process runs it."""

    async def hindrance(self) -> ServiceUnavailable | None:
        """Why a restart would not help."""

    async def restart(self, reason: str) -> bool:
        """Have it started again, unless it was just now; whether it was done."""


class Trial(Protocol):
    """Something small that is stored now and then to see whether it is, also while no events come."""

    @property
    def fails_for_s(self) -> float:
        """0 if the last one was stored."""

    async def ask(self) -> None:
        """Try it once more; `ServiceUnavailable` if it isn't stored."""


class StorageWatch:
    """A part that fails for as long as nothing is stored, so that it is told when that begins and when it is over.

    The events wait meanwhile, here and at Discord.
    """

    def __init__(self, publisher: Publisher, client: Client, server: Server | None, trial: Trial | None = None) -> None:
        """`server` is None where it is its operator's to start again."""
        self._publisher, self._client, self._server, self._trial = publisher, client, server, trial
        self._apart_patience_s = constants.NOT_STORED_MENDED_AFTER_S

    async def run(self, part: Part) -> None:
        """Look for ever."""
        while True:
            await self._look(part)
            await asyncio.sleep(constants.STORING_LOOKED_AT_EVERY_S)

    async def _look(self, part: Part) -> None:
        oldest, apart_for_s = self._publisher.oldest, self._publisher.apart_for_s
        if oldest.waits_s >= self._patience_s():
            if await self._answers():
                trouble = oldest.reason or f"no event was acknowledged for {oldest.waits_s:.0f} s"
                await self._mend(part, trouble, oldest.lack)
        elif self._server is not None and apart_for_s >= self._apart_patience_s:
            await self._mend_stream(part, f"a stream has acknowledged no event for {apart_for_s:.0f} s")
        elif failure := await self._failed_trial():
            await self._mend(part, failure.detail, failure.lack)
        else:
            part.running()
            if not apart_for_s:
                self._apart_patience_s = constants.NOT_STORED_MENDED_AFTER_S

    async def _mend_stream(self, part: Part, trouble: str) -> None:
        """Others are cut off for it, so the next time later: it may be one that no start mends."""
        if await self._mend(part, trouble, None):
            self._apart_patience_s *= 2

    async def _failed_trial(self) -> ServiceUnavailable | None:
        """Once more before anything is done: what was not stored may have been asked of a server that stood still."""
        if self._trial is None or self._trial.fails_for_s < self._patience_s() or not await self._answers():
            return None
        try:
            await self._trial.ask()
        except ServiceUnavailable as error:
            return error
        return None

    def _patience_s(self) -> float:
        if self._publisher.oldest.reason:
            return constants.NOT_STORED_AS_IT_SAYS_S
        return constants.NOT_STORED_TOLD_AFTER_S if self._server is None else constants.NOT_STORED_MENDED_AFTER_S

    async def _answers(self) -> bool:
        """Whether NATS is there at all: that it is not is told by others, and no restart of ours would help."""
        try:
            await flush(self._client)
        except FAILURES:
            return False
        return True

    async def _mend(self, part: Part, trouble: str, lack: Lack | None) -> bool:
        """Whether the server was started again."""
        failure = ServiceUnavailable("NATS", trouble, lack=lack)
        if self._server is None or lack is Lack.STORAGE:  # it would be as full after a restart
            part.failing(failure)
            return False
        hindrance = await self._server.hindrance()
        part.failing(hindrance or failure)
        return hindrance is None and await self._server.restart(trouble)
