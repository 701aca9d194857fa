"""Answers as Discord on this machine alone, and passes on to the relay."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox_worker import constants
from sandbox_worker.errors import WrongEnvironment
from sandbox_worker.run.heads import Head, read_head
from sandbox_worker.run.pipes import BREAKS, both, close, copy, pipe

_logger = logging.getLogger(__name__)

_BODY = b'{"message": "503: the relay is not reachable", "code": 0}'
_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
"""Never 401, for which some libraries forget their token."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the relay is. `authority` is what requests to it call its host."""

    host: str
    port: int
    authority: str
    is_secure: bool

    @classmethod
    def of(cls, url: str) -> Origin:
        """Of http, https, ws or wss; `WrongEnvironment` for any other address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise WrongEnvironment(f"{url} is no address of a relay. `/sandbox connect` hands out the right one.")
        is_secure = parts.scheme in ("https", "wss")
        authority = parts.netloc.rpartition("@")[2]
        return cls(parts.hostname, parts.port or (443 if is_secure else 80), authority, is_secure)


class Forwarder:
    """Each connection of the program is one to the relay: requests are addressed anew, everything else is left alone.

    `serve` takes connections whose TLS has ended here.
    """

    def __init__(self, api: Origin, gateway: Origin, trust: ssl.SSLContext) -> None:
        self._api, self._gateway, self._trust = api, gateway, trust
        self._is_away = False

    async def listen(self, tls: ssl.SSLContext) -> asyncio.Server:
        """On loopback, on a port that is free."""
        return await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls, family=socket.AF_INET)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends, or the program does. Never raises."""
        try:
            await self._serve(reader, writer)
        except BREAKS:
            await close(writer)
        except asyncio.CancelledError:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = await reader.readuntil(b"\r\n\r\n")
        origin = self._gateway if read_head(raw, "").is_upgrade else self._api
        try:
            relay_reader, relay_writer = await self._connect(origin)
        except OSError as error:
            self._note_away(error)
            writer.write(_AWAY)
            await close(writer)
            return
        self._is_away = False
        there = _pass_requests(read_head(raw, origin.authority), origin.authority, reader, relay_writer)
        await both(there, pipe(relay_reader, writer), writer, relay_writer)

    async def _connect(self, origin: Origin) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = self._trust if origin.is_secure else None
        async with asyncio.timeout(constants.RELAY_CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(origin.host, origin.port, ssl=tls)

    def _note_away(self, error: OSError) -> None:
        """Once, until it is back."""
        if not self._is_away:
            _logger.warning("the relay is not reachable, the program is told to wait: %s", type(error).__name__)
        self._is_away = True


async def _pass_requests(head: Head, host: str, reader: asyncio.StreamReader, relay: asyncio.StreamWriter) -> None:
    while True:
        relay.write(head.raw)
        if head.is_upgrade:
            await pipe(reader, relay)
            return
        if head.length is None:
            await _copy_chunks(reader, relay)
        else:
            await copy(reader, relay, head.length)
        await relay.drain()
        try:
            head = read_head(await reader.readuntil(b"\r\n\r\n"), host)
        except asyncio.IncompleteReadError:
            await pipe(reader, relay)  # passes on the end
            return


async def _copy_chunks(reader: asyncio.StreamReader, relay: asyncio.StreamWriter) -> None:
    while True:
        relay.write(line := await reader.readuntil(b"\r\n"))
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        await copy(reader, relay, size + len(b"\r\n"))
    while line != b"\r\n":  # trailers, and the empty line that ends them
        relay.write(line := await reader.readuntil(b"\r\n"))
