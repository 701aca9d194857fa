"""Answers to interactions over Discord's HTTP API. Id and token of the interaction are all the authority they take."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import aiohttp
import msgspec

from sandbox_worker import constants
from sandbox_worker.errors import InteractionFailed, ServiceUnavailable

MESSAGE, DEFERRED_MESSAGE = 4, 5
_EPHEMERAL = 64
_HEADERS = {"Content-Type": "application/json"}

Json: TypeAlias = dict[str, Any]


def message(content: str = "", *, ephemeral: bool = False, **fields: Any) -> Json:
    """Discord's form of a message; without content it is left as it was."""
    body = dict(fields)
    if content:
        body["content"] = content
    if ephemeral:
        body["flags"] = int(body.get("flags", 0)) | _EPHEMERAL
    return body


class DiscordApi:
    """`InteractionFailed` if Discord says no, `ServiceUnavailable` if it does not answer.

    An interaction is the `d` of its INTERACTION_CREATE.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._session: aiohttp.ClientSession | None = None

    async def respond(self, interaction: Json, kind: int, data: Json | None) -> None:
        """The first answer; `kind` is Discord's interaction callback type."""
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        await self._call("POST", f"interactions/{interaction['id']}/{interaction['token']}/callback", body)

    async def edit_reply(self, interaction: Json, body: Json) -> None:
        """Changes the first answer."""
        await self._call("PATCH", f"{_webhook(interaction)}/messages/@original", body)

    async def follow_up(self, interaction: Json, body: Json) -> None:
        """One more message."""
        await self._call("POST", _webhook(interaction), body)

    async def close(self) -> None:
        """Safe if nothing was ever sent."""
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, path: str, body: Json) -> None:
        """Later, and once more, if Discord wants it so."""
        for attempt in range(constants.DISCORD_TRIES):
            status, told = await self._send(method, path, msgspec.json.encode(body))
            if status < 400:
                return
            if status != 429 or attempt == constants.DISCORD_TRIES - 1:
                raise InteractionFailed(status, int(told.get("code", 0)), str(told.get("message", "")))
            await asyncio.sleep(float(told.get("retry_after", 1)))

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, Json]:
        """The HTTP status, and what Discord says; empty if that is no JSON object."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=constants.DISCORD_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, headers=_HEADERS)
        try:
            async with self._session.request(method, f"{self._base}/{path}", data=body) as response:
                return response.status, _read(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServiceUnavailable("Discord", type(error).__name__) from error  # its text may have the token


def _webhook(interaction: Json) -> str:
    return f"webhooks/{interaction['application_id']}/{interaction['token']}"


def _read(body: bytes) -> Json:
    try:
        told = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return {}
    return told if isinstance(told, dict) else {}
