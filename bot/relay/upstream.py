"""Discord's HTTP API as the relay asks it, with the application's own token, which goes nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import aiohttp
import orjson
from yarl import URL

from bot import constants
from bot.relay.fairness import FairQueue, InvalidRequests
from bot.supervisor import backoff
from sandbox_worker.discord_answers import Json, is_refusal, read_object, retry_after_s

_USER_AGENT = "DiscordBot (discord-sandboxes, 0.2)"
_TOO_MANY_REQUESTS, _UNAUTHORIZED = 429, 401


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
    def told(self) -> Json | None:
        """As all that Discord says of an error is; None if it is none."""
        return read_object(self.body)

    @property
    def code(self) -> int | None:
        """Discord's own code of an error; None if it says none."""
        code = (self.told or {}).get("code")
        return code if isinstance(code, int) else None

    @property
    def is_definite(self) -> bool:
        """Whether it is done, or Discord's own no: it may have trouble, and Cloudflare and proxies answer too."""
        return self.status < 300 or is_refusal(self.status, self.told)

    @property
    def concerns_all(self) -> bool:
        """A 429 that is about the application or its address: of Discord's global limit, or of Cloudflare."""
        is_global = self.headers.get("X-RateLimit-Global", "").lower() == "true"
        return self.status == _TOO_MANY_REQUESTS and (is_global or self.told is None)

    @property
    def snowflake(self) -> int | None:
        """The id of what it shows; None if it shows no one thing."""
        try:
            return int(self.json()["id"])
        except (ValueError, TypeError, KeyError):
            return None


class DiscordAway(Exception):
    """Discord gives no answer, or none that is meant for a bot. It asks to be left in peace for `retry_after_s`."""

    def __init__(self, detail: str, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Refused(Exception):
    """Discord's definite no to a question of the relay's own."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.status)


class Upstream:
    """`async with` it. One session for all sandboxes, who take turns."""

    def __init__(self, api_base: str, token: str) -> None:
        self._base, self._token = api_base.rstrip("/"), token
        self.queue, self.invalid = FairQueue(), InvalidRequests()
        self.answers: Counter[str] = Counter()
        """Of Discord, by the class of their status, but 429 by itself; `none` where nothing came back."""
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
        `DiscordAway` if nothing comes back, or it asks to be left in peace."""
        if sandbox_id is not None:
            self.invalid.require_few(sandbox_id)
            await self.queue.turn(sandbox_id)
        elif (left_s := self.queue.pause_left_s) > 0:
            raise DiscordAway("Discord asks to be left in peace", left_s)
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
            self.answers["none"] += 1
            raise DiscordAway(repr(error)) from error

    def _heed(self, answer: Answer, path: str, sandbox_id: UUID | None) -> None:
        is_limit = answer.status == _TOO_MANY_REQUESTS
        self.answers[str(answer.status) if is_limit else f"{answer.status // 100}xx"] += 1
        if answer.concerns_all:
            self.queue.pause(retry_after_s(answer.headers, answer.told) or constants.RELAY_PAUSE_S)
        gone = answer.status == 404 and path.startswith("/webhooks/")
        if sandbox_id is not None and (answer.concerns_all or gone or answer.status in (401, 403)):
            self.invalid.count(sandbox_id)

    async def get(self, path: str, query: str = "", *, authorized: bool = True, sandbox_id: UUID | None = None) -> Any:
        """JSON, asked for again for some seconds while Discord says nothing definite; then `DiscordAway`. `Refused` for
        its no, and as for `request`."""
        ends_at = time.monotonic() + constants.RELAY_ASKS_FOR_S
        for pause_s in backoff(constants.RELAY_ASKS_AGAIN_AFTER_S / 2, constants.RELAY_ASKS_FOR_S):
            try:
                answer = await self.request("GET", path, query=query, authorized=authorized, sandbox_id=sandbox_id)
                return _json(answer, authorized=authorized)
            except DiscordAway as away:
                wait_s = max(pause_s, away.retry_after_s)
                if time.monotonic() + wait_s >= ends_at:
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError  # the pauses never end


def _json(answer: Answer, *, authorized: bool) -> Any:
    if not answer.is_definite or (authorized and answer.status == _UNAUTHORIZED):  # the token is not the asker's
        raise DiscordAway(f"Discord answers {answer.status}", retry_after_s(answer.headers, answer.told))
    if answer.status >= 300:
        raise Refused(answer)
    try:
        return answer.json()
    except ValueError as error:
        raise DiscordAway("what answers is not Discord") from error
