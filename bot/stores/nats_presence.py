"""Which servers of NATS run: one that has ended may have taken with it, if by a loss of power, what it had acknowledged
shortly before."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from nats.aio.client import Client

from bot.stores.nats_client import FAILURES, flush


class Presence(NamedTuple):
    """The ids of the servers, each another one whenever it is started, and up to when (monotonic) all are known to have
    run."""

    servers: frozenset[str]
    until: float


type ReadPresence = Callable[[], Presence]
"""As it is known just now. Must not wait."""


class ConnectedServer:
    """The one that the client is connected to, for a bot that nobody tells of the others: to it, another server of the
    same cluster is the end of the one before."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen = Presence(self._connected_to(), -math.inf)
        self._asking: asyncio.Task[None] | None = None

    def read(self) -> Presence:
        """A `ReadPresence`. Has the server asked whether it still runs, for the next time."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return self._seen

    async def _ask(self) -> None:
        servers, asked_at = self._connected_to(), monotonic()
        with suppress(*FAILURES):
            await flush(self._client)
            if servers == self._connected_to():
                self._seen = Presence(servers, asked_at)

    def _connected_to(self) -> frozenset[str]:
        return frozenset({str(self._client._server_info.get("server_id", ""))})
