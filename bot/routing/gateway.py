"""The one seam into discord.py: a WebSocket that hands every dispatch to the router as it was received, and that goes
on with a session wherever Discord lets it.

It relies on private parts of discord.py 2.7.1; `tests/unit/test_gateway_seam.py` fails first when they change.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

import aiohttp
import discord
import discord.client
import discord.gateway
import discord.http
import discord.shard
import yarl
import zstandard
from aiohttp import WSMsgType
from loguru import logger

from bot.routing import events
from bot.routing.publisher import Publisher
from bot.routing.router import EventRouter
from bot.routing.sessions import Session, SessionStore, Shard
from bot.supervisor import Part

if TYPE_CHECKING:
    from discord.state import ConnectionState

SUPPORTED = "2.7.1"

NEEDED = frozenset(
    {
        "READY",
        "RESUMED",
        "GUILD_CREATE",
        "GUILD_UPDATE",
        "GUILD_DELETE",
        "GUILD_ROLE_CREATE",
        "GUILD_ROLE_UPDATE",
        "GUILD_ROLE_DELETE",
    }
)
"""What the bot itself reads besides its own interactions and its direct messages; the rest discord.py never parses."""

_PAYLOADS = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})
_KEEPING = 4000
"""Discord ends a session that is closed with 1000 or 1001, and keeps it for minutes after any other code."""
_INVALID_SEQUENCE = 4007
"""To resume again would be refused again, for ever; after any other code Discord decides when it is asked."""
_ADDRESS_ANSWERS_WITHIN_S = 10.0
_SAVE_EVERY_S = 0.25
_ANSWERABLE_S = 3.0
_DISCORD_API = discord.http.Route.BASE
_taps: WeakKeyDictionary[ConnectionState[Any], Tap] = WeakKeyDictionary()


class Tap:
    """What a client's sockets share: where events go, and how far each shard has come."""

    def __init__(self, router: EventRouter, publisher: Publisher, sessions: SessionStore) -> None:
        self.router, self.publisher, self._sessions = router, publisher, sessions
        self._sockets: dict[int, TappedWebSocket] = {}
        self._last: dict[int, Session] = {}
        self._begun = asyncio.Event()

    async def run(self, part: Part) -> None:
        """Save the sessions for ever, a new one at once; `ServiceUnavailable` while Redis is away."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SAVE_EVERY_S):
                    await self._begun.wait()
            self._begun.clear()
            await self.save()
            part.running()

    async def save(self) -> None:
        """Write down where the sessions may go on, as far as everything is acknowledged."""
        for socket in self._sockets.values():
            self.note(socket)
            if socket.session is not None:
                self._sessions.note(socket.shard, socket.session)
        await self._sessions.save()

    def note(self, socket: TappedWebSocket) -> None:
        """What is known of the socket's session is known after its end too."""
        if socket.session is not None:
            self._last[socket.shard.id] = socket.session

    def connected(self, socket: TappedWebSocket) -> None:
        self._sockets[socket.shard.id] = socket

    async def resumption(self, shard: Shard) -> Session | None:
        """The session to go on with: the last one of this process, or else of the one before; None if it has ended."""
        socket = self._sockets.get(shard.id)
        if socket is not None:
            return socket.session
        session = await self._sessions.load(shard)
        if session is not None:
            self._last[shard.id] = session
        return session

    def started(self, socket: TappedWebSocket) -> None:
        """A session begins anew: what came between the one before and its READY nobody will ever send."""
        self._begun.set()
        shard, before = socket.shard, self._last.pop(socket.shard.id, None)
        facts = {
            "shard": [shard.id, shard.total],
            "session_id": before.id if before else None,
            "last_sequence": before.sequence if before else None,
            "since": datetime.fromtimestamp(before.seen_at, UTC).isoformat() if before else None,
            "until": datetime.now(UTC).isoformat(),
        }
        marked = self.router.mark_gap(facts, shard.id, shard.total, socket.session_id or "")
        if marked:
            logger.warning("events may be missing, Discord began a new session", sandboxes=marked, **facts)

    def takes(self, envelope: events.Envelope, resumed_at: float) -> bool:
        """Whether discord.py has to see the event too."""
        name = envelope.t
        if name in NEEDED:
            return True
        if name == "INTERACTION_CREATE":
            return self.router.is_own(envelope) and not self._is_stale(envelope, resumed_at)
        return name == "MESSAGE_CREATE" and events.guild_id_of(envelope) is None

    def _is_stale(self, envelope: events.Envelope, resumed_at: float) -> bool:
        """Whether it is played again and can be answered no more: a command must not be run twice."""
        asked_at = discord.utils.snowflake_time(events.object_id_of(envelope) or 0).timestamp()
        if asked_at >= min(resumed_at, time.time() - _ANSWERABLE_S):
            return False
        self.router.counts["stale interactions"] += 1
        return True


