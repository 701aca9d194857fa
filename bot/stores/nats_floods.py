"""Ends the connections of sandboxes that flood NATS: the server itself bounds no rate."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from loguru import logger

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.stores.bars import Bars
from bot.stores.nats_connections import Connection, NatsConnections, Traffic, sandbox_of

CountAccepted = Callable[[UUID], Awaitable[int]]
"""How many acknowledgements of a sandbox's the server has accepted, ever. `ServiceUnavailable` if it does not say."""


async def _none_accepted(_: UUID) -> int:
    return 0


class FloodWatch:
    """Compares what each sandbox has sent with what it had at the look before.

    Who has sent too much is warned of at one look and barred at the next, if it goes on. What the server has taken for
    acknowledgements of events meanwhile is not counted, nor one request for each of them: fast workers that catch up
    with a backlog send as much, and what they can send so ends with the backlog. More than any of them sends is not
    waited with.
    """

    def __init__(self, connections: NatsConnections, bars: Bars[UUID]) -> None:
        """`bars` keeps a sandbox from logging in for a while."""
        self._connections, self.bars = connections, bars
        self.count_accepted: CountAccepted = _none_accepted
        self._before: dict[Connection, Traffic] = {}
        self._suspects: dict[UUID, _Suspect] = {}

    async def look(self) -> None:
        """One turn; `ServiceUnavailable` if NATS is away."""
        traffic = await self._connections.list_traffic()
        sent, self._before = _rates(self._before, traffic), traffic
        suspects = {known: suspect for known, suspect in self._suspects.items() if suspect.until > time.monotonic()}
        self._suspects = {}
        for sandbox_id in suspects.keys() | {busy for busy, rate in sent.items() if rate.is_a_flood()}:
            before = suspects.get(sandbox_id)
            now = _Suspect(await self._accepted(sandbox_id, before))
            if await self._is_barred(sandbox_id, sent.get(sandbox_id, _Rate()), before, now):
                continue
            self._suspects[sandbox_id] = now

    async def _accepted(self, sandbox_id: UUID, before: _Suspect | None) -> int:
        """None more than before if the server is too busy to say, with the flood perhaps."""
        try:
            async with asyncio.timeout(constants.FLOOD_ACCEPTED_WITHIN_S):
                return await self.count_accepted(sandbox_id)
        except (ServiceUnavailable, TimeoutError):
            return before.accepted if before else 0

    async def _is_barred(self, sandbox_id: UUID, sent: _Rate, before: _Suspect | None, now: _Suspect) -> bool:
        if before is None and sent.messages < constants.FLOOD_MESSAGES_OF_NO_WORKER:
            logger.warning("a sandbox sends NATS very much", **sent.facts(sandbox_id))
            return False
        if before is not None:
            sent = replace(sent, messages=sent.messages - 2 * now.accepted_since(before))
        if not sent.is_a_flood():
            return False
        logger.warning("a sandbox floods NATS and is not let in for a while", **sent.facts(sandbox_id))
        await self._end(sandbox_id)
        return True

    async def _end(self, sandbox_id: UUID) -> None:
        self.bars.bar(sandbox_id)
        user = str(sandbox_id)
        await self._connections.disconnect([one for one, traffic in self._before.items() if traffic.user == user])


@dataclass(frozen=True, slots=True)
class _Rate:
    """What a sandbox sends a second."""

    messages: float = 0.0
    bytes: float = 0.0

    def is_a_flood(self) -> bool:
        return self.messages > constants.FLOOD_MESSAGES or self.bytes > constants.FLOOD_BYTES

    def facts(self, sandbox_id: UUID) -> dict[str, object]:
        short_id = names.short_id(sandbox_id)
        return {"sandbox": short_id, "messages_a_second": round(self.messages), "bytes_a_second": round(self.bytes)}


@dataclass(frozen=True, slots=True)
class _Suspect:
    accepted: int
    at: float = field(default_factory=time.monotonic)
    until: float = field(default_factory=lambda: time.monotonic() + constants.FLOOD_SUSPECTED_FOR_S)

    def accepted_since(self, before: _Suspect) -> float:
        """Acknowledgements a second. Those of a consumer that was made again count from 0."""
        earlier = before.accepted if before.accepted <= self.accepted else 0
        return (self.accepted - earlier) / max(self.at - before.at, constants.FLOODS_LOOKED_FOR_EVERY_S)


def _rates(before: dict[Connection, Traffic], now: dict[Connection, Traffic]) -> dict[UUID, _Rate]:
    """By its server's clock: since the look before, or since the connection began if that did not list it."""
    rates: dict[UUID, _Rate] = defaultdict(_Rate)
    for connection, traffic in now.items():
        if (sandbox_id := sandbox_of(traffic.user)) is None:
            continue
        earlier = before.get(connection) or Traffic(traffic.user, traffic.began_at, traffic.began_at, 0, 0)
        seconds = max((traffic.at - earlier.at).total_seconds(), constants.FLOODS_LOOKED_FOR_EVERY_S)
        messages, size = traffic.messages - earlier.messages, traffic.bytes - earlier.bytes
        rate = rates[sandbox_id]
        rates[sandbox_id] = _Rate(rate.messages + messages / seconds, rate.bytes + size / seconds)
    return rates
