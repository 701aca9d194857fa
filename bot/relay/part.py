"""The relay as a part of the bot's process, or all of a process of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl

from bot.relay.listening import open_socket, server_tls
from bot.relay.server import Relay, RelayStores, serve_relay
from bot.settings import Settings
from bot.stores.nats_client import abort_nats, close_nats, open_nats
from bot.stores.opening import Stores
from bot.supervisor import Part, Supervisor


class RelayPart:
    """`run` is for the supervisor. `relay` is what serves just now; None while nothing does."""

    def __init__(self, settings: Settings, stores: Stores, supervisor: Supervisor) -> None:
        """`SettingsError` if it can't listen: it holds the socket from now on, through its own restarts."""
        self._settings, self._stores, self._supervisor = settings, stores, supervisor
        self._tls = server_tls(settings.relay)
        self._listening = open_socket(settings.relay_listen, settings.relay)
        self.relay: Relay | None = None

    async def run(self, part: Part) -> None:
        """Serve until cancelled."""
        chosen, discord = self._settings.relay, self._settings.discord
        nats = await open_nats(self._stores.addresses.nats, name="sandbox-relay")
        try:
            async with serve_relay(
                RelayStores(self._stores.pool, self._stores.redis, nats),
                self._supervisor,
                api_base=discord.api_base,
                token=self._settings.require_token(),
                listening=self._listening.dup(),
                address=self._settings.relay_address or _address_of(self._listening, self._tls),
                tls=self._tls,
                privileged_intents=discord.privileged_intents,
                catch_up_s=chosen.catch_up_s,
                most_clients=chosen.max_clients,
            ) as self.relay:
                part.running()
                await asyncio.Future()
        finally:
            self.relay = None
            try:
                async with asyncio.timeout(1):
                    await close_nats(nats)
            except TimeoutError:
                abort_nats(nats)

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()


def _address_of(listening: socket.socket, tls: ssl.SSLContext | None) -> str:
    """Of a socket that was handed over, with nothing said of where it is."""
    host, port = listening.getsockname()[:2]
    return f"{'http' if tls is None else 'https'}://{host}:{port}"
