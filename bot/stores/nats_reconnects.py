"""What a client of NATS does when it loses its server: it leaves a silent one, and tries those first that may live."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import ParseResult

import nats.errors
from loguru import logger
from nats.aio.client import Client, Server
from nats.aio.transport import TcpTransport

from bot import constants
from sandbox_worker.tls import name_refused

_MEND = "if it is to be trusted, name its authority's file in [tls] ca"
_REFUSALS = ("authorization violation", "authentication expired")


class _PlaintextError(nats.errors.Error):
    pass


class LeavingTransport(TcpTransport):
    """Cuts off the connection that its client has given up: to take leave of a server that stands still would keep the
    client from the next one. And sends nothing in the clear where TLS is wanted."""

    def __init__(self, client: Client, *, wants_tls: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._client, self._wants_tls = client, wants_tls

    def __bool__(self) -> bool:
        return True  # or else nats-py puts one of its own in the place of this before it connects

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """What was begun before and came to nothing is cut off."""
        self.abort()
        await super().connect(uri, buffer_size, connect_timeout)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Of a connection whose handshake fails nobody would hear that it has ended."""
        name_refused(ssl_context, mend=_MEND)
        try:
            await super().connect_tls(uri, ssl_context, buffer_size, connect_timeout)
        except BaseException:
            self.abort()
            self._io_reader = self._io_writer = None
            raise

    async def readline(self) -> bytes:
        """The greeting and what answers the login. nats-py logs in without TLS where a greeting doesn't ask for it."""
        line: bytes = await super().readline()  # type: ignore[no-untyped-call]
        if self._wants_tls and line.startswith(b"INFO ") and b'"tls_required":true' not in line:
            raise _PlaintextError("the server does not ask for TLS, which a tls:// address wants")
        return line

    def close(self) -> None:
        """Let what is written arrive, unless the connection is given up."""
        if self._client.is_reconnecting:
            self.abort()
        else:
            super().close()  # type: ignore[no-untyped-call]

    def abort(self) -> None:
        """Cut it off."""
        if self._io_writer is not None:
            self._io_writer.transport.abort()


class ConnectionLog:
    """What the client's callbacks tell of it, and which server it is to try next; outages are told by the parts that
    suffer from them."""

    def __init__(self, client: Client, servers: int) -> None:
        """`servers`: how many are named in the settings."""
        self._client, self._named = client, servers
        self._is_established, self._refusals = False, 0
        self._last = ""
        self.refused = asyncio.Event()
        """Before it was established: none of the named servers would let it in."""
        self.last_error: Exception | None = None

    def established(self) -> None:
        """It is connected for the first time."""
        self._is_established = True
        self._note_server()

    def choose(self, servers: Sequence[Server], _: dict[str, Any]) -> tuple[Server, float]:
        """The one that has failed least often since it served last, and the one that was lost after those; with how
        many seconds to wait first."""

        def doubts(server: Server) -> tuple[int, bool]:
            was_lost = server.uri.netloc == self._last
            return server.reconnects + was_lost, was_lost

        chosen = min(servers, key=doubts)
        return chosen, constants.NATS_RECONNECT_AFTER_S if chosen.reconnects else 0.0

    async def failed(self, error: Exception) -> None:
        """An `error_cb`."""
        if not self.refused.is_set():  # what comes after a refusal only follows from it
            self.last_error = error
        if not self._is_established and _is_refusal(error):
            self._refusals += 1
            if self._refusals >= self._named:
                self.refused.set()
        logger.debug("NATS client reports", error=repr(error))

    async def lost(self) -> None:
        """A `disconnected_cb`."""
        # nats-py would send its unwritten rest first after the reconnect, before what got lost on the way and is sent
        # again: out of order. Whoever needs an answer asks again anyway. There is no public way to drop it; did it lie
        # elsewhere, events would come inverted after an outage.
        self._client._pending.clear()
        self._client._pending_data_size = 0
        logger.debug("NATS connection lost")

    async def back(self) -> None:
        """A `reconnected_cb`."""
        self._note_server()
        logger.debug("NATS connection is back")

    async def found(self) -> None:
        """A `discovered_server_cb`."""
        self._note_server()

    def _note_server(self) -> None:
        url = self._client.connected_url
        self._last = url.netloc if url is not None else self._last
        if len(self._client.server_pool) > 1:  # there is another one to go to when this one falls silent
            self._client.options["ping_interval"] = constants.NATS_CLUSTER_PING_EVERY_S


def _is_refusal(error: Exception) -> bool:
    """By the server's words, for nats-py has no error of its own for them; or by ours."""
    text = str(error).lower()
    is_ours = isinstance(error, ssl.SSLCertVerificationError | _PlaintextError)
    return is_ours or any(words in text for words in _REFUSALS)
