"""Where each shard's gateway session may go on: Discord plays again what JetStream has not acknowledged yet."""

from __future__ import annotations

import time
from collections import deque
from datetime import timedelta
from typing import NamedTuple, Protocol

import msgspec
import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import names
from bot.errors import ServiceUnavailable

_KEPT_FOR = timedelta(days=1)
"""Longer than Discord keeps a session: from one that it refuses it is known what is missing since when."""


class Shard(NamedTuple):
    application_id: int
    total: int
    id: int


class Session(msgspec.Struct, frozen=True):
    """What Discord has to be told to go on after the event `sequence`; `seen_at` is Unix time."""

    id: str
    resume_url: str
    sequence: int
    seen_at: float = msgspec.field(default_factory=time.time)


class Ledger(Protocol):
    """Numbers what it is given in order, and knows up to which number everything is settled."""

    @property
    def published(self) -> int: ...

    @property
    def settled(self) -> int: ...


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Session).decode


class SessionStore:
    """Keeps in Redis, for each shard, the last point before which nothing is unsettled.

    Points are noted now and then, not for every event: all that a shard has received up to a point has a number up to
    the one published last. Without Redis nothing is kept, and nothing else happens.
    """

    def __init__(self, client: redis.asyncio.Redis, ledger: Ledger) -> None:
        self._client, self._ledger = client, ledger
        self._noted: dict[Shard, deque[tuple[int, Session]]] = {}

    async def load(self, shard: Shard) -> Session | None:
        """What the last process has saved; None if there is nothing usable."""
        try:
            saved = await self._client.get(names.gateway_session_key(*shard))
            return _decode(saved) if saved else None
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            logger.warning("the gateway session cannot be read, a new one begins", shard=shard.id, error=repr(error))
            return None

    def note(self, shard: Shard, session: Session) -> None:
        """All that the shard has received so far has been handed to the ledger."""
        points = self._noted.setdefault(shard, deque())
        if points and (points[-1][1].id, points[-1][1].sequence) == (session.id, session.sequence):
            points[-1] = (points[-1][0], session)
        else:
            points.append((self._ledger.published, session))

    async def save(self) -> None:
        """Write down the newest settled point of each shard; `ServiceUnavailable` if Redis is away."""
        settled = self._ledger.settled
        pipeline = self._client.pipeline(transaction=False)
        for shard, points in self._noted.items():
            while len(points) > 1 and points[1][0] <= settled:
                points.popleft()
            if points and points[0][0] <= settled:
                pipeline.set(names.gateway_session_key(*shard), _encode(points[0][1]), ex=_KEPT_FOR)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            raise ServiceUnavailable("Redis", repr(error)) from error
