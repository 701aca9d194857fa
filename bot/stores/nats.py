"""NATS: each sandbox's stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from nats.aio.client import Client
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import BadRequestError, NotFoundError

from bot import constants, names
from bot.errors import InvalidInput, ServiceUnavailable
from bot.stores.nats_client import ask_jetstream, asking, set_replicas
from bot.stores.nats_consumers import SyncStream, WorkerConsumers
from bot.stores.stream_leaders import LeaderAway, StreamLeaders
from bot.stores.stream_marks import MARK, age_of, sandbox_of
from bot.stores.stream_positions import StreamPosition
from sandbox_worker import protocol

_NAME_IN_USE = 10058
"""JetStream's code for a stream that exists and is configured differently."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one sandbox's stream keeps, and on how many servers; the oldest events go first."""

    max_age: timedelta
    max_messages: int
    max_bytes: int
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class StreamStats:
    """What a sandbox's stream holds, and how much of it no worker has acknowledged.

    `last` is the sequence of what it got last. It counts from 1 again in a stream with another time of creation.
    """

    messages: int
    bytes: int
    waiting: int
    workers: int
    last: int
    created_at: datetime | None
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Replay:
    """What to deliver to which subject: from a time (Unix, seconds) or a stream sequence on; neither: what is new.

    The sequence is that of the stream which was created then, or if that is not given, of any.
    """

    deliver: str
    since: float | None = None
    after: int | None = None
    events: tuple[str, ...] = ()
    stream_created_at: datetime | None = None


class StreamStore:
    """The sandboxes' streams. Every method raises `ServiceUnavailable` when NATS cannot answer."""

    def __init__(
        self, client: Client, limits: StreamLimits, *, workers_apart: bool = False, sync: SyncStream | None = None
    ) -> None:
        """`workers_apart`: they are in another account, which imports what is played again for them. `sync` is called
        for each stream that was made."""
        self._client = client
        self._jetstream = client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)
        self._leaders = StreamLeaders(self._jetstream)
        self._limits, self._workers_apart = limits, workers_apart
        self.consumers = WorkerConsumers(client, sync)

    async def create(self, sandbox_id: UUID) -> None:
        """The stream of the sandbox's events and the durable consumer `worker`. Safe to repeat."""
        await self.create_stream(sandbox_id)
        await self.consumers.create(sandbox_id)

    async def create_stream(self, sandbox_id: UUID) -> datetime:
        """Without a consumer; when it was created. Safe to repeat."""
        config = self._stream_config(sandbox_id)
        with asking():
            try:
                info = await self._jetstream.add_stream(config)
            except BadRequestError as error:
                if error.err_code != _NAME_IN_USE:
                    raise
                await self._require_mark(sandbox_id)
                info = await self._jetstream.update_stream(config)
        assert info.created is not None
        return info.created

    async def scale(self, sandbox_id: UUID, found: StreamStats) -> None:
        """Bring it to as many replicas as are configured."""
        if found.replicas != self._limits.replicas:
            with asking():
                await set_replicas(self._client, names.stream_name(sandbox_id), self._limits.replicas)

    async def created_at(self, sandbox_id: UUID) -> datetime | None:
        """Which stream it is; None if there is none."""
        with asking():
            try:
                return (await self._jetstream.stream_info(names.stream_name(sandbox_id))).created
            except NotFoundError:
                return None

    async def publish_gap(self, sandbox_id: UUID, guild_ids: Sequence[int], created_at: datetime) -> None:
        """Tell the sandbox that what came before its stream was created is lost. Safe to repeat."""
        facts = {"cause": "stream lost", "since": None, "until": created_at.isoformat()}
        subject = names.event_subject_prefix(sandbox_id) + protocol.GAP_EVENT
        headers = {protocol.MESSAGE_ID_HEADER: f"stream:{created_at.isoformat()}:gap"}
        with asking():
            await self._jetstream.publish(subject, protocol.gap(facts, guild_ids), headers=headers)

    async def delete(self, sandbox_id: UUID) -> bool:
        """True if there was a stream to delete, though its servers be away: they throw it away when they are back."""
        with asking():
            try:
                with suppress(LeaderAway):  # it has the sandbox's subjects, which nobody else knows
                    await self._require_mark(sandbox_id)
                await self._leaders.delete(sandbox_id)
            except NotFoundError:
                return False
        return True

    async def list_streams(self, *, older_than: timedelta = timedelta()) -> dict[UUID, int]:
        """The sandboxes whose streams are so old and carry our mark, with how many events each has."""
        found: dict[UUID, int] = {}
        offset = 0
        with asking():
            while page := await self._list_page(offset):
                offset += len(page)
                for told in page:
                    info = StreamInfo.from_response(told)
                    if (sandbox_id := sandbox_of(info)) and age_of(info, told.get("ts")) >= older_than:
                        found[sandbox_id] = info.state.messages
        return found

    async def _list_page(self, offset: int) -> list[dict[str, Any]]:
        """As NATS tells it."""
        told = await ask_jetstream(self._client, "STREAM.LIST", orjson.dumps({"offset": offset}))
        return list(told.get("streams") or ())

    async def purge(self, sandbox_id: UUID) -> bool:
        """Delete every event, and with them what workers have not acknowledged; true if there is a stream.

        One that nobody leads is made anew, on other servers.
        """
        with asking():
            try:
                await self._require_mark(sandbox_id)
                await self._jetstream.purge_stream(names.stream_name(sandbox_id))
            except NotFoundError:
                return False
            except LeaderAway:
                await self.delete(sandbox_id)
                await self.create(sandbox_id)
        return True

    async def replay(self, sandbox_id: UUID, request: Replay) -> StreamPosition:
        """Deliver stored events, then the ones that come, until nobody listens any more; after which position.

        `InvalidInput` if the sandbox has too many listeners.
        """
        stream = names.stream_name(sandbox_id)
        prefix = names.event_subject_prefix(sandbox_id)
        config = ConsumerConfig(
            deliver_subject=names.replay_delivery(request.deliver) if self._workers_apart else request.deliver,
            ack_policy=AckPolicy.NONE,
            filter_subjects=[prefix + name for name in request.events] or [prefix + ">"],
            idle_heartbeat=protocol.REPLAY_HEARTBEAT_S,
            inactive_threshold=constants.REPLAY_FORGOTTEN_AFTER_S,
            mem_storage=True,
        )
        with asking():
            info = await self._require_listeners(stream, fewer_than=constants.MOST_LISTENERS)
            made = await self._jetstream.add_consumer(stream, config, **_starting_point(request, info))
            try:  # again, for others may have been made meanwhile, by other processes too
                await self._require_listeners(stream, fewer_than=constants.MOST_LISTENERS + 1)
            except InvalidInput:
                await self._jetstream.delete_consumer(stream, made.name)
                raise
        assert info.created is not None
        return StreamPosition(made.delivered.stream_seq if made.delivered else 0, info.created)

    async def stats(self, sandbox_id: UUID) -> StreamStats | None:
        """None if there is no stream."""
        stream = names.stream_name(sandbox_id)
        with asking():
            try:
                info = await self._leaders.info(sandbox_id)
                consumer = await self._jetstream.consumer_info(stream, names.WORKER_CONSUMER)
            except NotFoundError:
                return None
        waiting = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        state, workers = info.state, consumer.num_waiting or 0
        replicas = info.config.num_replicas or 1
        return StreamStats(state.messages, state.bytes, waiting, workers, state.last_seq, info.created, replicas)

    async def describe(self, sandbox_id: UUID) -> bytes:
        """What JetStream says of the stream, in JSON; an error too, if there is none."""
        return await self._describe(protocol.stream_info_subject(names.stream_name(sandbox_id)))

    async def describe_consumer(self, sandbox_id: UUID) -> bytes:
        """As `describe`, of the workers' consumer."""
        return await self._describe(protocol.consumer_info_subject(names.stream_name(sandbox_id)))

    async def _describe(self, subject: str) -> bytes:
        with asking():
            return (await self._client.request(subject, timeout=constants.NATS_ANSWER_WITHIN_S)).data

    async def count_accepted(self, sandbox_id: UUID) -> int:
        """Acknowledgements of its workers' that the server has accepted, ever; 0 if there is no stream."""
        with asking():
            try:
                consumer = await self._jetstream.consumer_info(names.stream_name(sandbox_id), names.WORKER_CONSUMER)
            except NotFoundError:
                return 0
        delivered = consumer.delivered.consumer_seq if consumer.delivered else 0
        return delivered - (consumer.num_ack_pending or 0)

    async def last_event_at(self, sandbox_id: UUID) -> datetime | None:
        """When the stream got its last event, also one that it holds no more; None if there was none, or no stream."""
        with asking():
            try:
                state = (await ask_jetstream(self._client, f"STREAM.INFO.{names.stream_name(sandbox_id)}"))["state"]
            except NotFoundError:
                return None
        return datetime.fromisoformat(state["last_ts"]) if state["last_seq"] else None

    async def _require_listeners(self, stream: str, *, fewer_than: int) -> StreamInfo:
        info = await self._jetstream.stream_info(stream)
        if info.state.consumer_count >= fewer_than:
            raise InvalidInput(f"The sandbox has {constants.MOST_LISTENERS} listeners already. Stop one of them.")
        return info

    def _stream_config(self, sandbox_id: UUID) -> StreamConfig:
        max_age = self._limits.max_age.total_seconds()
        return StreamConfig(
            name=names.stream_name(sandbox_id),
            description=MARK,
            subjects=[names.event_subjects(sandbox_id)],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=max_age,
            max_msgs=self._limits.max_messages,
            max_bytes=self._limits.max_bytes,
            duplicate_window=min(max_age, constants.NATS_STREAM_DUPLICATE_WINDOW_S),
            num_replicas=self._limits.replicas,
        )

    async def _require_mark(self, sandbox_id: UUID) -> None:
        stream = names.stream_name(sandbox_id)
        if sandbox_of(await self._leaders.info(sandbox_id)) != sandbox_id:
            raise ServiceUnavailable("NATS", f"stream {stream} is not this sandbox's; remove it by hand")


def _starting_point(request: Replay, stream: StreamInfo) -> dict[str, Any]:
    if request.after is not None:
        is_same = request.stream_created_at in (None, stream.created) and request.after <= stream.state.last_seq
        first = request.after + 1 if is_same else 1  # all of another stream is later
        return {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": first}
    if request.since is not None:
        moment = datetime.fromtimestamp(request.since, UTC)
        return {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": moment}
    return {"deliver_policy": DeliverPolicy.NEW}