class TappedWebSocket(discord.gateway.DiscordWebSocket):
    """A client without a tap gets the original behaviour."""

    _tap: Tap | None = None
    _resumed_at = 0.0

    @classmethod
    async def from_client(cls, client: discord.Client, **options: Any) -> Any:
        if options.get("gateway") in (None, cls.DEFAULT_GATEWAY) and discord.http.Route.BASE != _DISCORD_API:
            _, url, _ = await client.http.get_bot_gateway()
            options["gateway"] = yarl.URL(url)
        tap = _taps.get(client._connection)
        if tap is None:
            return await super().from_client(client, **options)
        shard = Shard(client.application_id or 0, client.shard_count or 1, options.get("shard_id") or 0)
        socket = await cls._resume_or_identify(client, await tap.resumption(shard), options)
        socket._tap = tap
        tap.connected(socket)
        return socket

    @classmethod
    async def _resume_or_identify(
        cls, client: discord.Client, session: Session | None, options: dict[str, Any]
    ) -> Self:
        options |= {"resume": False, "session": None, "sequence": None}
        if session is None:
            return await super().from_client(client, **options)
        resumed = {"resume": True, "session": session.id, "sequence": session.sequence}
        try:
            async with asyncio.timeout(_ADDRESS_ANSWERS_WITHIN_S):
                at_its_address = options | resumed | {"gateway": yarl.URL(session.resume_url)}
                socket = await super().from_client(client, **at_its_address)
        except (aiohttp.ClientError, OSError):  # that address may be gone, the session is not
            socket = await super().from_client(client, **options | resumed)
        socket._resumed_at = time.time()
        return socket

    @property
    def shard(self) -> Shard:
        return Shard(self._connection.application_id or 0, self.shard_count or 1, self.shard_id or 0)

    @property
    def session(self) -> Session | None:
        """None before READY, and when Discord has ended it."""
        if self.session_id is None or self.sequence is None:
            return None
        return Session(self.session_id, str(self.gateway), self.sequence)

    async def close(self, code: int = _KEEPING) -> None:
        """Keeps the session, if there is one: a bot that is stopped will go on with it."""
        await super().close(code if self._tap is None or self.session is None else _KEEPING)

    async def poll_event(self) -> None:
        try:
            await super().poll_event()
        except discord.gateway.ReconnectWebSocket:
            if self._tap is not None and self.socket.close_code == _INVALID_SEQUENCE:
                self._tap.note(self)
                self.session_id = self.sequence = None
            raise
        if self._tap is None:
            return
        # What has come with it costs no timer and no turn of the event loop each: 5 µs less a message.
        come = self.socket._reader._buffer
        while come and come[0][0].type in _PAYLOADS:
            message = await self.socket.receive()
            if message.type not in _PAYLOADS:  # closed meanwhile
                break
            await self.received_message(message.data)

    async def received_message(self, msg: Any, /) -> None:
        tap = self._tap
        if tap is None:
            await super().received_message(msg)
            return
        text = await self._decompressed(msg, tap) if type(msg) is bytes else msg
        if text is None:  # the rest of it is still to come
            return
        envelope = events.decode(text)
        if envelope is None:
            tap.router.counts["malformed"] += 1
            return
        if envelope.op != events.DISPATCH:
            tap.note(self)
            await self._hand_on(envelope, text, tap)
            return
        if tap.publisher.is_full:
            await tap.publisher.room()
        tap.router.route(envelope, text, self.shard_id or 0, self.session_id or "")
        if tap.takes(envelope, self._resumed_at):
            await self._hand_on(envelope, text, tap)
            return
        if envelope.s is not None:
            self.sequence = envelope.s
        if self._keep_alive:
            self._keep_alive.tick()

    async def _decompressed(self, data: bytes, tap: Tap) -> str | None:
        try:
            return self._decompressor.decompress(data)
        except (zlib.error, zstandard.ZstdError, UnicodeDecodeError):
            tap.router.counts["malformed"] += 1
            await self.close()  # a broken stream cannot be read on, the session goes on in a new one
            raise discord.gateway.ReconnectWebSocket(self.shard_id) from None

    async def _hand_on(self, envelope: events.Envelope, text: str, tap: Tap) -> None:
        """One odd event would end discord.py's reading, and with it the bot; without its READY there is no bot."""
        try:
            await super().received_message(text)
        except (discord.gateway.ReconnectWebSocket, discord.ConnectionClosed):
            raise
        except Exception:
            if envelope.t == "READY":
                raise
            tap.router.counts["malformed"] += 1
            logger.opt(exception=True).warning("discord.py cannot read an event", event=envelope.t)
        if envelope.t == "READY":
            tap.started(self)


def tap(client: discord.Client, router: EventRouter, publisher: Publisher, sessions: SessionStore) -> Tap:
    """From now on the client's dispatches go to the router, at the pace at which the publisher takes them."""
    if discord.__version__ != SUPPORTED:
        raise RuntimeError(f"discord.py {SUPPORTED} is needed, not {discord.__version__}: see bot/routing/gateway.py.")
    discord.shard.DiscordWebSocket = discord.client.DiscordWebSocket = TappedWebSocket  # type: ignore[misc]
    _taps[client._connection] = made = Tap(router, publisher, sessions)
    return made


def point_at(api_base: str) -> None:
    """Every client of this process talks to that server, and to the gateway that it names."""
    discord.http.Route.BASE = api_base
