"""What NATS has room for: the limits of the bot's account, and the servers of the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from nats.aio.client import Client

from bot import constants
from bot.findings import Finding, failure, warning
from bot.i18n import gettext
from bot.stores.nats_client import ask_jetstream, asking

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NatsNeeds:
    """What the settings ask of it: each stream's bytes and replicas, how many sandboxes one developer may have, and how
    many connections one sandbox."""

    stream_bytes: int
    replicas: int
    quota: int
    per_sandbox: int


@dataclass(frozen=True, slots=True)
class NatsCapacity:
    """`servers` with JetStream, of which one stream may lie on several; None if nobody says. `limits` are the
    account's, as JetStream names them, without those that are unlimited; None if it may have no stream on so many
    servers. `most_connections` are one server's; None if nobody says."""

    servers: int | None
    max_payload: int
    limits: Mapping[str, int] | None
    streams: int
    reserved: int
    most_connections: int | None

    def findings(self, needs: NatsNeeds) -> Iterator[Finding]:
        """What does not fit, with what would."""
        yield from self._of_replicas(needs)
        yield from self._of_server(needs)
        yield from self._of_streams(needs)
        yield from self._of_consumers()

    def _of_replicas(self, needs: NatsNeeds) -> Iterator[Finding]:
        if self.servers is not None and self.servers < needs.replicas:
            yield failure(
                gettext(
                    "nats.stream_replicas is {replicas}, and the servers with JetStream are {servers}: no stream can "
                    "be made.",
                    replicas=needs.replicas,
                    servers=self.servers,
                ),
                gettext("Lower it, or let more of them join the cluster."),
            )
        elif self.limits is None:
            yield failure(
                gettext(
                    "nats.stream_replicas is {replicas}, and the account may have no stream on so many servers.",
                    replicas=needs.replicas,
                ),
                gettext("Lower it, or have the account's limits for so many raised."),
            )

    def _of_server(self, needs: NatsNeeds) -> Iterator[Finding]:
        if self.max_payload < constants.NATS_USUAL_PAYLOAD:
            yield warning(
                gettext(
                    "It takes {bytes} bytes a message, and larger events arrive as a stub.", bytes=self.max_payload
                ),
                gettext("Raise max_payload."),
            )
        wanted = constants.NATS_CONNECTIONS_OF_BOT + needs.quota * needs.per_sandbox
        if self.most_connections is not None and self.most_connections < wanted:
            yield warning(
                gettext(
                    "A server takes {most} connections, and the bot with one developer's {quota} sandboxes may have "
                    "{wanted}.",
                    most=self.most_connections,
                    quota=needs.quota,
                    wanted=wanted,
                ),
                gettext("Raise max_connections, or lower isolation.max_connections."),
            )

    def _of_streams(self, needs: NatsNeeds) -> Iterator[Finding]:
        limits = self.limits or {}
        if (largest := limits.get("storage_max_stream_bytes", needs.stream_bytes)) < needs.stream_bytes:
            yield failure(
                gettext(
                    "storage_max_stream_bytes of the account is {largest}: no stream can be made.", largest=largest
                ),
                gettext("Lower nats.stream_max_megabytes to {megabytes}.", megabytes=largest // _MEGABYTE),
            )
        for limit, room in self._rooms(needs).items():
            if room < needs.quota:
                yield warning(
                    gettext(
                        "{limit} of the account has room for {room} more sandboxes, and one developer may have "
                        "{quota}.",
                        limit=limit,
                        room=max(room, 0),
                        quota=needs.quota,
                    ),
                    gettext("Raise it, or lower nats.stream_max_megabytes or sandboxes.max_per_owner."),
                )

    def _rooms(self, needs: NatsNeeds) -> dict[str, int]:
        """For how many sandboxes more, by what limits them."""
        limits, rooms = self.limits or {}, dict[str, int]()
        if (most := limits.get("max_streams")) is not None:
            rooms["max_streams"] = most - self.streams
        if (most := limits.get("max_storage")) is not None:
            rooms["max_storage"] = (most - self.reserved) // needs.stream_bytes // needs.replicas
        return rooms

    def _of_consumers(self) -> Iterator[Finding]:
        wanted = {
            "max_consumers": 1 + constants.MOST_LISTENERS,
            "max_ack_pending": constants.WORKER_MOST_UNACKNOWLEDGED,
        }
        for limit, least in wanted.items():
            if (most := (self.limits or {}).get(limit, least)) < least:
                yield warning(
                    gettext(
                        "{limit} of the account is {most}, and one sandbox may need {least}.",
                        limit=limit,
                        most=most,
                        least=least,
                    ),
                    gettext("Raise it."),
                )


async def read_nats_capacity(client: Client, system: Client | None, replicas: int) -> NatsCapacity:
    """Of the account for streams on so many servers, and of the server that the bot is connected to.
    `ServiceUnavailable` if that does not say."""
    with asking():
        account = await ask_jetstream(client, "INFO")
        server = {} if system is None else await _ask_server(system)
    tiers = account.get("tiers")
    told: Mapping[str, Any] | None = account if tiers is None else tiers.get(f"R{replicas}")
    return NatsCapacity(
        _count_servers(client, server),
        client.max_payload,
        None if told is None else _limited(told.get("limits") or {}),
        int((told or {}).get("streams", 0)),
        int((told or {}).get("reserved_storage", 0)),
        server.get("max_connections"),
    )


async def _ask_server(system: Client) -> dict[str, Any]:
    """What the first one says of itself."""
    answer = await system.request("$SYS.REQ.SERVER.PING.VARZ", timeout=constants.NATS_ANSWER_WITHIN_S)
    told: dict[str, Any] = orjson.loads(answer.data).get("data") or {}
    return told


def _count_servers(client: Client, server: Mapping[str, Any]) -> int | None:
    if not client._server_info.get("cluster"):
        return 1
    size: int | None = ((server.get("jetstream") or {}).get("meta") or {}).get("cluster_size")
    return size


def _limited(limits: Mapping[str, Any]) -> dict[str, int]:
    """-1 is for no limit, and so is 0 for some."""
    return {name: most for name, most in limits.items() if not isinstance(most, bool) and most > 0}
