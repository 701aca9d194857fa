"""NATS: the client, and each sandbox's stream with its one durable consumer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import nats.errors
from loguru import logger
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
from nats.js.errors import APIError, BadRequestError, NotFoundError, ServiceUnavailableError
from nats.js.errors import Error as JetStreamError

from bot import names
from bot.errors import InvalidInput, ServiceUnavailable

MARK = "discord-sandboxes"
"""The description that our streams carry: nothing without it is ever changed or deleted."""

_CONNECT_TIMEOUT_S = 6
_NO_STORAGE = 10047
_HEARTBEAT_S = 5
_FORGET_LISTENER_S = 10
_MOST_CONSUMERS = 20
_LONGEST_DUPLICATE_WINDOW = timedelta(minutes=10)
_FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one sandbox's stream keeps; the oldest events go first."""

    max_age: timedelta
    max_messages: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class StreamStats:
    """What a sandbox's stream holds, and how much of it no worker has acknowledged."""

    messages: int
    bytes: int
    waiting: int
    workers: int


@dataclass(frozen=True, slots=True)
class FoundStream:
    """A stream that carries our mark. Another installation on the same server has the same mark."""

    sandbox_id: UUID
    created_at: datetime
    messages: int

    @property
    def name(self) -> str:
        return names.stream_name(self.sandbox_id)


@dataclass(frozen=True, slots=True)
class Replay:
    """What to deliver to which subject: from a time (Unix, seconds) or a stream sequence on; neither: what is new."""

    deliver: str
    since: float | None = None
    after: int | None = None
    events: tuple[str, ...] = ()


class StreamStore:
    """The sandboxes' streams. Every method raises `ServiceUnavailable` when NATS cannot answer."""

    def __init__(self, client: Client, limits: StreamLimits, *, workers_apart: bool = False) -> None:
        """`workers_apart`: they are in another account, which imports what is played again for them."""
        self._client = client
        self._jetstream = client.jetstream(timeout=5)
        self._limits, self._workers_apart = limits, workers_apart

    async def create(self, sandbox_id: UUID) -> None:
        """The stream of the sandbox's events and the durable consumer `worker`. Safe to repeat."""
        config = self._stream_config(sandbox_id)
        try:
            try:
                await self._jetstream.add_stream(config)
            except BadRequestError:
                await self._require_mark(sandbox_id)
                await self._jetstream.update_stream(config)
            await self._jetstream.add_consumer(names.stream_name(sandbox_id), _consumer_config(sandbox_id))
        except _FAILURES as error:
            raise _unavailable(error) from error

    async def delete(self, sandbox_id: UUID) -> bool:
        """True if there was a stream to delete."""
        try:
            await self._require_mark(sandbox_id)
            await self._jetstream.delete_stream(names.stream_name(sandbox_id))
        except NotFoundError:
            return False
        except _FAILURES as error:
            raise _unavailable(error) from error
        return True

    async def list_streams(self) -> list[FoundStream]:
        """All that carry our mark."""
        found: list[FoundStream] = []
        offset = 0
        try:
            while page := await self._jetstream.streams_info(offset):
                offset += len(page)
                found += [stream for info in page if (stream := _marked(info))]
        except _FAILURES as error:
            raise _unavailable(error) from error
        return found

    async def empty(self, sandbox_id: UUID) -> bool:
        """Delete every event, and with them what workers have not acknowledged; true if there is a stream."""
        try:
            await self._require_mark(sandbox_id)
            await self._jetstream.purge_stream(names.stream_name(sandbox_id))
        except NotFoundError:
            return False
        except _FAILURES as error:
            raise _unavailable(error) from error
        return True

    async def replay(self, sandbox_id: UUID, request: Replay) -> None:
        """Deliver stored events, then the ones that come, until nobody listens any more.

        `InvalidInput` if the sandbox has too many listeners.
        """
        stream = names.stream_name(sandbox_id)
        prefix = names.event_subject_prefix(sandbox_id)
        config = ConsumerConfig(
            deliver_subject=names.replay_delivery(request.deliver) if self._workers_apart else request.deliver,
            ack_policy=AckPolicy.NONE,
            filter_subjects=[prefix + name for name in request.events] or [prefix + ">"],
            idle_heartbeat=_HEARTBEAT_S,
            inactive_threshold=_FORGET_LISTENER_S,
            mem_storage=True,
            **_start(request),
        )
        try:
            if (await self._jetstream.stream_info(stream)).state.consumer_count >= _MOST_CONSUMERS:
                raise InvalidInput(f"The sandbox has {_MOST_CONSUMERS} listeners already. Stop one of them.")
            await self._jetstream.add_consumer(stream, config)
        except _FAILURES as error:
            raise _unavailable(error) from error

    async def stats(self, sandbox_id: UUID) -> StreamStats | None:
        """None if there is no stream."""
        stream = names.stream_name(sandbox_id)
        try:
            state = (await self._jetstream.stream_info(stream)).state
            consumer = await self._jetstream.consumer_info(stream, names.WORKER_CONSUMER)
        except NotFoundError:
            return None
        except _FAILURES as error:
            raise _unavailable(error) from error
        waiting = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        return StreamStats(state.messages, state.bytes, waiting, consumer.num_waiting or 0)

    def _stream_config(self, sandbox_id: UUID) -> StreamConfig:
        window = min(_LONGEST_DUPLICATE_WINDOW, self._limits.max_age)
        return StreamConfig(
            name=names.stream_name(sandbox_id),
            description=MARK,
            subjects=[names.event_subjects(sandbox_id)],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=self._limits.max_age.total_seconds(),
            max_msgs=self._limits.max_messages,
            max_bytes=self._limits.max_bytes,
            duplicate_window=window.total_seconds(),
        )

    async def _require_mark(self, sandbox_id: UUID) -> None:
        stream = names.stream_name(sandbox_id)
        found = _marked(await self._jetstream.stream_info(stream))
        if found is None or found.sandbox_id != sandbox_id:
            raise ServiceUnavailable("NATS", f"stream {stream} is not this sandbox's; remove it by hand")


