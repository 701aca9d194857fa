"""The sandboxes' live NATS connections, as the servers tell them to the system account."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import nats.errors
import orjson
from nats.aio.client import Client

from bot import constants, request
from bot.errors import ServiceUnavailable


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
        answer = await self._system.request(
            f"$SYS.REQ.SERVER.{server_id}.CONNZ", question, timeout=constants.NATS_LIST_WITHIN_S
        )
        return {(server_id, found["cid"]) for found in orjson.loads(answer.data)["data"].get("connections") or ()}

    async def disconnect(self, connection: Connection) -> None:
        """Its client may connect anew at once."""
        subject = f"$SYS.REQ.SERVER.{connection.server_id}.KICK"
        with _reachable():
            question = orjson.dumps({"cid": connection.cid})
            await self._system.request(subject, question, timeout=constants.NATS_DISCONNECT_WITHIN_S)

    async def _ask_servers(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """What every server answers; one that is in no cluster is the only one."""
        inbox = self._system.new_inbox()
        answers: list[dict[str, Any]] = []
        subscription = await self._system.subscribe(inbox)
        try:
            await self._system.publish("$SYS.REQ.SERVER.PING.CONNZ", orjson.dumps(question), reply=inbox)
            async with asyncio.timeout(constants.NATS_GATHER_WITHIN_S):
                while not answers or "cluster" in answers[-1]["server"]:
                    answers.append(orjson.loads((await subscription.next_msg(timeout=None)).data))
        except TimeoutError:
            if not answers:
                raise ServiceUnavailable("NATS", "no server tells its connections") from None
        finally:
            await subscription.unsubscribe()
        return answers


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
