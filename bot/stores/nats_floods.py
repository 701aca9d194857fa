"""Ends the connections of sandboxes that flood NATS: the server itself bounds no rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

from loguru import logger

from bot import constants, names
from bot.stores.nats_connections import Connection, NatsConnections, Traffic, sandbox_of


class FloodWatch:
    """Compares what each sandbox has sent with what it had at the look before."""

    def __init__(self, connections: NatsConnections, bar: Callable[[UUID], object]) -> None:
        """`bar` keeps a sandbox from logging in for a while."""
        self._connections, self._bar = connections, bar
        self._before: dict[Connection, Traffic] = {}

    async def look(self) -> None:
        """One turn; `ServiceUnavailable` if NATS is away."""
        traffic = await self._connections.list_traffic()
        messages, size = _rates(self._before, traffic)
        self._before = traffic
        for sandbox_id, rate in messages.items():
            if rate > constants.FLOOD_MESSAGES or size[sandbox_id] > constants.FLOOD_BYTES:
                logger.warning(
                    "a sandbox floods NATS and is not let in for a while",
                    sandbox=names.short_id(sandbox_id),
                    messages_a_second=round(rate),
                    bytes_a_second=round(size[sandbox_id]),
                )
                await self._end(sandbox_id)

    async def _end(self, sandbox_id: UUID) -> None:
        self._bar(sandbox_id)
        for connection, traffic in self._before.items():
            if traffic.user == str(sandbox_id):
                await self._connections.disconnect(connection)


def _rates(
    before: dict[Connection, Traffic], now: dict[Connection, Traffic]
) -> tuple[dict[UUID, float], dict[UUID, float]]:
    """Messages and bytes that each sandbox sends a second, by its server's clock: since the look before, or since the
    connection began if that did not list it."""
    messages: dict[UUID, float] = defaultdict(float)
    size: dict[UUID, float] = defaultdict(float)
    for connection, traffic in now.items():
        if (sandbox_id := sandbox_of(traffic.user)) is None:
            continue
        earlier = before.get(connection) or Traffic(traffic.user, traffic.began_at, traffic.began_at, 0, 0)
        seconds = max((traffic.at - earlier.at).total_seconds(), constants.FLOODS_LOOKED_FOR_EVERY_S)
        messages[sandbox_id] += (traffic.messages - earlier.messages) / seconds
        size[sandbox_id] += (traffic.bytes - earlier.bytes) / seconds
    return messages, size
