"""Answers in Discord's form."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import hdrs, web

from bot.relay.upstream import Answer

_PASSED_BACK = ("retry-after", "via", "x-ratelimit-")


class Denied(Exception):
    """An answer in Discord's form: HTTP status, Discord's code, and a sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def response(self) -> web.Response:
        """As libraries read it."""
        return answered({"message": str(self), "code": self.code}, self.status)


def missing_access(why: str) -> Denied:
    """Discord's own code for what a bot may not see."""
    return Denied(403, 50001, f"Missing Access ({why})")


def answered(data: Any, status: int = 200) -> web.Response:
    """JSON, with the content type to the letter as Discord gives it: clients compare it."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def too_many_requests(retry_after_s: float) -> web.Response:
    """With what libraries read: discord.py takes one without `Via` for a ban, and gives up."""
    wait = round(max(retry_after_s, 0.1), 3)
    response = answered({"message": "You are being rate limited.", "retry_after": wait, "global": False}, 429)
    response.headers.update({"Retry-After": str(wait), "Via": "1.1 relay", "X-RateLimit-Scope": "shared"})
    return response


def passed_back(answer: Answer) -> web.Response:
    """What Discord has said, with the headers that libraries pace themselves by."""
    headers = {name: value for name, value in answer.headers.items() if name.lower().startswith(_PASSED_BACK)}
    kind = answer.headers.get(hdrs.CONTENT_TYPE, "application/json")
    typed: dict[str, str] = {hdrs.CONTENT_TYPE: kind} if answer.body else {}  # clients read whatever has a type
    return web.Response(status=answer.status, body=answer.body or None, headers={**headers, **typed})
