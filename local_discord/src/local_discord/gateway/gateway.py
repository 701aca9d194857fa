"""The gateway: which sessions there are, and what each is sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from local_discord.gateway.connection import Connection
from local_discord.gateway.sessions import Dispatched, Session
from local_discord.rules import intents
from local_discord.signals import Signal
from local_discord.wire import Json
from local_discord.world.world import World

_KEPT_RECORDS = 20_000

Step = Literal["HELLO", "IDENTIFY", "RESUME"]
"""How far a client comes on its connection; it is told HELLO by itself, and asks for the others."""


class Attempt(NamedTuple):
    """A client came so far on a connection; `at` is monotonic."""

    step: Step
    at: float


class Gateway:
    """Every session gets what its shard covers and its intents ask for."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.core.events.subscribe(self.emit)
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.dispatched: deque[Dispatched] = deque(maxlen=_KEPT_RECORDS)
        self.identifies = 0
        self.resumes = 0
        self.attempts: deque[Attempt] = deque(maxlen=_KEPT_RECORDS)
        self.refusals: dict[Step, int | bool] = {}
        """How each client is turned away that comes so far: with a close code, or by op 9 with that value."""
        self.changed = Signal()
        """A session is ready or resumed, or a connection is gone."""

    def emit(
        self, event: str, data: Json, guild_id: int | None = None, *, shard: int | None = None
    ) -> Dispatched | None:
        """To the guild's shard, or to the given one; the record of the youngest session that is sent it."""
        record: Dispatched | None = None
        for session in self._audience(guild_id, shard):
            record = self._offer(session, event, data, guild_id) or record
        return record

    def start(self, session: Session, connection: Connection) -> None:
        """READY, then the guilds."""
        self.identifies += 1
        self.sessions[session.id] = session
        session.connection = connection
        guilds = [guild for guild in self.world.bots_guilds() if session.covers(guild.id)]
        self.send_to(session, "READY", self._ready(session, connection, [guild.id for guild in guilds]))
        session.is_ready = True
        for guild in guilds:
            if not guild.unavailable:
                self._offer(session, "GUILD_CREATE", guild.create_payload(), guild.id)
        self.changed.notify()

    def resume(self, session: Session, connection: Connection, missed: Iterable[str]) -> None:
        """What was missed, then RESUMED; a connection that the session still has is cut."""
        if session.connection is not None:
            session.connection.abort()
        for text in missed:
            connection.send(text)
        session.connection = connection
        self.resumes += 1
        self.send_to(session, "RESUMED", {"_trace": ["local-discord"]})
        self.changed.notify()

    def leave(self, connection: Connection, session: Session | None) -> None:
        """The connection is gone; its session, if it had one, waits for another, unless the client gave that up too."""
        self.connections.discard(connection)
        if session is not None and session.connection is connection:
            session.park(self.world.core.clock.monotonic())
            if connection.ended_for_good or not session.resumable:
                self.forget(session)
        self.changed.notify()

    def forget(self, session: Session) -> None:
        """It gets no more events, and cannot be resumed."""
        self.sessions.pop(session.id, None)

    def forget_stale(self) -> None:
        """The sessions whose connection was lost too long ago."""
        core = self.world.core
        limit = core.clock.monotonic() - core.settings.sessions_kept_s
        stale = [one for one in self.sessions.values() if one.connection is None and one.parked_at < limit]
        for session in stale:
            self.forget(session)

    def make_final(self, session: Session) -> None:
        """It lives as long as its connection, and cannot be resumed."""
        session.resumable = False
        if session.connection is None:
            self.forget(session)

    def live(self, shard: int | None = None) -> list[Session]:
        """The sessions that somebody listens to, oldest first: of one shard, or of all."""
        return [
            session
            for session in self.sessions.values()
            if session.connection is not None and shard in (None, session.shard)
        ]

    def is_ready(self) -> bool:
        """Every shard of the youngest session's bot has its READY."""
        if not (live := self.live()):
            return False
        count = live[-1].shard_count
        ready = {session.shard for session in live if session.is_ready and session.shard_count == count}
        return ready == set(range(count))

    async def flush(self) -> None:
        """Until everything emitted has been handed to the sockets."""
        await asyncio.gather(*(connection.flushed() for connection in self.connections))

    async def close(self) -> None:
        """Hang up on everybody, as a gateway that is taken out of service does."""
        await asyncio.gather(*(connection.hang_up(1001) for connection in list(self.connections)))

    def send_to(self, session: Session, event: str, data: Json, guild_id: int | None = None) -> Dispatched | None:
        """None, and no record, for a session that lost its connection and has been followed by another one."""
        record = session.send(event, data, guild_id)
        if session.connection is None and self._is_outdated(session):
            return None
        self.dispatched.append(record)
        return record

    def _audience(self, guild_id: int | None, shard: int | None) -> list[Session]:
        self.forget_stale()
        if shard is not None:
            return [session for session in self.sessions.values() if session.shard == shard]
        return [session for session in self.sessions.values() if session.covers(guild_id)]

    def _offer(self, session: Session, event: str, data: Json, guild_id: int | None) -> Dispatched | None:
        """As far as the session's intents let the event through; None if they do not."""
        bot_id = self.world.core.bot.id
        if not intents.wants(session.intents, event, data, bot_id):
            return None
        return self.send_to(session, event, intents.readable(session.intents, event, data, bot_id), guild_id)

    def _ready(self, session: Session, connection: Connection, guild_ids: Iterable[int]) -> Json:
        core = self.world.core
        flags = intents.application_flags(core.settings.approved_intents)
        return {
            "v": int(connection.version),
            "user": core.bot.own_payload(),
            "guilds": [{"id": str(guild_id), "unavailable": True} for guild_id in guild_ids],
            "session_id": session.id,
            "session_type": "normal",
            **_resume_gateway(core.settings.resume_gateway, core.gateway_url),
            "shard": [session.shard, session.shard_count],
            "application": {"id": str(core.application_id), "flags": flags},
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "user_settings": {},
            "_trace": ["local-discord"],
        }

    def _is_outdated(self, session: Session) -> bool:
        youngest = [one for one in self.sessions.values() if one.shard == session.shard]
        return youngest[-1] is not session


def _resume_gateway(told: str, url: str) -> Json:
    if told == "absent":
        return {}
    return {"resume_gateway_url": url if told == "named" else None}
