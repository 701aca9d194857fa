"""The HTTP API's frame: who may ask, what is recorded, and how a failure looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from local_discord import wire
from local_discord.errors import ApiError, invalid_form
from local_discord.world.core import Settings

BASE = "/api/v10"
_KEPT_REQUESTS = 10_000
_OPEN = ("/interactions/", "/webhooks/", "/gateway")
_AUTHENTICATED_ANYWAY = "/gateway/bot"


@dataclass
class Refusal:
    """What the next requests of a kind are answered with, whatever they ask. No `method` is every one."""

    path_part: str
    method: str | None
    status: int
    body: object
    headers: Mapping[str, str]
    times: int = 1

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request is one of those."""
        return self.path_part in path and self.method in (None, method)

    def response(self) -> web.Response:
        """Text goes as it is, everything else as JSON."""
        if not isinstance(self.body, str):
            response = answer(self.body, self.status)
        else:
            response = web.Response(text=self.body, status=self.status, content_type="text/plain")
        response.headers.update(self.headers)
        return response


class Frame:
    """A middleware around every route of the API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.requests: deque[tuple[str, str, int]] = deque(maxlen=_KEPT_REQUESTS)
        """The latest: method, path after `/api/v10`, status."""
        self._refusals: list[Refusal] = []
        self._failing: dict[str, int] = {}
        self._cut: list[str] = []

    def set_failing(self, path_part: str, status: int | None) -> None:
        """Answer every request whose path contains the part with that status, without a code; None: no more."""
        self._failing.pop(path_part, None)
        if status is not None:
            self._failing[path_part] = status

    def refuse_next(self, refusal: Refusal) -> None:
        """Answer the next requests that it concerns with it."""
        self._refusals.append(refusal)

    def end_refusals(self) -> None:
        """Those that are still to come do not."""
        self._refusals.clear()

    def rate_limit_next(self, path_part: str, retry_after: float) -> None:
        """Answer the next request whose path contains the part with 429; `retry_after` in seconds."""
        body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": False}
        # discord.py takes a 429 without `Via` for a ban by Cloudflare, and gives up.
        headers = {"Retry-After": str(retry_after), "Via": "1.1 local-discord"}
        self.refuse_next(Refusal(path_part, None, 429, body, headers))

    def middleware(self) -> Middleware:
        """Leaves alone what is asked outside the API."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith(BASE + "/"):
                return await handler(request)
            path = request.path.removeprefix(BASE)
            response = await self._answer(request, path, handler)
            self._cut_off(request, path)
            self.requests.append((request.method, path, response.status))
            return response

        return around

    def cut_next(self, path_part: str) -> None:
        """Take the next request whose path contains the part, and end its connection without an answer."""
        self._cut.append(path_part)

    def _cut_off(self, request: web.Request, path: str) -> None:
        part = next((part for part in self._cut if part in path), None)
        if part is not None and request.transport is not None:
            self._cut.remove(part)
            request.transport.abort()

    async def _answer(self, request: web.Request, path: str, handler: Handler) -> web.StreamResponse:
        try:
            if (refusal := self._refusal(request.method, path)) is not None:
                return refusal.response()
            if (status := self._failure(path)) is not None:
                raise ApiError(status, 0, f"{status}: out of order")
            if request.match_info.http_exception is None:
                self._authenticate(request, path)
            return await handler(request)
        except ApiError as error:
            return answer(error.body(), error.status)
        except web.HTTPException as error:
            return answer({"message": f"{error.status}: {error.reason}", "code": 0}, error.status)

    def _authenticate(self, request: web.Request, path: str) -> None:
        if path.startswith(_OPEN) and path != _AUTHENTICATED_ANYWAY:
            return
        if request.headers.get("Authorization") != f"Bot {self._settings.token}":
            raise ApiError(401, 0, "401: Unauthorized")

    def _failure(self, path: str) -> int | None:
        return next((status for part, status in self._failing.items() if part in path), None)

    def _refusal(self, method: str, path: str) -> Refusal | None:
        for refusal in self._refusals:
            if refusal.concerns(method, path):
                refusal.times -= 1
                if not refusal.times:
                    self._refusals.remove(refusal)
                return refusal
        return None


def answer(data: object, status: int = 200) -> web.Response:
    """JSON, with the content type to the letter as Discord gives it: clients compare it."""
    return web.Response(body=wire.encode(data), status=status, content_type="application/json")


def nothing() -> web.Response:
    """204, for what succeeds and has nothing to show."""
    return web.Response(status=204)


def number(request: web.Request, name: str) -> int:
    """A snowflake in the path; its pattern lets nothing else through."""
    return int(request.match_info[name])


def query_number(request: web.Request, name: str, default: int) -> int:
    """A snowflake or a count in the query; an `ApiError` for anything else."""
    text = request.query.get(name, str(default))
    if not text.isdigit():
        raise invalid_form((name,), f'Value "{text}" is not snowflake.')
    return int(text)
