"""How long Discord may leave a start without any answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp

from bot import constants
from bot.errors import ServiceUnavailable


class SilenceLimit:
    """Ends a start during which Discord answers nothing at one of its addresses: the API and the gateway have one each.

    A refusal is an answer; where nothing is asked there is no silence.
    """

    def __init__(self) -> None:
        self.trace = aiohttp.TraceConfig()
        """For the session whose requests count, those for a WebSocket too."""
        self.trace.on_request_start.append(self._on_request)
        self.trace.on_request_end.append(self._on_answer)
        self.trace.on_request_exception.append(self._on_failure)
        self._limit: asyncio.Timeout | None = None
        self._silent_until: dict[str, float] = {}
        self._last_failure = "it does not answer"

    @asynccontextmanager
    async def limited(self, where: str) -> AsyncIterator[None]:
        """`ServiceUnavailable` with the last failure when what runs inside has asked for `DISCORD_SILENT_FOR_S` seconds
        in vain, unless the limit was lifted before."""
        try:
            async with asyncio.timeout(None) as limit:
                self._limit = limit
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise ServiceUnavailable("Discord", f"{where}: {self._last_failure}") from None
        finally:
            self._limit = None

    def lift(self) -> None:
        """From now on silence is an outage, which ends by itself."""
        self._silent_until.clear()
        self._reschedule()
        self._limit = None

    async def _on_request(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, asked: aiohttp.TraceRequestStartParams
    ) -> None:
        if self._limit is not None:
            ends_at = asyncio.get_running_loop().time() + constants.DISCORD_SILENT_FOR_S
            self._silent_until.setdefault(asked.url.authority, ends_at)
            self._reschedule()

    async def _on_answer(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, answered: aiohttp.TraceRequestEndParams
    ) -> None:
        self._silent_until.pop(answered.url.authority, None)
        self._reschedule()

    async def _on_failure(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, failed: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if not isinstance(failed.exception, asyncio.CancelledError):
            self._last_failure = str(failed.exception) or type(failed.exception).__name__

    def _reschedule(self) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(min(self._silent_until.values(), default=None))
