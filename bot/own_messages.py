"""Which private answers with buttons are the bot's own: a copy of its button may stand in any message of a worker's."""

from __future__ import annotations

import asyncio

import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import constants, names


class OwnMessages:
    """Their ids, in Redis for a day: what is not there is only answered anew, instead of being changed in place."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def add(self, message_id: int) -> None:
        """Without Redis it is not remembered."""
        try:
            async with asyncio.timeout(constants.OWN_MESSAGES_ANSWER_WITHIN_S):
                await self._client.set(names.own_message_key(message_id), 1, ex=constants.OWN_MESSAGE_TTL_S)
        except (RedisError, OSError) as error:
            logger.debug("an answer is not remembered", error=repr(error))

    async def includes(self, message_id: int) -> bool:
        """False if that is not known."""
        try:
            async with asyncio.timeout(constants.OWN_MESSAGES_ANSWER_WITHIN_S):
                return bool(await self._client.exists(names.own_message_key(message_id)))
        except (RedisError, OSError) as error:
            logger.debug("it is not known whose a message is", error=repr(error))
            return False
