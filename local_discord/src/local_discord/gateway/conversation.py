"""What a client may say on its connection, strictly as Discord takes it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import web

from local_discord import wire
from local_discord.gateway.connection import ABNORMAL, Connection, HangUp
from local_discord.gateway.gateway import Attempt, Gateway, Step
from local_discord.gateway.member_chunks import member_chunks
from local_discord.gateway.sessions import Session
from local_discord.rules import intents
from local_discord.snowflakes import is_snowflake

_MOST_BYTES = 4096
_MOST_SENDS_A_MINUTE = 120


async def accept(gateway: Gateway, request: web.Request) -> web.WebSocketResponse:
    """One client from its request to the end of its connection; its session may outlive it."""
    connection = Connection(request)
    async with connection:
        gateway.connections.add(connection)
        conversation = _Conversation(gateway, connection)
        try:
            await conversation.run()
        finally:
            gateway.leave(connection, conversation.session)
    return connection.response


class _Conversation:
    def __init__(self, gateway: Gateway, connection: Connection) -> None:
        self._gateway = gateway
        self._settings = gateway.world.core.settings
        self._connection = connection
        self._received_at: deque[float] = deque(maxlen=_MOST_SENDS_A_MINUTE)
        self.session: Session | None = None
        self._opcodes: dict[int, Callable[[Any], object]] = {
            1: self._heartbeat,
            2: self._identify,
            3: self._needs_session,
            4: self._needs_session,
            6: self._resume,
            8: self._request_members,
        }

    async def run(self) -> None:
        try:
            self._greet()
            while (frame := await self._connection.receive()) is not None:
                self._receive(frame)
        except HangUp as hang_up:
            await self._connection.close(hang_up.code, str(hang_up))

    def _greet(self) -> None:
        self._connection.require_version()
        if self._settings.compresses:
            self._connection.compress()
        if self._is_turned_away("HELLO"):
            return
        hello = {"heartbeat_interval": self._settings.heartbeat_interval_ms, "_trace": ["local-discord"]}
        self._connection.send_op(10, hello)

    def _receive(self, frame: str | bytes) -> None:
        self._count()
        try:
            message = wire.decode(frame)
        except ValueError:
            raise HangUp(4002, "Error while decoding payload.") from None
        if len(frame) > _MOST_BYTES or not isinstance(message, dict):
            raise HangUp(4002, "Error while decoding payload.")
        op = message.get("op")
        handle = self._opcodes.get(op) if isinstance(op, int) else None
        if handle is None:
            raise HangUp(4001, "Unknown opcode.")
        handle(message.get("d"))

    def _count(self) -> None:
        now = time.monotonic()
        if len(self._received_at) == _MOST_SENDS_A_MINUTE and now - self._received_at[0] < 60:
            raise HangUp(4008, "Rate limited.")
        self._received_at.append(now)

    def _heartbeat(self, sequence: object) -> None:
        if self.session is not None:
            self.session.heartbeats.append(sequence)
        self._connection.send_op(11)

    def _identify(self, data: Any) -> None:
        self._authenticate(data)
        shard, count = _shard(data.get("shard", [0, 1]))
        wanted = data.get("intents")
        if type(wanted) is not int or wanted & ~intents.KNOWN:
            raise HangUp(4013, "Invalid intent(s).")
        if wanted & intents.PRIVILEGED & ~self._settings.approved_intents:
            raise HangUp(4014, "Disallowed intent(s).")
        if not self._settings.session_starts.take():
            raise HangUp(4004, "Authentication failed.")  # the token has been reset
        if self._is_turned_away("IDENTIFY"):
            return
        self.session = Session(shard, count, wanted, self._settings.kept_events)
        self._gateway.start(self.session, self._connection)

    def _resume(self, data: Any) -> None:
        self._authenticate(data)
        self._gateway.forget_stale()
        if self._is_turned_away("RESUME"):
            return
        sequence = data.get("seq")
        session = self._gateway.sessions.get(str(data.get("session_id")))
        if session is not None and (type(sequence) is not int or not 0 <= sequence <= session.sequence):
            raise HangUp(4007, "Invalid seq.")
        missed = session.missed_since(sequence) if session is not None and session.resumable else None
        if session is None or missed is None:
            self._connection.send_op(9, False)
            return
        self.session = session
        self._gateway.resume(session, self._connection, missed)

    def _is_turned_away(self, step: Step) -> bool:
        """Whether the client is told something else than what it came for."""
        self._gateway.attempts.append(Attempt(step, time.monotonic()))
        self._gateway.changed.notify()
        match self._gateway.refusals.get(step):
            case None:
                return False
            case bool(resumable):
                self._connection.send_op(9, resumable)
            case code if code == ABNORMAL:
                self._connection.abort()
            case code:
                raise HangUp(code, f"turned away at {step}")
        return True

    def _authenticate(self, data: Any) -> None:
        if self.session is not None:
            raise HangUp(4005, "Already authenticated.")
        # Some libraries send what they send over HTTP, and Discord takes it.
        if not isinstance(data, dict) or str(data.get("token")).removeprefix("Bot ") != self._settings.token:
            raise HangUp(4004, "Authentication failed.")

    def _needs_session(self, _: object) -> Session:
        if self.session is None:
            raise HangUp(4003, "Not authenticated.")
        return self.session

    def _request_members(self, data: Any) -> None:
        session = self._needs_session(data)
        if not isinstance(data, dict) or not is_snowflake(data.get("guild_id")):
            raise HangUp(4002, "Error while decoding payload.")
        guild = self._gateway.world.guilds.get(int(data["guild_id"]))
        if guild is None or not guild.has_bot or not session.covers(guild.id):
            return
        for chunk in member_chunks(guild, data, may_list=bool(session.intents & intents.GUILD_MEMBERS)):
            self._gateway.send_to(session, "GUILD_MEMBERS_CHUNK", chunk, guild.id)


def _shard(shard: Any) -> tuple[int, int]:
    match shard:
        case [int(number), int(count)] if 0 <= number < count:
            return number, count
        case _:
            raise HangUp(4010, "Invalid shard.")
