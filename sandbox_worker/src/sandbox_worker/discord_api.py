"""Answers to interactions over Discord's HTTP API. Id and token of the interaction are all the authority they take."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import Any

import aiohttp
import msgspec

from sandbox_worker import constants
from sandbox_worker.discord_answers import Json, is_refusal, read_object, retry_after_s
from sandbox_worker.errors import DiscordUnavailable, InteractionFailed

MESSAGE, DEFERRED_MESSAGE = 4, 5
_EPHEMERAL = 64
_HEADERS = {"Content-Type": "application/json"}
_ANSWERED_ALREADY = 40060
_TOO_MANY_REQUESTS = 429
_SHORTEST_TRY_S = 0.1  # aiohttp takes 0 and less for no limit

_logger = logging.getLogger(__name__)


def message(content: str = "", *, ephemeral: bool = False, **fields: Any) -> Json:
    """Discord's form of a message; without content it is left as it was."""
    body = dict(fields)
    if content:
        body["content"] = content
    if ephemeral:
        body["flags"] = int(body.get("flags", 0)) | _EPHEMERAL
    return body


class DiscordApi:
    """`InteractionFailed` if Discord says no. Until it says something definite it is asked again, as long as it takes
    answers to an interaction; then `DiscordUnavailable`.

    An interaction is the `d` of its INTERACTION_CREATE.
    """

    def __init__(self, base: str, *, trust: ssl.SSLContext) -> None:
        self._base, self._trust = base, trust
        self._session: aiohttp.ClientSession | None = None

    async def respond(self, interaction: Json, kind: int, data: Json | None) -> None:
        """The first answer; `kind` is Discord's interaction callback type. Never given twice: Discord refuses that."""
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        path = f"interactions/{interaction['id']}/{interaction['token']}/callback"
        tries = _Tries(constants.FIRST_ANSWER_WITHIN_S, constants.FIRST_ANSWER_TRY_S)
        try:
            await self._call("POST", path, body, tries)
        except InteractionFailed as refusal:
            if not (tries.may_be_taken and refusal.discord_code == _ANSWERED_ALREADY):
                raise

    async def edit_reply(self, interaction: Json, body: Json) -> None:
        """Changes the first answer."""
        await self._call("PATCH", f"{_webhook(interaction)}/messages/@original", body, _later())

    async def follow_up(self, interaction: Json, body: Json) -> None:
        """One more message; two, where Discord took it and the connection was lost before it said so. Discord has no
        means to tell, and a message too many is less of a loss than none."""
        await self._call("POST", _webhook(interaction), body, _later())

    async def close(self) -> None:
        """Safe if nothing was ever sent."""
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, path: str, body: Json, tries: _Tries) -> None:
        content = msgspec.json.encode(body)
        while True:
            try:
                await self._send(method, path, content, tries.timeout())
            except _NoAnswerError as trouble:
                await tries.wait_for_next(trouble)
            else:
                return

    async def _send(self, method: str, path: str, content: bytes, timeout: aiohttp.ClientTimeout) -> None:
        """One try. A redirect would carry the token to wherever it leads, so none is followed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=_HEADERS)
        try:
            async with self._session.request(
                method, f"{self._base}/{path}", data=content, timeout=timeout, allow_redirects=False, ssl=self._trust
            ) as response:
                _require_taken(response, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            is_unsent = isinstance(error, aiohttp.ClientConnectorError)
            raise _NoAnswerError(type(error).__name__, is_unsent=is_unsent) from error  # its text may have the token


class _NoAnswerError(Exception):
    """No definite one. `is_unsent`: Discord has not taken it for certain."""

    def __init__(self, detail: str, *, is_unsent: bool, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.detail, self.is_unsent, self.retry_after_s = detail, is_unsent, retry_after_s


class _Tries:
    """To have one answer taken, until the time for it is over."""

    def __init__(self, within_s: float, each_s: float) -> None:
        self._within_s, self._each_s = within_s, each_s
        self._began_at, self._count, self._pause_s = time.monotonic(), 0, constants.DISCORD_RETRY_DELAY_S
        self.may_be_taken = False
        """Discord has it perhaps, although it has not said so."""

    def timeout(self) -> aiohttp.ClientTimeout:
        """For the next one."""
        left_s = max(self._within_s - self._elapsed_s(), _SHORTEST_TRY_S)
        return aiohttp.ClientTimeout(total=min(self._each_s, left_s))

    async def wait_for_next(self, trouble: _NoAnswerError) -> None:
        """`DiscordUnavailable` if the time would be over by then."""
        self._count += 1
        self.may_be_taken |= not trouble.is_unsent
        pause_s, elapsed_s = max(self._pause_s, trouble.retry_after_s), self._elapsed_s()
        if elapsed_s + pause_s >= self._within_s:
            raise DiscordUnavailable(trouble.detail, self._count, elapsed_s) from trouble
        if self._count == 1:
            _logger.warning("Discord takes no answer (%s): tried again for %g s", trouble.detail, self._within_s)
        self._pause_s = min(2 * self._pause_s, constants.LONGEST_DISCORD_RETRY_DELAY_S)
        await asyncio.sleep(pause_s)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_at


def _later() -> _Tries:
    return _Tries(constants.LATER_ANSWERS_WITHIN_S, constants.LATER_ANSWER_TRY_S)


def _require_taken(response: aiohttp.ClientResponse, body: bytes) -> None:
    """`InteractionFailed` if Discord says no, `_NoAnswerError` if what answers is not Discord, or has trouble."""
    status, told = response.status, read_object(body)
    if status < 300 and (told is not None or not body):
        return
    if told is not None and is_refusal(status, told):
        raise InteractionFailed(status, told["code"], str(told.get("message", "")))
    wait_s = retry_after_s(response.headers, told)
    detail = f"{status}, to be asked again in {wait_s:g} s" if wait_s else str(status)
    raise _NoAnswerError(detail, is_unsent=status == _TOO_MANY_REQUESTS, retry_after_s=wait_s)


def _webhook(interaction: Json) -> str:
    return f"webhooks/{interaction['application_id']}/{interaction['token']}"
