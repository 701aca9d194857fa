"""What is made of Discord's not answering, or answering with an error, where the bot goes on and asks again."""

from __future__ import annotations

import aiohttp
import discord

from bot.errors import ServiceUnavailable

FAILURES = (discord.HTTPException, discord.GatewayNotFound, discord.RateLimited, aiohttp.ClientError, OSError)
"""All that a request of discord.py's may raise; the last two: there was no answer."""

_UNAUTHORIZED = 401


class DiscordUnavailable(ServiceUnavailable):
    """Discord was not reached, or would not do it. `retry_after_s`: what it asks to be left in peace for, 0 if it says
    nothing."""

    def __init__(self, detail: str, retry_after_s: float = 0.0, *, service: str = "Discord") -> None:
        super().__init__(service, detail)
        self.retry_after_s = retry_after_s


def unavailable(error: BaseException, where: str, *, service: str = "Discord") -> DiscordUnavailable:
    """One of `FAILURES` as that."""
    answer = _answer(error)
    return DiscordUnavailable(f"{where}: {answer or type(answer).__name__}", _retry_after_s(answer), service=service)


def refuses_token(error: BaseException) -> bool:
    """Whether one of `FAILURES` is Discord's answer to a token that it does not know."""
    return getattr(_answer(error), "status", None) == _UNAUTHORIZED


def _answer(error: BaseException) -> BaseException:
    """discord.py hides what it was that `/gateway/bot` was answered with."""
    return error.__cause__ if isinstance(error, discord.GatewayNotFound) and error.__cause__ else error


def _retry_after_s(answer: BaseException) -> float:
    if isinstance(answer, discord.RateLimited):
        return answer.retry_after
    if not isinstance(answer, discord.HTTPException):
        return 0.0
    try:
        return max(0.0, float(answer.response.headers.get("Retry-After", 0)))
    except ValueError:  # a date, which nobody has seen Discord send
        return 0.0
