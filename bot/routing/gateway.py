"""The one seam into discord.py: a WebSocket that hands every dispatch to the router as it was received, and that goes
on with a session wherever Discord lets it.

It relies on private parts of discord.py and aiohttp. `bot/private_api.py` lists them and is asked here;
`tests/unit/test_gateway_seam.py` fails first when what they do changes.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import Any, Self
from weakref import WeakKeyDictionary

import aiohttp
import discord
import discord.client
import discord.gateway
import discord.http
import discord.shard
import msgspec
import yarl
import zstandard
from aiohttp import WSMsgType
from loguru import logger

from bot import constants, private_api
from bot.routing import dispatch
from bot.routing.dispatch import DISPATCH, Dispatch
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.gateway_address import is_trusted
from bot.routing.leases import GatewayLeases, LeaseNotHeld
from bot.routing.publisher import Publisher
from bot.routing.router import EventRouter
from bot.routing.sessions import Session, SessionStore, Shard
from bot.routing.tap import RightsChanged, Tap

private_api.verify("discord.py", "aiohttp")

_PAYLOADS = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})
_KEEPS_SESSION = 4000
"""Discord ends a session that is closed with 1000 or 1001, and keeps it for minutes after any other code."""
_INVALID_SEQUENCE = 4007
"""To resume again would be refused again, for ever; after any other code Discord decides when it is asked."""
_DISCORD_API = discord.http.Route.BASE

_taps: WeakKeyDictionary[discord.Client, Tap] = WeakKeyDictionary()
_named_gateways: WeakKeyDictionary[discord.Client, yarl.URL] = WeakKeyDictionary()
"""What the API has named to each client; where its first connection went, before any READY named another one."""


class TappedWebSocket(discord.gateway.DiscordWebSocket):
    """A shard's connection. A client without a tap gets discord.py's own behaviour."""

    _tap: Tap | None = None
    _named: yarl.URL = discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    """The gateway that the API has named."""
    _epoch = 0
    """Of the lease under which it was opened."""
    _resumed_at = 0.0
    """When the session was taken up by this connection (Unix time); 0 if it began here."""

    @classmethod
    async def from_client(cls, client: discord.Client, **options: Any) -> Any:
        """In place of discord.py's own: connects where the session says, and resumes instead of identifying.

        discord.py would resume only a session of this process, and would identify after each start: what came
        meanwhile would be lost, and a thousand starts a day are all that Discord allows.
        """
        if options.get("gateway") in (None, cls.DEFAULT_GATEWAY) and discord.http.Route.BASE != _DISCORD_API:
            # DEFAULT_GATEWAY is Discord's own, whatever API the client was pointed at: that API names its gateway.
            _, url, _ = await client.http.get_bot_gateway()
            options["gateway"] = _named_gateways[client] = yarl.URL(url)
        named = _named_gateways.setdefault(client, options.get("gateway") or cls.DEFAULT_GATEWAY)
        tap = _taps.get(client)
        if tap is None:
            return await super().from_client(client, **options)
        shard = Shard(client.application_id or 0, client.shard_count or 1, options.get("shard_id") or 0)
        cls._require_lease(client, shard.id)
        connection = await cls._resume_or_identify(client, await tap.session_to_resume(shard), options)
        # Only now: until from_client has returned, HELLO and what answers it are discord.py's own affair, and what
        # fails there must not take the place of the connection that the tap knows.
        connection._tap, connection._named, connection._epoch = tap, named, tap.leases.epoch_of(shard.id)
        tap.add_connection(connection)
        return connection

    @classmethod
    async def _resume_or_identify(
        cls, client: discord.Client, session: Session | None, options: dict[str, Any]
    ) -> Self:
        options |= {"resume": False, "session": None, "sequence": None}
        if session is None:
            return await super().from_client(client, **options)
        resumed = {"resume": True, "session": session.id, "sequence": session.sequence}
        if not is_trusted(session.resume_url, _named_gateways[client], discord.http.Route.BASE):
            logger.warning("a saved gateway session has an address that is not Discord's, the general one is taken")
            session = msgspec.structs.replace(session, resume_url=str(_named_gateways[client]))
        try:
            async with asyncio.timeout(constants.RESUME_ADDRESS_TIMEOUT_S):
                at_its_address = options | resumed | {"gateway": yarl.URL(session.resume_url)}
                connection = await super().from_client(client, **at_its_address)
        except (aiohttp.ClientError, OSError):  # that address may be gone, the session is not
            connection = await super().from_client(client, **options | resumed)
        connection._resumed_at = time.time()
        return connection

    @staticmethod
    def _require_lease(client: discord.Client, shard_id: int) -> None:
        """`LeaseNotHeld` if another process may have the shard's session; it is opened when this one has the lease."""
        tap = _taps.get(client)
        if tap is not None and not tap.leases.is_valid(shard_id):
            tap.leases.unopened.add(shard_id)
            raise LeaseNotHeld

    async def send_as_json(self, data: Any) -> None:
        """Until HELLO came, the lease may have run out."""
        if data["op"] in (self.IDENTIFY, self.RESUME):
            try:
                self._require_lease(self._connection._get_client(), self.shard_id or 0)
            except LeaseNotHeld:
                await self.close()
                raise
        await super().send_as_json(data)

    @property
    def shard(self) -> Shard:
        """Whose connection it is."""
        return Shard(self._connection.application_id or 0, self.shard_count or 1, self.shard_id or 0)

    @property
    def session(self) -> Session | None:
        """Where its session may go on; None before READY, and when Discord has ended it."""
        if self.session_id is None or self.sequence is None:
            return None
        return Session(self.session_id, str(self.gateway), self.sequence)

    async def close(self, code: int = _KEEPS_SESSION) -> None:
        """Keeps the session, if there is one: a bot that is stopped will go on with it.

        discord.py closes with 1000 when it is stopped, which would end the session at Discord.
        """
        await super().close(code if self._tap is None or self.session is None else _KEEPS_SESSION)

    async def poll_event(self) -> None:
        """Waits for a message, and also takes those that have come with it.

        That costs no timer and no turn of the event loop for each, as discord.py's own would: 5 µs less a message.
        """
        try:
            await super().poll_event()
        except discord.gateway.ReconnectWebSocket:
            self._drop_session_of_invalid_sequence()
            raise
        if self._tap is None:
            return
        received = self.socket._reader._buffer
        while received and received[0][0].type in _PAYLOADS:
            # A payload that is there already: receive() returns it without a wait. Anything else, a close above all,
            # is left to the next poll_event, which alone knows what follows from it.
            message = await self.socket.receive()
            if message.type not in _PAYLOADS:  # closed meanwhile
                break
            await self.received_message(message.data)

    def _drop_session_of_invalid_sequence(self) -> None:
        """discord.py resumes after 4007 with the same sequence, and Discord refuses it again, without end."""
        if self._tap is not None and self.socket.close_code == _INVALID_SEQUENCE:
            self._tap.record_session(self)
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
        message = dispatch.read(text)
        if message is None:
            tap.router.counts["malformed"] += 1
            return
        if message.op != DISPATCH:
            # Before discord.py handles it: an op 9 makes it forget the session that a gap marker has to name.
            tap.record_session(self)
            await self._pass_on(message, text, tap)
            return
        if tap.publisher.is_full or not tap.leases.may_act(self.shard_id or 0, self._epoch):
            await self._wait_until_routable(tap)
        if tap.needs_preparation(message):
            await tap.prepare(message)
        tap.router.route(message, text, self.shard_id or 0, self.session_id or "")
        tap.watch_rights(message, text)
        if tap.is_for_client(message, self._resumed_at):
            await self._pass_on(message, text, tap)
            return
        # What discord.py does itself with every message that it gets. Only after routing: a saved session must never
        # be ahead of what the publisher has been given.
        if message.sequence is not None:
            self.sequence = message.sequence
        if self._keep_alive:
            self._keep_alive.tick()

    async def _wait_until_routable(self, tap: Tap) -> None:
        """Back-pressure: the socket is not read on, Discord's side fills, and memory does not.

        And after the process stood still the session may be another one's, which gets the rest of it too. If it is,
        this connection is closed, and the wait cancelled.
        """
        if tap.publisher.is_full:
            await tap.publisher.wait_for_capacity()
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
            self._refuse_foreign_gateway()
            tap.on_new_session(self)

    def _refuse_foreign_gateway(self) -> None:
        """The next connection would send the token wherever READY says."""
        if not is_trusted(str(self.gateway), self._named, discord.http.Route.BASE):
            logger.warning("READY names a gateway that is not Discord's", shard=self.shard_id)
            self.gateway = self._named


def install_tap(
    client: discord.Client,
    router: EventRouter,
    publisher: Publisher,
    sessions: SessionStore,
    forwarded: ForwardedInteractions,
    *,
    rights_changed: RightsChanged,
    leases: GatewayLeases,
) -> Tap:
    """From now on the client's dispatches go to the router, at the pace at which the publisher takes them.

    `UnsupportedLibrary` if discord.py is another version than the one that the seam was made for.
    """
    private_api.require_version("discord.py")
    # Both modules have imported the class by name and call from_client on it; there is no parameter for it.
    discord.shard.DiscordWebSocket = discord.client.DiscordWebSocket = TappedWebSocket  # type: ignore[misc]
    _taps[client] = tap = Tap(router, publisher, sessions, forwarded, rights_changed, leases)
    return tap


def set_api_base(api_base: str) -> None:
    """Every client of this process talks to that server, and to the gateway that it names."""
    discord.http.Route.BASE = api_base