async def open_nats(url: str, *, name: str = "sandbox-bot", jetstream: bool = True) -> Client:
    """A client that has reached a server (with JetStream) and comes back by itself after an outage.

    `ServiceUnavailable` has the reason, never the password.
    """
    if urlsplit(url).scheme not in {"nats", "tls", "ws", "wss"}:
        raise ServiceUnavailable("NATS", "NATS_URL is not a nats:// address")
    client = Client()
    state = _Connection(client)
    try:
        await _connect(client, state, url, name)
        if jetstream:
            await client.jetstream(timeout=5).account_info()
    except (*_FAILURES, ValueError) as error:
        await client.close()
        raise _unavailable(state.last_error or error) from error
    state.established = True
    return client


async def _connect(client: Client, state: _Connection, url: str, name: str) -> None:
    """Gives up in time, and at once when the login is refused: the client alone would try for ever."""
    connecting = asyncio.create_task(
        client.connect(
            url,
            name=name,
            allow_reconnect=True,
            connect_timeout=4,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # annotated int, used as seconds in sleep()
            ping_interval=10,
            error_cb=state.failed,
            disconnected_cb=state.lost,
            reconnected_cb=state.back,
        )
    )
    refused = asyncio.create_task(state.refused.wait())
    try:
        await asyncio.wait({connecting, refused}, timeout=_CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            raise TimeoutError
        connecting.result()
    finally:
        refused.cancel()
        connecting.cancel()
        await asyncio.wait({connecting, refused})


async def close_nats(client: Client) -> None:
    """Also one whose server is away, which nats-py cannot close without an error now and then."""
    try:
        await client.close()
    except Exception as error:
        logger.debug("NATS client closed with an error", error=repr(error))


class _Connection:
    """Logs an outage once when it begins and once when it ends."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.established = False
        self.refused = asyncio.Event()
        self.last_error: Exception | None = None

    async def failed(self, error: Exception) -> None:
        self.last_error = error
        if "authorization violation" in str(error).lower():
            self.refused.set()
        logger.debug("NATS client reports", error=repr(error))

    async def lost(self) -> None:
        # nats-py would send its unwritten rest first after the reconnect, before what got lost on the way and is sent
        # again: out of order. Whoever needs an answer asks again anyway.
        self._client._pending.clear()
        self._client._pending_data_size = 0
        if self.established and not self._client.is_closed:
            logger.warning("NATS connection lost, reconnecting")

    async def back(self) -> None:
        logger.info("NATS connection is back")


def _marked(info: StreamInfo) -> FoundStream | None:
    """None if the stream is not one of a sandbox, by its description, name and subjects."""
    config, subjects = info.config, info.config.subjects or []
    sandbox_id = names.sandbox_of_event_subjects(subjects[0]) if len(subjects) == 1 else None
    if config.description != MARK or sandbox_id is None or config.name != names.stream_name(sandbox_id):
        return None
    return FoundStream(sandbox_id, info.created or datetime.now(UTC), info.state.messages)


def _consumer_config(sandbox_id: UUID) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=names.WORKER_CONSUMER,
        filter_subject=names.event_subjects(sandbox_id),
        ack_wait=30,
        max_ack_pending=1000,
    )


def _start(request: Replay) -> dict[str, Any]:
    if request.after is not None:
        return {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": request.after + 1}
    if request.since is not None:
        moment = datetime.fromtimestamp(request.since, UTC)
        return {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": moment}
    return {"deliver_policy": DeliverPolicy.NEW}


def _unavailable(error: BaseException) -> ServiceUnavailable:
    if isinstance(error, APIError) and error.err_code == _NO_STORAGE:
        detail = "JetStream has no storage left to reserve; raise its max_file_store or lower nats.stream_max_megabytes"
        return ServiceUnavailable("NATS", detail)
    if isinstance(error, APIError) and not (isinstance(error, ServiceUnavailableError) and error.err_code is None):
        return ServiceUnavailable("NATS", f"JetStream: {error.description or error}")
    if isinstance(error, JetStreamError):
        return ServiceUnavailable("NATS", "JetStream is not enabled on the server (start it with -js)")
    return ServiceUnavailable("NATS", str(error) or type(error).__name__)
