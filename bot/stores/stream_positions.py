"""Places in streams, and of each sandbox's stream the one up to which its workers have acknowledged everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
import redis.asyncio

from bot import constants, names
from bot.stores.failures import asking_redis


class StreamPosition(msgspec.Struct, frozen=True):
    """A sequence, and of which stream: one that was made again counts from 1."""

    sequence: int
    stream_created_at: datetime

    @property
    def order(self) -> tuple[datetime, int]:
        """The greater one is the further one."""
        return self.stream_created_at, self.sequence


class Acknowledged(StreamPosition, frozen=True):
    """Up to it the workers had acknowledged everything, at some time by the clock of NATS."""

    known_at: datetime


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Acknowledged).decode


class AcknowledgedPositions:
    """Kept in Redis, for NATS may lose its own. Every method raises `ServiceUnavailable` when Redis gives no answer."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def read(self, sandbox_id: UUID) -> Acknowledged | None:
        """None if nothing is known, or what is there can't be read."""
        with asking_redis():
            saved = await self._client.get(names.acknowledged_key(sandbox_id))
        try:
            return _decode(saved) if saved else None
        except msgspec.MsgspecError:
            return None

    async def write(self, positions: Mapping[UUID, Acknowledged]) -> None:
        """All in one go."""
        pipeline = self._client.pipeline(transaction=False)
        for sandbox_id, position in positions.items():
            pipeline.set(names.acknowledged_key(sandbox_id), _encode(position), ex=constants.ACKNOWLEDGED_KEPT)
        with asking_redis():
            await pipeline.execute()
