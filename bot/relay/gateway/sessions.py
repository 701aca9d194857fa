"""What a session's RESUME needs, in Redis, so that any process goes on with it; and how far each bot has come."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import datetime
from uuid import UUID

import msgspec
import redis.asyncio
from loguru import logger
from redis.exceptions import RedisError

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.relay.gateway.numbering import Numbering
from bot.stores.relay_records import note
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
    guild_ids: tuple[int, ...]
    library: str = ""
    """As it has named itself; empty if it has not."""
    begun_at: float = msgspec.field(default_factory=time.time)
    """Unix time."""
    id: str = msgspec.field(default_factory=lambda: secrets.token_hex(16))

    def covers(self, guild_id: int) -> bool:
        """Whether the guild is on its shard."""
        return (guild_id >> 22) % self.shard_count == self.shard

    @property
    def position_key(self) -> str:
        """Under which it is kept how far this shard of the sandbox's bot has come."""
        return names.relay_position_key(self.sandbox_id, self.shard_count, self.shard)


class Position(msgspec.Struct, frozen=True):
    """What a bot was sent last: Unix time, the stream sequence, and of which stream."""

    sent_at: float
    sequence: int
    stream_created_at: datetime


_encode = msgspec.json.Encoder().encode
_decode_session = msgspec.json.Decoder(Session).decode
_decode_position = msgspec.json.Decoder(Position).decode


class Sessions:
    """Without Redis a session can't be resumed by another process, and nothing else happens."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._own: dict[str, Session] = {}
        self._positions: dict[str, Position] = {}

    async def save(self, session: Session) -> None:
        """Best effort: told in the log if Redis is away."""
        self._own[session.id] = session
        try:
            key = names.relay_session_key(session.id)
            await self._client.set(key, _encode(session), ex=constants.RELAY_SESSION_KEPT_S)
            await note(self._client, {session.sandbox_id: [key, session.position_key]})
        except (RedisError, OSError) as error:
            logger.warning("a relay session is not saved, another process cannot resume it", error=repr(error))

    async def load(self, session_id: str) -> Session | None:
        """None if it is unknown, or over."""
        try:
            saved = await self._client.get(names.relay_session_key(session_id))
        except (RedisError, OSError):
            return self._own.get(session_id)
        try:
            return _decode_session(saved) if saved else None
        except msgspec.MsgspecError:
            return None

    async def end(self, session_id: str) -> None:
        """It can't be resumed any more."""
        self._own.pop(session_id, None)
        try:
            await self._client.delete(names.relay_session_key(session_id))
        except (RedisError, OSError) as error:
            logger.debug("a relay session is not deleted", error=repr(error))

    def drop(self, session: Session) -> None:
        """Nothing more is written of it: its sandbox is gone."""
        self._own.pop(session.id, None)
        self._positions.pop(session.position_key, None)

    async def keep(self, session: Session) -> None:
        """Its connection is gone: its time to be resumed runs from now."""
        await self.save(session)
        self._own.pop(session.id, None)

    def note_position(self, session: Session, sequence: int) -> None:
        """The client was sent everything up to it. Written down soon."""
        self._positions[session.position_key] = Position(time.time(), sequence, session.stream_created_at)

    async def position(self, key: str) -> Position | None:
        """Where the last client was; None if that isn't known."""
        if key in self._positions:
            return self._positions[key]
        try:
            saved = await self._client.get(key)
            return _decode_position(saved) if saved else None
        except (RedisError, OSError, msgspec.MsgspecError):
            return None

    async def run(self, part: Part) -> None:
        """Write the positions down for ever; `ServiceUnavailable` while Redis is away."""
        refreshed_at = time.monotonic()
        while True:
            await asyncio.sleep(constants.RELAY_POSITIONS_EVERY_S)
            await self.write_positions()
            if time.monotonic() - refreshed_at > constants.RELAY_SESSION_KEPT_S / 5:
                await self._refresh()
                refreshed_at = time.monotonic()
            part.running()

    async def _refresh(self) -> None:
        """The sessions of those that are connected do not end."""
        for session in list(self._own.values()):
            await self.save(session)

    async def write_positions(self) -> None:
        """All that have moved, in one go."""
        if not self._positions:
            return
        moved, self._positions = self._positions, {}
        pipeline = self._client.pipeline(transaction=False)
        for key, position in moved.items():
            pipeline.set(key, _encode(position), ex=constants.RELAY_SESSION_KEPT_S)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            self._positions = moved | self._positions
            raise ServiceUnavailable("Redis", repr(error)) from error
