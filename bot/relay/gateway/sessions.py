"""What a session's RESUME needs, in Redis, so that any process goes on with it; and how far each bot has come."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import msgspec
import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import constants, names
from bot.clock import elapsed
from bot.errors import ServiceUnavailable
from bot.relay.gateway.numbering import Numbering
from bot.settled import Settled
from bot.stores.failures import asking_redis, redis_failure
from bot.stores.relay_records import note_keys
from bot.stores.stream_positions import StreamPosition
from bot.supervisor import Part


class Session(msgspec.Struct, frozen=True):
    """Written when it begins, and again whenever the guilds that its client knows have changed."""

    sandbox_id: UUID
    stream_created_at: datetime
    """A stream that was made again counts from 1: with another time no session goes on."""
    numbering: Numbering
    intents: int
    shard: int
    shard_count: int
    bound_at: dict[int, float]
    """The guilds that its client knows, and when they were bound (Unix time)."""
    library: str = ""
    """As it has named itself; empty if it has not."""
    begun_at: float = msgspec.field(default_factory=time.time)
    """Unix time."""
    id: str = msgspec.field(default_factory=lambda: secrets.token_hex(16))
    told: dict[int, int] = {}  # msgspec copies an empty one
    """Guilds that its client was told of since it began, had or lost, with the number that it knew then. A client with
    that number may have read it or not."""
    catches_up_since: float = 0.0
    """Unix time: of what is older than `numbering.mark`, and than that, nothing is delivered."""

    def covers(self, guild_id: int) -> bool:
        """Whether the guild is on its shard."""
        return (guild_id >> 22) % self.shard_count == self.shard

    @property
    def position_key(self) -> str:
        """Under which it is kept how far this shard of the sandbox's bot has come."""
        return names.relay_position_key(self.sandbox_id, self.shard_count, self.shard)


class Position(StreamPosition, frozen=True):
    """What a bot was sent last, and when (Unix time)."""

    sent_at: float


_encode = msgspec.json.Encoder().encode
_decode_session = msgspec.json.Decoder(Session).decode
_decode_position = msgspec.json.Decoder(Position).decode


