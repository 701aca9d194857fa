"""Where each shard's gateway session may go on: Discord plays again what JetStream has not acknowledged yet."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec
import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import constants, names
from bot.errors import ServiceUnavailable


class Shard(NamedTuple):
    """Whose session it is. With another `total` Discord divides the guilds differently, and no session goes on."""

    application_id: int
    total: int
    id: int


class Session(msgspec.Struct, frozen=True):
    """What Discord has to be told to go on after the event `sequence`; `seen_at` is Unix time."""

    id: str
    resume_url: str
    sequence: int
    seen_at: float = msgspec.field(default_factory=time.time)


class AckTracker(Protocol):
    """Numbers what it is given in order, from 1, and knows up to which number everything is acknowledged."""

    @property
    def last_published(self) -> int:
        """The number of what it was given last; 0 before that."""

    @property
    def low_water_mark(self) -> int:
        """Up to this number everything is acknowledged or refused; it never falls."""


_CLAIM = """
if tonumber(redis.call('GET', KEYS[2]) or '0') <= tonumber(ARGV[1]) then
    redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
end
return redis.call('GET', KEYS[1])
"""
_SAVE = """
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
"""
"""KEYS: session, epoch. ARGV: the caller's epoch, seconds to live, and the session to save. Compared and written in one
step: between two, another process could have taken over."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Session).decode


class SessionStore:
    """Keeps in Redis, for each shard, the newest checkpoint before which everything is acknowledged.

    Saved sooner, a crash would lose what was under way: Discord would go on after it. So a checkpoint is taken
    together with the number that the publisher gave last, and saved when the low-water mark has reached that number.
    They are taken now and then, not for every event. Without Redis nothing is kept, and nothing else happens.
    With each the epoch of the shard's lease is written, and an older epoch overwrites nothing.
    """

    def __init__(
        self, client: redis.asyncio.Redis, acks: AckTracker, *, epoch_of: Callable[[int], int] = lambda _: 0
    ) -> None:
        """`epoch_of` a shard's id: that of the lease which the process has; 0 if it has none."""
        self._client, self._acks, self._epoch_of = client, acks, epoch_of
        self._checkpoints: dict[Shard, deque[tuple[int, Session]]] = {}
        """Oldest first, with the numbers that they wait for. The first may be saved already; the rest never is."""

    async def load(self, shard: Shard) -> Session | None:
        """What the last process has saved, which saves no more from now on; None if there is nothing usable."""
        try:
            saved = await self._client.eval(_CLAIM, 2, *_keys(shard), self._epoch_of(shard.id), constants.SESSION_TTL_S)
            return _decode(saved) if saved else None
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            logger.warning("the gateway session cannot be read, a new one begins", shard=shard.id, error=repr(error))
            return None

    def checkpoint(self, shard: Shard, session: Session) -> None:
        """Take one. All that the shard has received up to `session` has been published, acknowledged or not."""
        checkpoints = self._checkpoints.setdefault(shard, deque())
        if checkpoints and (checkpoints[-1][1].id, checkpoints[-1][1].sequence) == (session.id, session.sequence):
            # A quiet shard is only seen later, and waits for nothing more: another number would put the save off for
            # as long as the other shards are busy.
            checkpoints[-1] = (checkpoints[-1][0], session)
        else:
            checkpoints.append((self._acks.last_published, session))

    async def save(self) -> None:
        """Write down each shard's newest checkpoint that the low-water mark has reached.

        One whose shard another process has taken over is refused, and forgotten. `ServiceUnavailable` if Redis is away.
        """
        mark = self._acks.low_water_mark
        pipeline, saved = self._client.pipeline(transaction=False), []
        for shard, checkpoints in self._checkpoints.items():
            while len(checkpoints) > 1 and checkpoints[1][0] <= mark:
                checkpoints.popleft()
            if checkpoints and checkpoints[0][0] <= mark:
                arguments = self._epoch_of(shard.id), constants.SESSION_TTL_S, _encode(checkpoints[0][1])
                pipeline.eval(_SAVE, 2, *_keys(shard), *arguments)
                saved.append(shard)
        try:
            outcomes = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise ServiceUnavailable("Redis", repr(error)) from error
        for shard, was_saved in zip(saved, outcomes, strict=True):
            if not was_saved:
                self.forget(shard)

    def forget(self, shard: Shard) -> None:
        """Save none of the checkpoints that were taken of it."""
        self._checkpoints.pop(shard, None)


def _keys(shard: Shard) -> tuple[str, str]:
    return names.gateway_session_key(*shard), names.gateway_epoch_key(*shard)
