"""The NATS servers that there are, as far as they, and the leader of their cluster, tell the system account."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_answers import ask_all
from bot.stores.nats_client import FAILURES, asking
from bot.stores.nats_presence import Presence


@dataclass(eq=False, slots=True)
class NatsServer:
    """One process: what is started again is another one, with another id, to which nobody of before is connected."""

    id: str
    name: str
    heard_at: float
    """Times are of time.monotonic()."""
    is_silent: bool = False
    is_unchecked: bool = False
    """A check of its connections has failed since the last that was done."""
    doubts: int = field(default=1, init=False)
    """How often somebody may have been connected there whose credentials count no more: it is new to us, or did not
    answer."""
    _settled: int = field(default=0, init=False)
    _check_at: float = field(default=math.inf, init=False)

    def settle(self, doubts: int) -> None:
        """A check that began after so many doubts has been done."""
        self._settled, self.is_unchecked = doubts, False
        self._check_at = time.monotonic() + constants.NATS_SERVERS_CHECKED_EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether its connections are to be checked now: for a doubt, or because the last check was long ago."""
        return not self.is_silent and (self.doubts != self._settled or time.monotonic() >= self._check_at)


class NatsServers:
    """Who does not answer is remembered, and told of by name, until it answers or is gone for good: it has said that it
    shuts down, has been started again, or is silent for long and no member of the cluster (any more)."""

    def __init__(self, system: Client) -> None:
        self._system = system
        self._known: dict[str, NatsServer] = {}
        self._shut_down: dict[str, str] = {}
        self._members: frozenset[str] = frozenset()
        self._looked_at, self._reconnects = -math.inf, 0

    async def look(self) -> None:
        """Ask who is there; `ServiceUnavailable` if nobody answers."""
        try:
            answers = await self._ask()
        except ServiceUnavailable:
            self.doubt_all()
            raise
        if (reconnects := self._system.stats["reconnects"]) != self._reconnects:
            self._reconnects = reconnects
            self.doubt_all()  # whatever was asked meanwhile is lost
        self._note([orjson.loads(answer.data) for answer in answers], alone=_is_alone(answers[-1]))

    async def _ask(self) -> list[Msg]:
        with asking():
            return await ask_all(
                self._system,
                "$SYS.REQ.SERVER.PING",
                first_within_s=constants.NATS_SERVERS_ANSWER_WITHIN_S,
                others_within_s=constants.NATS_OTHERS_WITHIN_S,
                again_s=constants.NATS_SERVERS_ASKED_AGAIN_S,
                is_last=_is_alone,
            )

    async def answering(self) -> list[NatsServer]:
        """Those that are not known to be silent; `ServiceUnavailable` if there is none. Asks who is there if nobody has
        lately."""
        if time.monotonic() > self._looked_at + constants.NATS_SERVERS_KNOWN_FOR_S:
            await self.look()
        found = [server for server in self._known.values() if not server.is_silent]
        if not found:
            raise ServiceUnavailable("NATS", "no server says who is connected")
        return found

    def presence(self) -> Presence:
        """A `ReadPresence`. One that is silent counts as ended if others answer: only what it had acknowledged before
        can be lost with it. If nobody answers, nobody acknowledges anything."""
        known = list(self._known.values())
        there = [server for server in known if not server.is_silent] or known
        return Presence(
            frozenset(server.id for server in there), min((each.heard_at for each in there), default=-math.inf)
        )

    async def list_unasked(self) -> list[str]:
        """Names of those where somebody may still be connected whose credentials count no more."""
        answering = {server.name for server in await self.answering()}
        doubtful = {server.name for server in self._known.values() if server.is_silent or server.is_unchecked}
        return sorted(doubtful | (self._members - answering - set(self._shut_down.values())))

    def list_due(self) -> list[NatsServer]:
        """Whose connections are to be checked."""
        return [server for server in self._known.values() if server.is_due]

    def doubt_all(self) -> None:
        """None of them has answered, or another process may not have ended somebody there."""
        for server in self._known.values():
            server.doubts += 1

    def doubt(self, server_id: str) -> None:
        """It has not answered a question."""
        if server_id in self._known:
            self._known[server_id].doubts += 1

    @asynccontextmanager
    async def hearing_shutdowns(self) -> AsyncIterator[None]:
        """As long as the context lasts a server that says so is gone for good."""
        with asking():
            subscription = await self._system.subscribe("$SYS.SERVER.*.SHUTDOWN", cb=self._on_shutdown)
        try:
            yield
        finally:
            with suppress(*FAILURES):
                await subscription.unsubscribe()

    async def _on_shutdown(self, message: Msg) -> None:
        told = orjson.loads(message.data)["server"]
        self._shut_down[told["id"]] = told["name"]
        self._known.pop(told["id"], None)

    def _note(self, answers: list[dict[str, Any]], *, alone: bool) -> None:
        now = time.monotonic()
        for answer in answers:
            self._hear(answer["server"], now)
        if alone:
            self._known = {known: server for known, server in self._known.items() if server.heard_at == now}
        self._members = next(filter(None, map(_members, answers)), frozenset() if alone else self._members)
        for server in [server for server in self._known.values() if server.heard_at != now]:
            self._miss(server, now)
        self._looked_at = now

    def _hear(self, told: Mapping[str, Any], now: float) -> None:
        server_id, name = told["id"], told["name"]
        if server_id in self._shut_down:
            return
        server = self._known.get(server_id)
        if server is None:
            self._forget(other for other in self._known.values() if other.name == name)
            server = self._known[server_id] = NatsServer(server_id, name, now)
        elif server.is_silent:
            server.is_silent = False
            logger.info("a NATS server answers again", server=name)
        server.heard_at = now

    def _miss(self, server: NatsServer, now: float) -> None:
        silent_s = now - server.heard_at
        if silent_s > constants.NATS_SERVER_GONE_AFTER_S and server.name not in self._members:
            self._forget([server])
        elif silent_s > constants.NATS_SERVER_SILENT_AFTER_S and not server.is_silent:
            server.is_silent = True
            server.doubts += 1
            logger.warning("a NATS server does not say who is connected", server=server.name)

    def _forget(self, servers: Iterable[NatsServer]) -> None:
        for server in list(servers):
            del self._known[server.id]


def _is_alone(answer: Msg) -> bool:
    """Whether the server is in no cluster."""
    return "cluster" not in orjson.loads(answer.data)["server"]


def _members(answer: Mapping[str, Any]) -> frozenset[str] | None:
    """Names of all servers that store streams, those that are away included, as the leader of their cluster says them;
    None from any other."""
    meta = ((answer.get("statsz") or {}).get("jetstream") or {}).get("meta") or {}
    leader = meta.get("leader")
    if leader != answer["server"]["name"]:
        return None
    return frozenset({leader, *(other["name"] for other in meta.get("replicas") or ())})
