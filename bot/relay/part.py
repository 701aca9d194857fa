"""The relay as a part of the bot's process, or all of a process of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.listening import open_socket, server_tls
from bot.relay.server import Relay, RelayStores, serve_relay
from bot.settings import Settings, SettingsError
from bot.stores.nats_client import abort_nats, close_nats, open_nats
from bot.stores.opening import Stores
from bot.supervisor import Part, Supervisor


class RelayPart:
    """`run` is for the supervisor. `relay` is what serves just now; None while nothing does.

    The socket is opened once and outlives the part's restarts.
    """

    def __init__(self, settings: Settings, stores: Stores, supervisor: Supervisor) -> None:
        """`SettingsError` if it can't listen where the settings say. Where they say nothing, that is no reason not to
        start: somebody else's bot may have the usual port."""
        self._settings, self._stores, self._supervisor = settings, stores, supervisor
        self._tls = server_tls(settings.relay)
        self._listening = open_socket(settings.relay.listen, settings.relay) if settings.relay.listen else None
        if self._listening is not None and self._listening.family == socket.AF_UNIX and not settings.relay_address:
            raise SettingsError("relay.address: missing; a socket without a port does not say where clients reach it.")
        self.relay: Relay | None = None

    async def run(self, part: Part) -> None:
        """Serve until cancelled; `ServiceUnavailable` without NATS, or if the usual port is taken."""
        listening = self._listening = self._listening or self._open_usual_port()
        addresses = self._stores.addresses
        nats = await open_nats(addresses.nats, name="sandbox-relay", login=addresses.nats_login)
        try:
            async with serve_relay(
                RelayStores(self._stores.pool, self._stores.redis, nats),
                self._supervisor,
                self._settings,
                listening=listening.dup(),
                address=self._settings.relay_address or _address_of(listening, self._tls),
                tls=self._tls,
                settled_after_s=await self._stores.settled_after(),
            ) as self.relay:
                part.running()
                logger.info("ready: the relay serves", address=self.relay.address)
                await asyncio.Future()
        finally:
            self.relay = None
            try:
                async with asyncio.timeout(constants.CLOSE_WITHIN_S):
                    await close_nats(nats)
            except TimeoutError:
                abort_nats(nats)

    def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.close()

    def _open_usual_port(self) -> socket.socket:
        try:
            return open_socket(self._settings.relay_listen, self._settings.relay)
        except SettingsError as error:
            raise ServiceUnavailable("relay", str(error)) from error


def _address_of(listening: socket.socket, tls: ssl.SSLContext | None) -> str:
    """Of a socket that was handed over, with nothing said of where it is."""
    host, port = listening.getsockname()[:2]
    return f"{'http' if tls is None else 'https'}://{host}:{port}"
