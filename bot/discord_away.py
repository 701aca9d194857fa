"""What is made of Discord's not answering, or answering with an error, where the bot goes on and asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import discord

from bot import constants
from bot.errors import ServiceUnavailable
from bot.supervisor import backoff
from sandbox_worker import discord_answers

FAILURES = (discord.HTTPException, discord.GatewayNotFound, discord.RateLimited, aiohttp.ClientError, OSError)
"""All that a request of discord.py's may raise; the last two: there was no answer."""

_UNAUTHORIZED = 401
_TOO_MANY_REQUESTS = 429


class DiscordUnavailable(ServiceUnavailable):
    """Discord was not reached, or would not do it. `retry_after_s`: what it asks to be left in peace for, 0 if it says
    nothing."""

    def __init__(self, detail: str, retry_after_s: float = 0.0, *, service: str = "Discord") -> None:
        super().__init__(service, detail)
        self.retry_after_s = retry_after_s


def unavailable(error: BaseException, where: str, *, service: str = "Discord") -> DiscordUnavailable:
    """One of `FAILURES` as that."""
    answer = _answer(error)
    return DiscordUnavailable(f"{where}: {answer or type(answer).__name__}", retry_after_s(answer), service=service)


def refuses_token(error: BaseException) -> bool:
    """Whether one of `FAILURES` is Discord's answer to a token that it does not know."""
    return getattr(_answer(error), "status", None) == _UNAUTHORIZED


def is_refusal(error: BaseException) -> bool:
    """Whether it is Discord's definite no, which has a code: Cloudflare and proxies answer 403 and 404, too."""
    if not isinstance(error, discord.HTTPException) or error.code == 0:
        return False
    return 400 <= error.status < 500 and error.status != _TOO_MANY_REQUESTS


def retry_after_s(error: BaseException) -> float:
    """What one of `FAILURES` asks to be left in peace for; 0 if it does not say."""
    if isinstance(error, discord.RateLimited):
        return error.retry_after
    return discord_answers.retry_after_s(error.response.headers) if isinstance(error, discord.HTTPException) else 0.0


async def until_taken[T](send: Callable[[], Awaitable[T]], left_s: Callable[[], float]) -> T:
    """Sends until Discord has taken or refused it, or there are no seconds left; then the last of `FAILURES`."""
    for pause_s in backoff(constants.ANSWER_RETRY_S, constants.ANSWER_RETRY_LONGEST_S):
        try:
            return await send()
        except FAILURES as error:
            wait_s = max(pause_s, retry_after_s(error))
            if is_refusal(error) or wait_s >= left_s():
                raise
        await asyncio.sleep(wait_s)
    raise AssertionError  # the pauses never end


def _answer(error: BaseException) -> BaseException:
    """discord.py hides what it was that `/gateway/bot` was answered with."""
    return error.__cause__ if isinstance(error, discord.GatewayNotFound) and error.__cause__ else error
