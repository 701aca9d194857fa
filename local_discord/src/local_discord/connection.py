"""One WebSocket: what a client sends, strictly as Discord takes it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from local_discord import intents, wire
from local_discord.compression import compression
from local_discord.member_chunks import member_chunks
from local_discord.sessions import Session

if TYPE_CHECKING:
    from local_discord.gateway import Gateway

ABNORMAL = 1006
_PATIENCE_S = 1.0
_MOST_BYTES = 4096
_MOST_SENDS_A_MINUTE = 120


class _HangUp(Exception):
    """The client did what Discord closes the connection for."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Connection:
    """Frames go out in the order they were given, from a task of its own."""

    def __init__(self, gateway: Gateway, request: web.Request) -> None:
        self._gateway = gateway
        self._request = request
        self._socket = web.WebSocketResponse(timeout=_PATIENCE_S / 2, max_msg_size=1 << 20)
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._received_at: deque[float] = deque(maxlen=_MOST_SENDS_A_MINUTE)
        self._gone = asyncio.Event()
        self._hung_up = False
        self.session: Session | None = None
        self._opcodes: dict[int, Callable[[Any], object]] = {
            1: self._heartbeat,
            2: self._identify,
            3: self._needs_session,
            4: self._needs_session,
            6: self._resume,
            8: self._request_members,
        }

    async def run(self) -> web.WebSocketResponse:
        await self._socket.prepare(self._request)
        self._gateway.connections.add(self)
        writer = asyncio.create_task(self._write())
        try:
            await self._converse()
        finally:
            self._gateway.connections.discard(self)
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            self._leave()
        return self._socket

    def send(self, text: str) -> None:
        self._outbox.put_nowait(text)

    def send_op(self, op: int, data: object = None) -> None:
        self.send(wire.encode({"t": None, "s": None, "op": op, "d": data}).decode())

    async def flushed(self) -> None:
        await self._outbox.join()

    def abort(self) -> None:
        """Without a word, as when a line is cut."""
        self._hung_up = True
        if self._request.transport is not None:
            self._request.transport.abort()

    async def hang_up(self, code: int) -> None:
        """Returns when the connection is gone; a client that does not listen is cut off."""
        if code != ABNORMAL:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await self._say_goodbye(code, "")
                    await self._gone.wait()
        if not self._gone.is_set():
            self.abort()
        await self._gone.wait()

    async def _converse(self) -> None:
        query = self._request.query
        if query.get("v", "10") != "10" or query.get("encoding", "json") != "json":
            await self._socket.close(code=4012, message=b"Invalid API version")
            return
        self.send_op(10, {"heartbeat_interval": self._gateway.world.heartbeat_interval_ms, "_trace": ["local-discord"]})
        try:
            async for frame in self._socket:
                if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._receive(frame.data)
        except _HangUp as hang_up:
            await self._say_goodbye(hang_up.code, str(hang_up))

    async def _say_goodbye(self, code: int, reason: str) -> None:
        await self._outbox.join()
        self._hung_up = True
        await self._socket.close(code=code, message=reason.encode())

    async def _write(self) -> None:
        compress = compression(self._request.query.get("compress")) if self._gateway.world.compresses else None
        while True:
            text = await self._outbox.get()
            try:
                if compress is None:
                    await self._socket.send_str(text)
                else:
                    await self._socket.send_bytes(compress(text.encode()))
            except (ConnectionError, RuntimeError):
                pass  # the reader sees the end of the connection too, and ends it
            finally:
                self._outbox.task_done()

    def _leave(self) -> None:
        while not self._outbox.empty():
            self._outbox.get_nowait()
            self._outbox.task_done()
        session = self.session
        if session is not None and session.connection is self:
            session.park()
            ended = not self._hung_up and self._socket.close_code in (1000, 1001)
            if ended or not session.resumable:
                self._gateway.forget(session)
        self._gone.set()
        self._gateway.changed.notify()

    def _receive(self, frame: str | bytes) -> None:
        self._count()
        try:
            message = wire.decode(frame)
        except ValueError:
            raise _HangUp(4002, "Error while decoding payload.") from None
        if len(frame) > _MOST_BYTES or not isinstance(message, dict):
            raise _HangUp(4002, "Error while decoding payload.")
        op = message.get("op")
        handle = self._opcodes.get(op) if isinstance(op, int) else None
        if handle is None:
            raise _HangUp(4001, "Unknown opcode.")
        handle(message.get("d"))

    def _count(self) -> None:
        now = time.monotonic()
        if len(self._received_at) == _MOST_SENDS_A_MINUTE and now - self._received_at[0] < 60:
            raise _HangUp(4008, "Rate limited.")
        self._received_at.append(now)

    def _heartbeat(self, _: object) -> None:
        self.send_op(11)

    def _identify(self, data: Any) -> None:
        if self.session is not None:
            raise _HangUp(4005, "Already authenticated.")
        self._authenticate(data)
        shard, count = _shard(data.get("shard", [0, 1]))
        wanted = data.get("intents")
        if type(wanted) is not int or wanted & ~intents.KNOWN:
            raise _HangUp(4013, "Invalid intent(s).")
        if wanted & intents.PRIVILEGED & ~self._gateway.world.approved_intents:
            raise _HangUp(4014, "Disallowed intent(s).")
        self._gateway.identifies += 1
        self.session = Session(shard, count, wanted, self._gateway.world.kept_events)
        self.session.connection = self
        self._gateway.start(self.session)

    def _resume(self, data: Any) -> None:
        if self.session is not None:
            raise _HangUp(4005, "Already authenticated.")
        self._authenticate(data)
        self._gateway.forget_stale()
        sequence = data.get("seq")
        session = self._gateway.sessions.get(str(data.get("session_id")))
        if session is not None and (type(sequence) is not int or not 0 <= sequence <= session.sequence):
            raise _HangUp(4007, "Invalid seq.")
        missed = session.missed_since(sequence) if session is not None and session.resumable else None
        if session is None or missed is None:
            self.send_op(9, False)
            return
        self.session = session
        self._gateway.resume(session, self, missed)

    def _authenticate(self, data: Any) -> None:
        if not isinstance(data, dict) or data.get("token") != self._gateway.world.token:
            raise _HangUp(4004, "Authentication failed.")

    def _needs_session(self, _: object) -> Session:
        if self.session is None:
            raise _HangUp(4003, "Not authenticated.")
        return self.session

    def _request_members(self, data: Any) -> None:
        session = self._needs_session(data)
        if not isinstance(data, dict) or not str(data.get("guild_id")).isdigit():
            raise _HangUp(4002, "Error while decoding payload.")
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
            raise _HangUp(4010, "Invalid shard.")
