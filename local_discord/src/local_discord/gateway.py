"""The gateway: which sessions there are, and what each is sent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiohttp import web

from local_discord import intents
from local_discord.connection import Connection
from local_discord.sessions import Dispatched, Session
from local_discord.signals import Signal
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.guilds import Guild
    from local_discord.world import World


class Gateway:
    """Every session gets what its shard covers and its intents ask for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.dispatched: deque[Dispatched] = deque(maxlen=20_000)
        self.identifies = 0
        self.resumes = 0
        self.changed = Signal()

    async def accept(self, request: web.Request) -> web.WebSocketResponse:
        return await Connection(self, request).run()

    def emit(
        self, event: str, data: Json, *, guild_id: int | None = None, shard: int | None = None
    ) -> Dispatched | None:
        """To the guild's shard, or to the given one; the record of the youngest session that is sent it."""
        record: Dispatched | None = None
        for session in self._audience(guild_id, shard):
            if intents.wants(session.intents, event, data, self.world.bot_user.id):
                shown = intents.readable(session.intents, event, data, self.world.bot_user.id)
                record = self.send_to(session, event, shown, guild_id) or record
        return record

    def announce(self, guild: Guild, *, joined: bool) -> None:
        """GUILD_CREATE, which says more to those with the members intent."""
        for session in self._audience(guild.id, None):
            self._announce_to(session, guild, joined=joined)

    def start(self, session: Session) -> None:
        """READY, then the guilds."""
        self.sessions[session.id] = session
        world = self.world
        guilds = [guild for guild in world.guilds.values() if guild.has_bot and session.covers(guild.id)]
        ready = {
            "v": 10,
            "user": world.bot_user.own_payload(),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": world.gateway_url,
            "shard": [session.shard, session.shard_count],
            "application": {"id": str(world.application_id), "flags": world.application_flags},
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "user_settings": {},
            "_trace": ["local-discord"],
        }
        self.send_to(session, "READY", ready)
        session.is_ready = True
        for guild in guilds:
            if not guild.unavailable:
                self._announce_to(session, guild, joined=False)
        self.changed.notify()

    def resume(self, session: Session, connection: Connection, missed: Iterable[str]) -> None:
        if session.connection is not None:
            session.connection.abort()
        for text in missed:
            connection.send(text)
        session.connection = connection
        self.resumes += 1
        self.send_to(session, "RESUMED", {"_trace": ["local-discord"]})
        self.changed.notify()

    def forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)

    def make_final(self, session: Session) -> None:
        """It lives as long as its connection, and cannot be resumed."""
        session.resumable = False
        if session.connection is None:
            self.forget(session)

    def live(self, shard: int | None = None) -> list[Session]:
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
        return {session.shard for session in live if session.is_ready and session.shard_count == count} == set(
            range(count)
        )

    async def flush(self) -> None:
        """Until everything emitted has been handed to the sockets."""
        await asyncio.gather(*(connection.flushed() for connection in self.connections))

    async def close(self) -> None:
        await asyncio.gather(*(connection.hang_up(1001) for connection in list(self.connections)))

    def _audience(self, guild_id: int | None, shard: int | None) -> list[Session]:
        self.forget_stale()
        if shard is not None:
            return [session for session in self.sessions.values() if session.shard == shard]
        return [session for session in self.sessions.values() if session.covers(guild_id)]

    def forget_stale(self) -> None:
        """Those whose connection was lost too long ago."""
        limit = time.monotonic() - self.world.sessions_kept_s
        stale = [one for one in self.sessions.values() if one.connection is None and one.parked_at < limit]
        for session in stale:
            self.forget(session)

    def _announce_to(self, session: Session, guild: Guild, *, joined: bool) -> None:
        if session.intents & intents.GUILDS:
            data = guild.create_payload(all_members=bool(session.intents & intents.GUILD_MEMBERS))
            self.send_to(session, "GUILD_CREATE", data if joined else data | {"unavailable": False}, guild.id)

    def send_to(self, session: Session, event: str, data: Json, guild_id: int | None = None) -> Dispatched | None:
        """None, and no record, for a session that lost its connection and has been followed by another one."""
        record = session.send(event, data, guild_id)
        if session.connection is None and self._is_outdated(session):
            return None
        self.dispatched.append(record)
        return record

    def _is_outdated(self, session: Session) -> bool:
        youngest = [one for one in self.sessions.values() if one.shard == session.shard]
        return youngest[-1] is not session
