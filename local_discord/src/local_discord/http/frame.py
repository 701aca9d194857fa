"""The HTTP API's frame: who may ask, what is recorded, and how a failure looks."""

from __future__ import annotations

import logging
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

from aiohttp import web

from local_discord import wire
from local_discord.errors import ApiError, invalid_form
from local_discord.http.operations import Asked, Operation, find
from local_discord.http.rate_limits import RateLimits, too_many
from local_discord.snowflakes import is_snowflake
from local_discord.world.core import Settings

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

_log = logging.getLogger("local_discord")
_BASE = re.compile(r"/api(?:/v(?P<version>\d+))?(?P<path>/.*)")
_VERSIONS = (None, "9", "10")
_KEPT_REQUESTS = 10_000
_CALLBACK = "POST /interactions/{interaction_id}/{interaction_token}/callback"
"""Has no limit, and tells of none: hikari is surprised by one."""
# aiohttp before 3.14 takes plain names, and warns of them since.
_key: Callable[[str, type], Any] = getattr(web, "RequestKey", lambda name, _: name)
ASKED, CHECKS_FIELDS = _key("asked", Asked), _key("checks_fields", bool)
"""Under which a request carries what it asks for, and whether its form may have no field that Discord does not know."""


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
    """Around every operation of the API."""

    def __init__(self, settings: Settings, handlers: Mapping[str, Handler]) -> None:
        self._settings = settings
        self._handlers = handlers
        self._limits = RateLimits(settings)
        self.requests: deque[tuple[str, str, int]] = deque(maxlen=_KEPT_REQUESTS)
        """The latest: method, path after `/api/v10`, status."""
        self.missed: Counter[str] = Counter()
        """How often an operation was asked for that is not served."""
        self.on_missed: list[Callable[[], object]] = []
        """Called after each of those."""
        self._refusals: list[Refusal] = []
        self._failing: dict[str, int] = {}
        self._cuts: list[tuple[str, bool]] = []

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
        body, headers = too_many(retry_after)
        self.refuse_next(Refusal(path_part, None, 429, body, headers))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked below `/api`, with a version or without one."""
        found = _BASE.fullmatch(request.path)
        path = found["path"] if found else request.path
        cut = next((cut for cut in self._cuts if cut[0] in path), None)
        if cut is not None:
            self._cuts.remove(cut)
        is_taken = cut is None or cut[1]
        response = await self._answer(request, path) if is_taken else web.Response(status=503)
        if cut is not None and request.transport is not None:
            request.transport.abort()
        self.requests.append((request.method, path, response.status))
        return response

    def cut_next(self, path_part: str, *, taken: bool) -> None:
        """Take the next request whose path contains the part, or do not, and end its connection without an answer."""
        self._cuts.append((path_part, taken))

    async def _answer(self, request: web.Request, path: str) -> web.StreamResponse:
        try:
            if (refusal := self._refusal(request.method, path)) is not None:
                return refusal.response()
            if (status := self._failure(path)) is not None:
                raise ApiError(status, 0, f"{status}: out of order")
            asked = _asked(request)
            self._authenticate(request, asked.operation)
            return await self._within_limits(request, asked)
        except ApiError as error:
            return answer(error.body(), error.status)

    async def _within_limits(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.operation.name == _CALLBACK:
            return await self._carry_out(request, asked)
        bucket = self._limits.bucket(asked)
        if (empty := self._limits.exceeded(bucket)) is not None:
            body, headers = too_many(empty.reset_after, empty.scope)
            response = answer(body, 429)
            response.headers.update(headers)
        else:
            response = await self._carry_out(request, asked)
        response.headers.update(bucket.headers())
        return response

    async def _carry_out(self, request: web.Request, asked: Asked) -> web.Response:
        request[ASKED] = asked
        request[CHECKS_FIELDS] = self._settings.refuses_unknown_fields
        handler = self._handlers.get(asked.operation.name)
        try:
            if handler is None:
                raise self._not_served(asked.operation)
            return await handler(request)
        except ApiError as error:
            return answer(error.body(), error.status)
        except web.HTTPException as error:
            return answer({"message": f"{error.status}: {error.reason}", "code": 0}, error.status)

    def _not_served(self, operation: Operation) -> ApiError:
        """Told in the log once for each operation, and counted each time."""
        told = f"The local Discord does not serve {operation.name}."
        if operation.name not in self.missed:
            _log.warning(told)
        self.missed[operation.name] += 1
        for watcher in self.on_missed:
            watcher()
        return ApiError(501, 0, told)

    def _authenticate(self, request: web.Request, operation: Operation) -> None:
        if operation.needs_token and request.headers.get("Authorization") != f"Bot {self._settings.token}":
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
    """A snowflake in the path; nothing else was let through."""
    return int(word(request, name))


def word(request: web.Request, name: str) -> str:
    """Whatever stands in that place of the path."""
    return places(request)[name]


def places(request: web.Request) -> Mapping[str, str]:
    """The words in the places of the path."""
    asked: Asked = request[ASKED]
    return asked.places


def query_number(request: web.Request, name: str, default: int) -> int:
    """A snowflake or a count in the query; an `ApiError` for anything else."""
    text = request.query.get(name, str(default))
    if not is_snowflake(text):
        raise invalid_form((name,), f'Value "{text}" is not snowflake.')
    return int(text)


def reason_of(request: web.Request) -> str | None:
    """Why the bot does it, for the audit log; it may be percent-encoded."""
    text = request.headers.get("X-Audit-Log-Reason")
    return unquote(text) if text else None


def query_flag(request: web.Request, name: str) -> bool:
    """Whether the query says yes; by default it says no."""
    return request.query.get(name, "").lower() in ("1", "true")


def _asked(request: web.Request) -> Asked:
    found = _BASE.fullmatch(request.rel_url.raw_path)
    if found is None:
        raise ApiError(404, 0, "404: Not Found")
    if found["version"] not in _VERSIONS:
        raise ApiError(400, 50041, "Invalid API version provided.")
    return find(request.method, found["path"])
