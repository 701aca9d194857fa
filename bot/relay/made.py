"""What a sandbox's bot has made of what all of them share: its messages, and its direct channels. In Redis, for it may
ask any process.

Who it is that acts is the application's one user: Discord itself can't tell a sandbox's message from another one's.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import constants, names
from bot.stores.failures import asking_redis


class MadeMessages:
    """The latest messages that each sandbox has made, and interactions that it has answered: both have snowflakes."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def add(self, sandbox_id: UUID, snowflake: int) -> None:
        """Without Redis it is not remembered: the message can't be changed by the sandbox then."""
        key = names.relay_made_key(sandbox_id)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.zadd(key, {str(snowflake): snowflake})
        pipeline.zremrangebyrank(key, 0, -constants.RELAY_MADE_MESSAGES - 1)
        pipeline.expire(key, constants.RELAY_MADE_KEPT_S)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            logger.warning("a message is not remembered as a sandbox's", sandbox=str(sandbox_id), error=repr(error))

    async def among(self, sandbox_id: UUID, snowflakes: Collection[int]) -> set[int]:
        """Those that the sandbox has made. `ServiceUnavailable` without Redis, which alone knows."""
        if not snowflakes:
            return set()
        asked = list(snowflakes)
        with asking_redis():
            scores = await self._client.zmscore(names.relay_made_key(sandbox_id), [str(each) for each in asked])
        return {each for each, score in zip(asked, scores, strict=True) if score is not None}


class DirectChannels:
    """The direct channels that each sandbox has opened. Whatever else is in them is none of its business."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def opened(self, sandbox_id: UUID, channel_id: int, recipient_id: int) -> None:
        """`ServiceUnavailable` without Redis: then it could not be used."""
        key = names.relay_direct_channel_key(sandbox_id, channel_id)
        with asking_redis():
            await self._client.set(key, recipient_id, ex=constants.RELAY_MADE_KEPT_S)

    async def recipient(self, sandbox_id: UUID, channel_id: int) -> int | None:
        """To whom it leads; None if the sandbox hasn't opened it. `ServiceUnavailable` without Redis."""
        key = names.relay_direct_channel_key(sandbox_id, channel_id)
        with asking_redis():
            found = await self._client.getex(key, ex=constants.RELAY_MADE_KEPT_S)
        return int(found) if found is not None else None
