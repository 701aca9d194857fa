"""The sandboxes' live NATS connections, as the servers tell them to the system account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import nats.errors
import orjson
from nats.aio.client import Client

from bot import constants, request
from bot.concurrency import failures, gather_bounded, raise_first
from bot.errors import ServiceUnavailable
from bot.stores.nats_servers import NatsServer, NatsServers


@dataclass(frozen=True, slots=True)
class Connection:
    """A live one of a sandbox's, by the number that its server gives it."""

    server_id: str
    cid: int


@dataclass(frozen=True, slots=True)
class LiveConnection:
    """Whose a connection is, and between which times of time.monotonic() it began. None: its login is under way."""

    connection: Connection
    sandbox_id: UUID | None
    began_after: float
    began_before: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a connection has sent since it began, and as whom. Times are its server's."""

    user: str
    began_at: datetime
    at: datetime
    messages: int
    bytes: int


class NatsConnections:
    """A server that does not answer has its connections checked when it answers again: see `ConnectionWatch`."""

    def __init__(self, system: Client, account: str) -> None:
        self._system, self._account = system, account
        self.servers = NatsServers(system)

    async def list_all(self, sandbox_id: UUID) -> list[Connection]:
        """The sandbox's, those that wait for the answer to their login included, on every server that answers;
        `ServiceUnavailable` if there is none on them and one does not answer: silence is no word that there is none."""
        found, failed = await self._ask_servers(_of_user(sandbox_id))
        connections = [connection for answer in found for connection in _connections(answer)]
        if not connections:
            raise_first(failed)
            if unasked := await self.servers.list_unasked():
                raise ServiceUnavailable("NATS", f"{', '.join(unasked)} does not say who is connected")
        return connections

    async def list_traffic(self) -> dict[Connection, Traffic]:
        """Of the workers' busiest connections on every server that answers; `ServiceUnavailable` if none does."""
        question = {"auth": True, "acc": self._account, "sort": "msgs_from", "limit": constants.NATS_MOST_WATCHED}
        found, failed = await self._ask_servers(question)
        if not found:
            raise_first(failed)
        return {
            Connection(answer["server"]["id"], told["cid"]): _traffic(
                told, datetime.fromisoformat(answer["data"]["now"])
            )
            for answer in found
            for told in answer["data"].get("connections") or ()
        }

    async def list_live(self, server: NatsServer) -> list[LiveConnection]:
        """Everybody of the sandboxes' on that server, and everybody whose login is under way."""
        asked_at = time.monotonic()
        answer = await self._ask(server.id, {"auth": True, "limit": constants.NATS_MOST_LISTED})
        answered_at, now = time.monotonic(), datetime.fromisoformat(answer["data"]["now"])
        live = []
        for told in answer["data"].get("connections") or ():
            sandbox_id = sandbox_of(told.get("authorized_user", ""))
            age_s = (now - datetime.fromisoformat(told["start"])).total_seconds()
            began = asked_at - age_s, answered_at - age_s
            connection = Connection(server.id, told["cid"])
            if "account" not in told:
                live.append(LiveConnection(connection, None, *began))
            elif told["account"] == self._account and sandbox_id is not None:
                live.append(LiveConnection(connection, sandbox_id, *began))
        return live

    async def list_on_server(self, sandbox_id: UUID, server_id: str, *, at_most: int) -> set[tuple[str, int]]:
        """Server and number of the sandbox's, on that server; without those that wait for the answer to their login."""
        question = orjson.dumps({"auth": True, "acc": self._account, "user": str(sandbox_id), "limit": at_most})
        subject = f"$SYS.REQ.SERVER.{server_id}.CONNZ"
        answer = await self._system.request(subject, question, timeout=constants.NATS_LIST_WITHIN_S)
        return {(server_id, found["cid"]) for found in orjson.loads(answer.data)["data"].get("connections") or ()}

    async def disconnect_all(self, sandbox_id: UUID, *, rounds: int = 1) -> int:
        """End the sandbox's, those that just log in included, on every server, and so often as there are some, at most
        so many `rounds`; how many there were. They may log in anew at once.

        One server waits for no other. `ServiceUnavailable` if none answers.
        """

        async def disconnect(server: NatsServer) -> int:
            return await self._disconnect_all(server, sandbox_id, rounds)

        servers = await self.servers.answering()
        outcomes = await gather_bounded(servers, disconnect, limit=constants.NATS_SERVERS_ASKED_AT_ONCE)
        if len(failures(outcomes)) == len(servers):
            raise_first(outcomes)
        if failures(outcomes) or await self.servers.list_unasked():
            request.note_behind("NATS")
        return sum(outcome for outcome in outcomes if isinstance(outcome, int))

    async def _disconnect_all(self, server: NatsServer, sandbox_id: UUID, rounds: int) -> int:
        count = 0
        for _ in range(rounds):
            connections = _connections(await self._ask(server.id, _of_user(sandbox_id)))
            await self.disconnect(connections)
            count += len(connections)
            if not connections:
                break
        return count

    async def disconnect(self, connections: Collection[Connection]) -> None:
        """All are tried, together. Their clients may connect anew at once."""
        raise_first(await gather_bounded(connections, self._disconnect, limit=constants.NATS_DISCONNECTS_AT_ONCE))

    async def _disconnect(self, connection: Connection) -> None:
        await self._request(connection.server_id, "KICK", {"cid": connection.cid}, constants.NATS_DISCONNECT_WITHIN_S)

    async def _ask_servers(self, question: dict[str, Any]) -> tuple[list[dict[str, Any]], list[BaseException]]:
        """What those say that answer, and why the others don't."""
        servers = await self.servers.answering()
        outcomes = await asyncio.gather(*(self._ask(one.id, question) for one in servers), return_exceptions=True)
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)], failures(outcomes)

    async def _ask(self, server_id: str, question: dict[str, Any]) -> dict[str, Any]:
        return await self._request(server_id, "CONNZ", question, constants.NATS_LIST_WITHIN_S)

    async def _request(self, server_id: str, name: str, question: dict[str, Any], within_s: float) -> dict[str, Any]:
        subject = f"$SYS.REQ.SERVER.{server_id}.{name}"
        try:
            with _reachable():
                answer = await self._system.request(subject, orjson.dumps(question), timeout=within_s)
        except BaseException:
            self.servers.doubt(server_id)
            raise
        told: dict[str, Any] = orjson.loads(answer.data)
        return told


def _of_user(sandbox_id: UUID) -> dict[str, Any]:
    return {"auth": True, "limit": constants.NATS_MOST_LISTED, "user": str(sandbox_id)}


def _connections(answer: dict[str, Any]) -> list[Connection]:
    server_id = answer["server"]["id"]
    return [Connection(server_id, found["cid"]) for found in answer["data"].get("connections") or ()]


def _traffic(found: dict[str, Any], at: datetime) -> Traffic:
    began_at = datetime.fromisoformat(found["start"])
    return Traffic(found.get("authorized_user", ""), began_at, at, found["in_msgs"], found["in_bytes"])


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        with request.waiting_for("NATS"):
            yield
    except (nats.errors.Error, OSError) as error:
        raise ServiceUnavailable.because("NATS", error, f"cannot tell or end connections: {error!r}") from error


def sandbox_of(user: str) -> UUID | None:
    """None unless it is spelled as `str(id)`: the servers find connections by the spelling."""
    try:
        sandbox_id = UUID(user)
    except ValueError:
        return None
    return sandbox_id if str(sandbox_id) == user else None
