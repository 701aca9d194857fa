"""NATS: the one durable consumer of each sandbox's stream, and how it is made again where its workers were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from bot import constants, names
from bot.stores.nats_client import ask_jetstream, asking
from bot.stores.stream_positions import Acknowledged, StreamPosition
from sandbox_worker import protocol

type SyncStream = Callable[[str], object]
"""Begins to bring the server's files of the stream of that name to the disk."""


class ConsumerState(NamedTuple):
    """Of which stream it is, and up to which sequence its events may have been delivered before it was made."""

    stream_created_at: datetime
    possible_duplicates_up_to: int


class Successor(NamedTuple):
    """A consumer that was made in place of another one: it delivers what is `after`, `possible_duplicates` of which may
    have been acknowledged."""

    after: int
    possible_duplicates: int


class WorkerConsumers:
    """The consumers that workers share. Every method raises `ServiceUnavailable` when NATS cannot answer."""

    def __init__(self, client: Client, sync: SyncStream | None = None) -> None:
        """`sync` is called for each stream that has got its consumer, with which it is complete."""
        self._client, self._sync = client, sync
        self._jetstream = client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)

    async def create(self, sandbox_id: UUID) -> None:
        """For all that the stream holds. Safe to repeat."""
        with asking():
            await self._make(sandbox_id, _config(sandbox_id))

    async def make_again(self, sandbox_id: UUID, known: Acknowledged | None) -> Successor:
        """In place of one that NATS has lost: behind what is known to be acknowledged, and marked as far as nobody
        knows what of the rest was."""
        with asking():
            stream = await ask_jetstream(self._client, f"STREAM.INFO.{names.stream_name(sandbox_id)}")
            last = int(stream["state"]["last_seq"])
            after = known.sequence if known is not None and await self._counts(known, stream) else 0
            await self._make(sandbox_id, _config(sandbox_id, after=after, last=last))
        first = int(stream["state"]["first_seq"])
        return Successor(after, last - max(after, first - 1))

    async def acknowledged(self, sandbox_id: UUID, known: Acknowledged | None = None) -> Acknowledged | None:
        """How far the workers are; None if there is no consumer. It is not asked for as long as the stream ends with
        what is `known` to be acknowledged."""
        with asking():
            try:
                # In this order: where the stream is made again in between, the position counts for neither.
                last = await self._last(sandbox_id)
                if known is not None and known.order == last.order:
                    return known
                created_at, consumer = last.stream_created_at, await self._info(sandbox_id)
            except NotFoundError:
                return None
        floor = int(consumer["ack_floor"]["stream_seq"])
        return Acknowledged(floor, created_at, datetime.fromisoformat(consumer["ts"]))

    async def state(self, sandbox_id: UUID) -> ConsumerState | None:
        """None if there is no consumer."""
        with asking():
            try:
                consumer = await self._info(sandbox_id)
                last = await self._last(sandbox_id)
            except NotFoundError:
                return None
        metadata = consumer["config"].get("metadata") or {}
        return ConsumerState(last.stream_created_at, int(metadata.get(protocol.POSSIBLE_DUPLICATES, 0)))

    async def _info(self, sandbox_id: UUID) -> dict[str, Any]:
        return await ask_jetstream(
            self._client, f"CONSUMER.INFO.{names.stream_name(sandbox_id)}.{names.WORKER_CONSUMER}"
        )

    async def _last(self, sandbox_id: UUID) -> StreamPosition:
        """Of what the stream has got."""
        told = await ask_jetstream(self._client, f"STREAM.INFO.{names.stream_name(sandbox_id)}")
        return StreamPosition(int(told["state"]["last_seq"]), datetime.fromisoformat(told["created"]))

    async def _make(self, sandbox_id: UUID, config: ConsumerConfig) -> None:
        try:
            await self._jetstream.add_consumer(names.stream_name(sandbox_id), config)
        except APIError:  # another process, perhaps, has made one that begins elsewhere
            if not await self._exists(sandbox_id):
                raise
        if self._sync is not None:
            self._sync(names.stream_name(sandbox_id))

    async def _exists(self, sandbox_id: UUID) -> bool:
        try:
            await self._info(sandbox_id)
        except NotFoundError:
            return False
        return True

    async def _counts(self, known: Acknowledged, stream: dict[str, Any]) -> bool:
        """Whether the sequence still means the same event: not in another stream, nor in one that has lost its end with
        the power and has given the numbers away again."""
        if known.stream_created_at != datetime.fromisoformat(stream["created"]):
            return False
        state = stream["state"]
        if known.sequence < max(state["first_seq"], 1):
            return True
        if known.sequence > state["last_seq"]:
            return False
        request = orjson.dumps({"seq": known.sequence})
        try:
            told = await ask_jetstream(self._client, f"STREAM.MSG.GET.{stream['config']['name']}", request)
        except NotFoundError:  # thrown away meanwhile, as the oldest
            return True
        return datetime.fromisoformat(told["message"]["time"]) <= known.known_at


def _config(sandbox_id: UUID, *, after: int = 0, last: int = 0) -> ConsumerConfig:
    """For what the stream holds after a sequence, of which all up to the last may be duplicates."""
    config = ConsumerConfig(
        durable_name=names.WORKER_CONSUMER,
        filter_subject=names.event_subjects(sandbox_id),
        ack_wait=protocol.ACK_WAIT_S,
        max_ack_pending=constants.WORKER_MOST_UNACKNOWLEDGED,
    )
    if after:
        config = config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
    return config.evolve(metadata={protocol.POSSIBLE_DUPLICATES: str(last)}) if last > after else config
