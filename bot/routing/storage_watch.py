"""Notices when NATS answers and stores no events, as after its disk was full, until it is started again: none of any
stream, or of one that others go on without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
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


@dataclass(slots=True)
class Sign:
    """Something from which it is seen that events are not stored. `read` tells what is wrong, None if it is over."""

    lasts_s: Callable[[], float]
    patience_s: Callable[[], float]
    read: Callable[[], Awaitable[ServiceUnavailable | None]]
    cuts_off_others: bool = False
    """Then each start of the server makes the next one later: it may be that none mends it."""
    _restarts: int = 0

    def is_due(self) -> bool:
        """Whether it has lasted for too long."""
        lasts_s = self.lasts_s()
        if not lasts_s:
            self._restarts = 0
        return bool(lasts_s) and lasts_s >= self.patience_s() * 2**self._restarts

    def note_restart(self) -> None:
        """The server was started again for it."""
        if self.cuts_off_others:
            self._restarts += 1


class StorageWatch:
    """A part that fails for as long as nothing is stored, so that it is told when that begins and when it is over.

    The events wait meanwhile, here and at Discord.
    """

    def __init__(self, publisher: Publisher, client: Client, server: Server | None, trial: Trial | None = None) -> None:
        """`server` is None where it is its operator's to start again."""
        self._publisher, self._client, self._server = publisher, client, server
        self._signs = [Sign(lambda: publisher.oldest.waits_s, self._patience_s, self._read_oldest)]
        if server is not None:
            apart = Sign(lambda: publisher.apart_for_s, _mended_after_s, self._read_apart, cuts_off_others=True)
            self._signs.append(apart)
        if trial is not None:
            self._signs.append(Sign(lambda: trial.fails_for_s, self._patience_s, partial(_try_again, trial)))

    async def run(self, part: Part) -> None:
        """Look for ever."""
        while True:
            await self._look(part)
            await asyncio.sleep(constants.STORING_LOOKED_AT_EVERY_S)

    async def _look(self, part: Part) -> None:
        for sign in self._signs:
            if not sign.is_due():
                continue
            if not await self._answers():
                return
            if failure := await sign.read():
                if await self._mend(part, failure):
                    sign.note_restart()
                return
        part.running()

    def _patience_s(self) -> float:
        if self._publisher.oldest.reason:
            return constants.NOT_STORED_AS_IT_SAYS_S
        return constants.NOT_STORED_TOLD_AFTER_S if self._server is None else _mended_after_s()

    async def _read_oldest(self) -> ServiceUnavailable:
        oldest = self._publisher.oldest
        trouble = oldest.reason or f"no event was acknowledged for {oldest.waits_s:.0f} s"
        return ServiceUnavailable("NATS", trouble, lack=oldest.lack)

    async def _read_apart(self) -> ServiceUnavailable:
        trouble = f"a stream has acknowledged no event for {self._publisher.apart_for_s:.0f} s"
        return ServiceUnavailable("NATS", trouble)

    async def _answers(self) -> bool:
        """Whether NATS is there at all: that it is not is told by others, and no restart of ours would help."""
        try:
            await flush(self._client)
        except FAILURES:
            return False
        return True

    async def _mend(self, part: Part, failure: ServiceUnavailable) -> bool:
        """Whether the server was started again."""
        if self._server is None or failure.lack is Lack.STORAGE:  # it would be as full after a restart
            part.failing(failure)
            return False
        hindrance = await self._server.hindrance()
        part.failing(hindrance or failure)
        return hindrance is None and await self._server.restart(failure.detail)


def _mended_after_s() -> float:
    return constants.NOT_STORED_MENDED_AFTER_S


async def _try_again(trial: Trial) -> ServiceUnavailable | None:
    """What was not stored may have been asked of a server that stood still."""
    try:
        await trial.ask()
    except ServiceUnavailable as error:
        return error
    return None
