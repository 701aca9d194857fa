"""Answers to interactions over Discord's HTTP API. Id and token of the interaction are all the authority they take."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import aiohttp
import orjson

from bot.errors import ServiceUnavailable
from sandbox_worker.errors import InteractionFailed

MESSAGE, DEFERRED_MESSAGE = 4, 5
_EPHEMERAL = 64
_TRIES = 3
_HEADERS = {"Content-Type": "application/json"}
_TIMEOUT = aiohttp.ClientTimeout(total=15)

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
    """`InteractionFailed` if Discord says no, `ServiceUnavailable` if it does not answer."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session: aiohttp.ClientSession | None = None

    async def respond(self, interaction: Json, kind: int, data: Json | None) -> None:
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        await self._call("POST", f"interactions/{interaction['id']}/{interaction['token']}/callback", body)

    async def edit_reply(self, interaction: Json, body: Json) -> None:
        await self._call("PATCH", f"{_webhook(interaction)}/messages/@original", body)

    async def follow_up(self, interaction: Json, body: Json) -> None:
        await self._call("POST", _webhook(interaction), body)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, path: str, body: Json) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, headers=_HEADERS)
        for attempt in range(_TRIES):
            try:
                async with self._session.request(method, f"{self._base}/{path}", data=orjson.dumps(body)) as response:
                    if response.ok:
                        return
                    told = _read(await response.read())
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ServiceUnavailable("Discord", type(error).__name__) from error  # its text may have the token
            if response.status != 429 or attempt == _TRIES - 1:
                raise InteractionFailed(response.status, int(told.get("code", 0)), str(told.get("message", "")))
            await asyncio.sleep(float(told.get("retry_after", 1)))


def _webhook(interaction: Json) -> str:
    return f"webhooks/{interaction['application_id']}/{interaction['token']}"


def _read(body: bytes) -> Json:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
