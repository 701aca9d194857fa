"""The one seam into discord.py: a WebSocket that hands every dispatch to the router as it was received, and that goes
on with a session wherever Discord lets it.

It relies on private parts of discord.py and aiohttp. `bot/private_api.py` lists them and is asked here;
`tests/unit/test_gateway_seam.py` fails first when what they do changes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Coroutine
from typing import Any

import aiohttp
import discord
import discord.client
import discord.gateway
import discord.http
import discord.shard
import zstandard
from aiohttp import WSMsgType
from loguru import logger

from bot import constants, private_api
from bot.clock import StampedClock
from bot.routing import close_codes, dispatch, standstill
from bot.routing.connecting import KEEPS_SESSION, ConnectingWebSocket
from bot.routing.dispatch import DISPATCH, OF_MESSAGES, Dispatch
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.gateway_address import with_own_gateway
from bot.routing.leases import GatewayLeases
from bot.routing.publisher import Publisher
from bot.routing.router import EventRouter
from bot.routing.sessions import Session, SessionStore
from bot.routing.shards import SupervisedShard, taps
from bot.routing.tap import ATTENDED, RightsChanged, Tap

private_api.verify("discord.py", "aiohttp")

# At its start discord.py warns where the libraries for voice are missing. This bot never speaks.
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False

_PAYLOADS = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})
_ENDINGS = {7: "Discord asks for a new connection", 9: "Discord says that the session is invalid"}
"""By the op of the message after which a connection ends."""


class TappedWebSocket(ConnectingWebSocket):
    """Reads what comes: every dispatch goes to the router, and the bot gets what it needs itself."""

    _standstill: asyncio.Task[None] | None = None
    """Closes the connection, as soon as NATS takes events again; until then none is routed. None: they are."""
    _ended = ""
    """Why the connection ends, if Discord has said so beforehand."""

    @property
    def is_live(self) -> bool:
        """As before, and while NATS takes no events."""
        return super().is_live or (self.session is not None and self._standstill is not None)

    async def close(self, code: int = KEEPS_SESSION) -> None:
        """As before, and nothing waits for NATS any more."""
        self._forget_standstill()
        await super().close(code)

    async def poll_event(self) -> None:
        """Waits for a message, and also takes those that have come with it.

        That costs no timer and no turn of the event loop for each, as discord.py's own would: 5 µs less a message.
        """
        if self._tap is None:
            await super().poll_event()
            return
        try:
            await super().poll_event()
        except (discord.gateway.ReconnectWebSocket, aiohttp.ClientError, OSError) as error:
            self._on_lost(self._tap, error)
            raise discord.gateway.ReconnectWebSocket(self.shard_id) from None
        except discord.ConnectionClosed as error:
            if error.code in close_codes.FINAL:
                self._tap.refuse(error.code)
            raise
        received = self.socket._reader._buffer
        while received and received[0][0].type in _PAYLOADS:
            # A payload that is there already: receive() returns it without a wait. Anything else, a close above all,
            # is left to the next poll_event, which alone knows what follows from it.
            message = await self.socket.receive()
            if message.type not in _PAYLOADS:  # closed meanwhile
                break
            await self.received_message(message.data)

    def _on_lost(self, tap: Tap, error: Exception) -> None:
        """discord.py would resume after any code with the same sequence, and Discord would refuse it without end."""
        self._forget_standstill()
        self._seen_at = self._seen_at or self._now()
        is_closed = isinstance(error, discord.gateway.ReconnectWebSocket)
        why = f"closed with {self.socket.close_code}" if is_closed else close_codes.describe(error)
        tap.reconnects.of(self.shard.id).ended = self._ended or why
        if self.socket.close_code in close_codes.SESSION_ENDED:
            tap.record_session(self)
            self.session_id = self.sequence = None

    async def received_message(self, msg: Any, /) -> None:
        """In place of discord.py's own, which still gets what the bot itself needs, and decodes nothing else."""
        tap = self._tap
        if tap is None:
            await super().received_message(msg)
            return
        text = await self._decompressed(msg, tap) if type(msg) is bytes else msg
        if text is None:  # the rest of it is still to come
            return
        message, readable = dispatch.read_as_sent(text)
        if message is None:
            tap.router.counts["malformed"] += 1
            return
        if message.op != DISPATCH:
            # Before discord.py handles it: an op 9 makes it forget the session that a gap marker has to name.
            tap.record_session(self)
            self._ended = _ENDINGS.get(message.op, "")
            await self._pass_on(message, readable, tap)
            return
        if not tap.leases.may_act(self.shard_id or 0, self._epoch):
            await self._wait_for_lease(tap)
        if self._standstill is not None or (tap.publisher.is_full and await self._must_read_on(tap)):
            await self._read_on(message, readable, tap)
            return
        name = message.name
        if name in ATTENDED and (name not in OF_MESSAGES or message.is_private):
            await self._route_attended(message, text, readable, tap)
            return
        tap.router.route(message, text, self.shard_id or 0, self.session_id or "")
        # What discord.py does itself with every message that it gets. Only after routing: a saved session must never
        # be ahead of what the publisher has been given.
        if message.sequence is not None:
            self.sequence = message.sequence
        if self._keep_alive:
            self._keep_alive.tick()

    async def _route_attended(self, message: Dispatch, text: str, readable: str, tap: Tap) -> None:
        """As any event, with what only few of them need before and after."""
        if message.name == "RESUMED":  # all that was missed has come, and is routed
            self._seen_at = None
        await tap.prepare(message)
        tap.router.route(message, text, self.shard_id or 0, self.session_id or "")
        tap.watch_rights(message, readable)
        was_handled = tap.handled_ahead(self).take(message.sequence)
        if not was_handled and tap.is_for_client(message, self._resumed_at):
            await self._pass_on(message, readable, tap)
            return
        if message.sequence is not None:
            self.sequence = message.sequence
        if self._keep_alive:
            self._keep_alive.tick()

    async def _must_read_on(self, tap: Tap) -> bool:
        """Back-pressure, as long as that is short: the socket isn't read, Discord's side fills, and memory does not."""
        if await tap.publisher.has_capacity_within(constants.READ_ON_AFTER_S):
            return False
        self._seen_at = self._seen_at or self._now()
        self._standstill = asyncio.create_task(self._resume_after(standstill.wait_out(tap.publisher, self.shard.id)))
        return True

    async def _resume_after(self, outage: Coroutine[Any, Any, None]) -> None:
        await outage
        await super().close(KEEPS_SESSION)  # poll_event sees that, and discord.py resumes

    def resume_after(self, session: Session) -> None:
        """Have Discord send again what came after it. Until then nothing is routed."""
        self.sequence, self._seen_at = session.sequence, session.seen_at
        if self._standstill is None:
            self._standstill = asyncio.create_task(super().close(KEEPS_SESSION))

    def _forget_standstill(self) -> None:
        """The next connection will see for itself."""
        if self._standstill is not None:
            self._standstill.cancel()

    async def _read_on(self, message: Dispatch, text: str, tap: Tap) -> None:
        """While nothing is routed the bot gets what it needs, and the sequence stays where routing has stopped."""
        if self._keep_alive:
            self._keep_alive.tick()
        if not tap.is_for_client(message, self._resumed_at) or not tap.handled_ahead(self).add(message.sequence or 0):
            return
        routed = self.sequence
        await self._pass_on(message, text, tap)  # waits for nothing, so nobody sees the sequence that discord.py sets
        if message.name != "READY":
            self.sequence = routed

    async def send_heartbeat(self, data: Any) -> None:
        """With the sequence of now: discord.py's thread may have read it while one that was not routed stood there."""
        await super().send_heartbeat(data | {"d": self.sequence})

    async def _wait_for_lease(self, tap: Tap) -> None:
        """After the process stood still the session may be another one's, which gets the rest of it too. If it is, this
        connection is closed, and the wait cancelled."""
        while not tap.leases.may_act(self.shard_id or 0, self._epoch):
            await tap.leases.next_turn()

    async def _decompressed(self, data: bytes, tap: Tap) -> str | None:
        try:
            return self._decompressor.decompress(data)
        except (zlib.error, zstandard.ZstdError, UnicodeDecodeError):
            tap.router.counts["malformed"] += 1
            await self.close()  # a broken stream cannot be read on, the session goes on in a new one
            raise discord.gateway.ReconnectWebSocket(self.shard_id) from None

    async def _pass_on(self, message: Dispatch, text: str, tap: Tap) -> None:
        """One odd event would end discord.py's reading, and with it the bot; without its READY there is no bot."""
        if message.name == "READY":
            text = with_own_gateway(text, self._named)
        try:
            await super().received_message(text)
        except (discord.gateway.ReconnectWebSocket, discord.ConnectionClosed):
            raise
        except Exception:
            if message.name == "READY":
                raise
            tap.router.counts["malformed"] += 1
            logger.opt(exception=True).warning("discord.py cannot read an event", event=message.name)
        if message.name == "READY":
            tap.on_new_session(self)


def install_tap(
    client: discord.AutoShardedClient,
    router: EventRouter,
    publisher: Publisher,
    sessions: SessionStore,
    forwarded: ForwardedInteractions,
    *,
    rights_changed: RightsChanged,
    leases: GatewayLeases,
    discord_clock: StampedClock | None = None,
) -> Tap:
    """From now on the client's dispatches go to the router, at the pace at which the publisher takes them.

    `UnsupportedLibrary` if discord.py is another version than the one that the seam was made for.
    """
    private_api.require_version("discord.py")
    # Both modules have imported the class by name and call from_client on it; there is no parameter for it, nor for
    # the class of shards.
    discord.shard.DiscordWebSocket = discord.client.DiscordWebSocket = TappedWebSocket  # type: ignore[misc]
    discord.shard.Shard = SupervisedShard  # type: ignore[misc]
    client.shard_connect_timeout = None  # it may be hours until Discord allows another session
    discord_clock = discord_clock or StampedClock()
    taps[client] = tap = Tap(router, publisher, sessions, forwarded, rights_changed, leases, discord_clock)
    return tap


def set_api_base(api_base: str) -> None:
    """Every client of this process talks to that server, and to the gateway that it names."""
    discord.http.Route.BASE = api_base
