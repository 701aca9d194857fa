"""The one seam into discord.py: a WebSocket that hands every dispatch to the router as it was received.

It relies on private parts of discord.py 2.7.1; `tests/unit/test_gateway_seam.py` fails first when they change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import discord
import discord.client
import discord.gateway
import discord.http
import discord.shard
import yarl
from aiohttp import WSMsgType

from bot.routing import events
from bot.routing.publisher import Publisher
from bot.routing.router import EventRouter

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
_DISCORD_API = discord.http.Route.BASE
_taps: WeakKeyDictionary[ConnectionState[Any], _Tap] = WeakKeyDictionary()


class _Tap:
    def __init__(self, router: EventRouter, publisher: Publisher) -> None:
        self.router, self.publisher = router, publisher

    def takes(self, envelope: events.Envelope) -> bool:
        """Whether discord.py has to see the event too."""
        name = envelope.t
        if name in NEEDED:
            return True
        if name == "INTERACTION_CREATE":
            return self.router.is_own(envelope)
        return name == "MESSAGE_CREATE" and events.guild_id_of(envelope) is None


class TappedWebSocket(discord.gateway.DiscordWebSocket):
    """A client without a tap gets the original behaviour."""

    _tap: _Tap | None = None

    @classmethod
    async def from_client(cls, client: discord.Client, **options: Any) -> Any:
        if options.get("gateway") is None and discord.http.Route.BASE != _DISCORD_API:
            _, url, _ = await client.http.get_bot_gateway()
            options["gateway"] = yarl.URL(url)
        socket = await super().from_client(client, **options)
        socket._tap = _taps.get(client._connection)
        return socket

    async def poll_event(self) -> None:
        await super().poll_event()
        if self._tap is None:
            return
        # What has come with it costs no timer and no turn of the event loop each: 5 µs less a message.
        come = self.socket._reader._buffer
        while come and come[0][0].type in _PAYLOADS:
            await self.received_message((await self.socket.receive()).data)

    async def received_message(self, msg: Any, /) -> None:
        tap = self._tap
        if tap is None:
            await super().received_message(msg)
            return
        text = self._decompressor.decompress(msg) if type(msg) is bytes else msg
        if text is None:  # the rest of it is still to come
            return
        envelope = events.decode(text)
        if envelope is None:
            tap.router.counts["malformed"] += 1
            return
        if envelope.op != events.DISPATCH:
            await super().received_message(text)
            return
        if tap.publisher.is_full:
            await tap.publisher.room()
        tap.router.route(envelope, text, self.shard_id or 0, self.session_id or "")
        if tap.takes(envelope):
            await super().received_message(text)
            return
        self.sequence = envelope.s
        if self._keep_alive:
            self._keep_alive.tick()


def tap(client: discord.Client, router: EventRouter, publisher: Publisher) -> None:
    """From now on the client's dispatches go to the router, at the pace at which the publisher takes them."""
    if discord.__version__ != SUPPORTED:
        raise RuntimeError(f"discord.py {SUPPORTED} is needed, not {discord.__version__}: see bot/routing/gateway.py.")
    discord.shard.DiscordWebSocket = discord.client.DiscordWebSocket = TappedWebSocket  # type: ignore[misc]
    _taps[client._connection] = _Tap(router, publisher)


def point_at(api_base: str) -> None:
    """Every client of this process talks to that server, and to the gateway that it names."""
    discord.http.Route.BASE = api_base
