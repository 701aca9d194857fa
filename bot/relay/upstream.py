"""Discord's HTTP API as the relay asks it, with the application's own token, which goes nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import aiohttp
import orjson
from yarl import URL

from bot import constants
from bot.relay.fairness import FairQueue, InvalidRequests

_USER_AGENT = "DiscordBot (discord-sandboxes, 0.2)"


@dataclass(frozen=True, slots=True)
class Answer:
    """What Discord has answered, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """`ValueError` if it is none."""
        return orjson.loads(self.body)

    @property
    def code(self) -> int | None:
        """Discord's own code of an error; None if it says none."""
        try:
            code = self.json().get("code")
        except (ValueError, AttributeError):
            return None
        return code if isinstance(code, int) else None

    @property
    def snowflake(self) -> int | None:
        """The id of what it shows; None if it shows no one thing."""
        try:
            return int(self.json()["id"])
        except (ValueError, TypeError, KeyError):
            return None


class DiscordAway(Exception):
    """Discord gives no answer, or none that is meant for a bot."""


class Refused(Exception):
    """Discord's definite no to a question of the relay's own."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.status)


class Upstream:
    """`async with` it. One session for all sandboxes, who take turns."""

    def __init__(self, api_base: str, token: str) -> None:
        self._base, self._token = api_base.rstrip("/"), token
        self.queue, self._invalid = FairQueue(), InvalidRequests()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=constants.RELAY_DISCORD_WITHIN_S)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | aiohttp.FormData | None = None,
        authorized: bool = True,
        sandbox_id: UUID | None = None,
    ) -> Answer:
        """`path` begins with a slash. `authorized`: with the application's token; what has a token of its own in its
        path goes without. For a sandbox it waits for its turn: `TooManyRequests` if that has asked too much.
        `DiscordAway` if nothing comes back."""
        if sandbox_id is not None:
            self._invalid.require_few(sandbox_id)
            await self.queue.turn(sandbox_id)
        answer = await self._send(method, path, query, headers or {}, body, authorized)
        self._heed(answer, path, sandbox_id)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | aiohttp.FormData | None,
        authorized: bool,
    ) -> Answer:
        assert self._session is not None
        sent = {"User-Agent": _USER_AGENT, **headers}
        if authorized:
            sent["Authorization"] = f"Bot {self._token}"
        url = f"{self._base}{path}?{query}" if query else self._base + path
        try:
            # Encoded already, and a redirect would carry the token to wherever it leads.
            async with self._session.request(
                method, URL(url, encoded=True), data=body, headers=sent, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers.copy(), await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise DiscordAway(repr(error)) from error

    def _heed(self, answer: Answer, path: str, sandbox_id: UUID | None) -> None:
        is_global = answer.status == 429 and answer.headers.get("X-RateLimit-Global", "").lower() == "true"
        if is_global:
            self.queue.pause(_seconds(answer.headers.get("Retry-After")))
        gone = answer.status == 404 and path.startswith("/webhooks/")
        if sandbox_id is not None and (is_global or gone or answer.status in (401, 403)):
            self._invalid.count(sandbox_id)

    async def get(self, path: str, query: str = "", *, sandbox_id: UUID | None = None) -> Any:
        """JSON. `Refused` for what is no success, and as for `request`."""
        answer = await self.request("GET", path, query=query, sandbox_id=sandbox_id)
        if answer.status >= 500 or answer.status == 429:
            raise DiscordAway(f"Discord answers {answer.status}")
        if answer.status >= 300:
            raise Refused(answer)
        return answer.json()


def _seconds(text: str | None) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 1.0
