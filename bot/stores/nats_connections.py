"""The sandboxes' live NATS connections, as the servers tell them to the system account."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from bot import constants, request
from bot.concurrency import gather_bounded, raise_first
from bot.errors import ServiceUnavailable
from bot.stores.nats_answers import ask_all


@dataclass(frozen=True, slots=True)
class Connection:
    """A live one of a sandbox's, by the number that its server gives it."""

    server_id: str
    cid: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a connection has sent since it began, and as whom. Times are its server's."""

    user: str
    began_at: datetime
    at: datetime
    messages: int
    bytes: int


class NatsConnections:
    """Methods that ask all servers raise `ServiceUnavailable` if none answers."""

    def __init__(self, system: Client, account: str) -> None:
        self._system, self._account = system, account

    async def list_all(self, sandbox_id: UUID) -> list[Connection]:
        """The sandbox's, on every server; those that wait for the answer to their login included."""
        with _reachable():
            answers = await self._ask_servers(
                {"auth": True, "limit": constants.NATS_MOST_LISTED, "user": str(sandbox_id)}
            )
        return [
            Connection(answer["server"]["id"], found["cid"])
            for answer in answers
            for found in answer["data"].get("connections") or ()
        ]

    async def list_traffic(self) -> dict[Connection, Traffic]:
        """Of the workers' busiest connections on every server."""
        question = {"auth": True, "acc": self._account, "sort": "msgs_from", "limit": constants.NATS_MOST_WATCHED}
        with _reachable():
            answers = await self._ask_servers(question)
        return {
            Connection(answer["server"]["id"], found["cid"]): _traffic(
                found, datetime.fromisoformat(answer["data"]["now"])
            )
            for answer in answers
            for found in answer["data"].get("connections") or ()
        }

    async def list_on_server(self, sandbox_id: UUID, server_id: str, *, at_most: int) -> set[tuple[str, int]]:
        """Server and number of the sandbox's, on that server; without those that wait for the answer to their login."""
        question = orjson.dumps({"auth": True, "acc": self._account, "user": str(sandbox_id), "limit": at_most})
        subject = f"$SYS.REQ.SERVER.{server_id}.CONNZ"
        answer = await self._system.request(subject, question, timeout=constants.NATS_LIST_WITHIN_S)
        return {(server_id, found["cid"]) for found in orjson.loads(answer.data)["data"].get("connections") or ()}

    async def disconnect(self, connections: Collection[Connection]) -> None:
        """All are tried, together. Their clients may connect anew at once."""
        raise_first(await gather_bounded(connections, self._disconnect, limit=constants.NATS_DISCONNECTS_AT_ONCE))

    async def _disconnect(self, connection: Connection) -> None:
        subject = f"$SYS.REQ.SERVER.{connection.server_id}.KICK"
        with _reachable():
            question = orjson.dumps({"cid": connection.cid})
            await self._system.request(subject, question, timeout=constants.NATS_DISCONNECT_WITHIN_S)

    async def _ask_servers(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """What every server answers; one that is in no cluster is the only one."""
        answers = await ask_all(
            self._system,
            "$SYS.REQ.SERVER.PING.CONNZ",
            orjson.dumps(question),
            first_within_s=constants.NATS_LIST_WITHIN_S,
            others_within_s=constants.NATS_OTHERS_WITHIN_S,
            is_last=_is_alone,
        )
        return [orjson.loads(answer.data) for answer in answers]


def _is_alone(answer: Msg) -> bool:
    """Whether the server is in no cluster."""
    return "cluster" not in orjson.loads(answer.data)["server"]


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
