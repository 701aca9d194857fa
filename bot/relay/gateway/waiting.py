"""Questions that a client's events wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.relay.fairness import TooManyRequests
from bot.relay.upstream import DiscordAway, Refused
from bot.supervisor import backoff


async def until_answered[T](sandbox_id: UUID, ask: Callable[[], Awaitable[T]]) -> T:
    """While PostgreSQL or Discord is away the client waits: the stream keeps what it misses."""
    for pause in backoff(constants.RELAY_ASKS_AGAIN_AFTER_S, constants.RELAY_ASKS_AGAIN_AFTER_S * 8):
        try:
            return await ask()
        except (ServiceUnavailable, DiscordAway, TooManyRequests, Refused) as error:
            logger.debug("a client of the relay waits", sandbox=str(sandbox_id), error=repr(error))
        await asyncio.sleep(pause)
    raise AssertionError  # the pauses never end