class Sessions:
    """Without Redis a session can't be resumed by another process, and nothing else happens."""

    def __init__(self, client: redis.asyncio.Redis, *, settled_after_s: float = 0.0) -> None:
        """`settled_after_s`: how long after a client was sent an event that is on the stream's disk. Of a position that
        is written down sooner, a loss of power could leave the number to another event."""
        self._client, self._settled_after_s = client, settled_after_s
        self._own: dict[str, Session] = {}
        self._positions: dict[str, Position] = {}
        self._settled: dict[str, Settled[Position | None]] = {}
        self._unsaved: set[str] = set()
        """Of both, by their ids and keys."""
        self._writing = asyncio.Lock()
        self._left: set[str] = set()
        """Sessions without a connection, which are Redis's alone once they are written down."""

    async def save(self, session: Session) -> None:
        """A new one, at once; with Redis away, as soon as that is back."""
        self.note(session)
        with suppress(ServiceUnavailable):
            await self.write()

    def note(self, session: Session) -> None:
        """It has a connection here, and is as given from now on. Written down soon."""
        self._own[session.id] = session
        self._unsaved.add(session.id)
        self._left.discard(session.id)

    def leave(self, session: Session) -> None:
        """Its connection is gone: its time to be resumed runs from now."""
        self.note(session)
        self._left.add(session.id)

    async def load(self, session_id: str) -> Session | None:
        """None if it is unknown, or over."""
        if (own := self._own.get(session_id)) is not None:
            return own
        try:
            saved = await self._client.get(names.relay_session_key(session_id))
            return _decode_session(saved) if saved else None
        except (RedisError, OSError, msgspec.MsgspecError):
            return None

    async def end(self, session_id: str) -> None:
        """It can't be resumed any more."""
        self._forget(session_id)
        try:
            await self._client.delete(names.relay_session_key(session_id))
        except (RedisError, OSError) as error:
            logger.debug("a relay session is not deleted", error=repr(error))

    async def drop(self, session: Session) -> None:
        """Nothing more is written of it: its sandbox is gone."""
        async with self._writing:
            self._forget(session.id)
            self._forget_position(session.position_key)
            self._unsaved.discard(session.position_key)

    def note_position(self, session: Session, sequence: int) -> None:
        """A client was sent everything up to it; of several, the furthest counts. Written down soon."""
        key = session.position_key
        position = Position(sequence, session.stream_created_at, elapsed())
        known = self._positions.get(key)
        if known is None or known.order < position.order:
            self._positions[key] = position
            self._unsaved.add(key)

    async def position(self, key: str) -> Position | None:
        """Where the furthest client was; None if that isn't known."""
        known = [self._positions[key]] if key in self._positions else []
        with suppress(RedisError, OSError, msgspec.MsgspecError):
            saved = await self._client.get(key)
            known += [_decode_position(saved)] if saved else []
        return max(known, key=lambda position: position.order, default=None)

    async def run(self, part: Part) -> None:
        """Write down what has changed, for ever; `ServiceUnavailable` while Redis is away."""
        refreshed_at = looked_at = 0.0
        while True:
            now = time.monotonic()
            if now - looked_at > constants.RELAY_SESSIONS_LOOKED_FOR_EVERY_S:
                looked_at = now
                refreshed_at = 0.0 if await self._are_lost() else refreshed_at
            if now - refreshed_at > constants.RELAY_SESSION_KEPT_S / 5:
                self._refresh()
                refreshed_at = now
            await self.write()
            part.running()
            await asyncio.sleep(constants.RELAY_POSITIONS_EVERY_S)

    async def _are_lost(self) -> bool:
        """Whether Redis has come back without what it held: its client needs not have noticed."""
        written = next((each for each in self._own if each not in self._unsaved), None)
        with asking_redis():
            return written is not None and not await self._client.exists(names.relay_session_key(written))

    def _refresh(self) -> None:
        """The sessions of those that are connected do not end; old positions are Redis's alone."""
        self._unsaved |= self._own.keys()
        since = elapsed() - constants.RELAY_SESSION_KEPT_S
        for key in [key for key, position in self._positions.items() if position.sent_at < since]:
            self._forget_position(key)

    async def write(self) -> None:
        """All that has changed, in one go. `ServiceUnavailable` without Redis: then it is written the next time."""
        async with self._writing:
            if self._unsaved:
                await self._write_unsaved()

    async def _write_unsaved(self) -> None:
        unsaved, self._unsaved = self._unsaved, set()
        pipeline = self._client.pipeline(transaction=False)
        owned: defaultdict[UUID, list[str]] = defaultdict(list)
        for key in unsaved:
            if (session := self._own.get(key)) is not None:
                owned[session.sandbox_id] += names.relay_session_key(key), session.position_key
                pipeline.set(names.relay_session_key(key), _encode(session), ex=constants.RELAY_SESSION_KEPT_S)
            elif (position := self._settled_position(key)) is not None:
                pipeline.set(key, _encode(position), ex=constants.RELAY_SESSION_KEPT_S)
        try:
            await pipeline.execute()
            if owned:
                await note_keys(self._client, owned)
        except (RedisError, OSError) as error:
            self._unsaved |= unsaved
            raise redis_failure(error) from error
        for session_id in self._left & unsaved - self._unsaved:
            self._forget(session_id)

    def _settled_position(self, key: str) -> Position | None:
        """What may be written of it. As long as that is not the last one, it is looked at again."""
        if (position := self._positions.get(key)) is None:
            return None
        settled = self._settled.setdefault(key, Settled(None, self._settled_after_s)).note(position)
        if settled is not position:
            self._unsaved.add(key)
        return settled

    def _forget_position(self, key: str) -> None:
        self._positions.pop(key, None)
        self._settled.pop(key, None)

    def _forget(self, session_id: str) -> None:
        self._own.pop(session_id, None)
        self._left.discard(session_id)
        self._unsaved.discard(session_id)
