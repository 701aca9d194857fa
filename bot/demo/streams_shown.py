"""The sandboxes' streams as somebody watches them: which events reach them, and who has taken which."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, RawStreamMsg
from nats.js.errors import NotFoundError

from bot import names
from bot.errors import ServiceUnavailable
from bot.process import App
from bot.relay.gateway.client import Client
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.stores.nats_client import asking
from sandbox_worker import protocol

_KEPT = 300
_FORGOTTEN_AFTER_S = 10
_LONGEST_TOLD = 120
_SHOWN_HEADERS = (protocol.SENT_AGAIN_HEADER, protocol.TOO_LARGE_HEADER)

type Tell = Callable[[dict[str, Any]], None]


class StreamsShown:
    """Keeps of each event no more than a line; the payload stays in the stream."""

    def __init__(self, app: App, tell: Tell) -> None:
        self._app, self._tell = app, tell
        self._jetstream = app.stores.nats.jetstream()
        self._following: dict[UUID, Subscription] = {}
        self._events: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._began: WeakKeyDictionary[Client, int] = WeakKeyDictionary()
        """How far the stream was when each bot on the relay was first seen."""

    def events(self) -> list[dict[str, Any]]:
        """The latest of all sandboxes, in the order in which they came."""
        return list(self._events)

    async def follow(self, sandboxes: Sequence[Sandbox]) -> None:
        """The streams of those that run, and no others."""
        running = {each.id: each for each in sandboxes if each.status is SandboxStatus.RUNNING}
        for sandbox_id in self._following.keys() - running.keys():
            await self._following.pop(sandbox_id).unsubscribe()
        for sandbox_id in running.keys() - self._following.keys():
            await self._begin(sandbox_id)

    async def takers(self, sandbox: Sandbox) -> list[dict[str, Any]]:
        """Who has taken events: its workers, and each bot on the relay, with the stretch of the stream that it had."""
        acknowledged = await self._app.manager.streams.consumers.acknowledged(sandbox.id)
        workers = [{"by": "worker", "after": 0, "up_to": acknowledged.sequence}] if acknowledged else []
        return [*workers, *self._bots(sandbox.id)]

    async def read(self, sandbox_id: UUID, sequence: int) -> RawStreamMsg:
        """As it was stored; `HTTPNotFound` if it is there no more."""
        try:
            with asking():
                return await self._jetstream.get_msg(names.stream_name(sandbox_id), sequence)
        except NotFoundError:
            raise web.HTTPNotFound(text="The event is not in the stream any more.") from None

    async def send_again(self, sandbox_id: UUID, sequence: int) -> None:
        """Once more to the same stream, with a header that says of which event it is the repeat."""
        message = await self.read(sandbox_id, sequence)
        assert message.subject is not None
        headers = {**(message.headers or {}), protocol.SENT_AGAIN_HEADER: str(sequence)}
        headers[protocol.MESSAGE_ID_HEADER] = f"again:{uuid4()}"
        with asking():
            await self._jetstream.publish(message.subject, message.data or b"", headers=headers)

    async def _begin(self, sandbox_id: UUID) -> None:
        """From the stream's beginning; a server of NATS that finds nobody listening forgets the consumer."""
        inbox = self._app.stores.nats.new_inbox()

        async def receive(message: Msg) -> None:
            self._on_event(sandbox_id, message)

        self._following[sandbox_id] = await self._app.stores.nats.subscribe(inbox, cb=receive)
        config = ConsumerConfig(
            deliver_subject=inbox,
            ack_policy=AckPolicy.NONE,
            filter_subject=names.event_subjects(sandbox_id),
            inactive_threshold=_FORGOTTEN_AFTER_S,
            mem_storage=True,
        )
        try:
            with asking():
                await self._jetstream.add_consumer(names.stream_name(sandbox_id), config)
        except (NotFoundError, ServiceUnavailable):  # the next look tries it again
            await self._following.pop(sandbox_id).unsubscribe()

    def _on_event(self, sandbox_id: UUID, message: Msg) -> None:
        delivery = protocol.read_delivery(message.reply)
        if delivery is None:
            return
        event = {
            "sandbox": str(sandbox_id),
            "sequence": delivery.stream_sequence,
            "name": message.subject.removeprefix(names.event_subject_prefix(sandbox_id)),
            "at": delivery.stored_ns / 1e9,
            "size": len(message.data),
            "told": _told(message.data),
            "headers": {key: (message.headers or {})[key] for key in _SHOWN_HEADERS if key in (message.headers or {})},
        }
        self._events.append(event)
        self._tell(event)

    def _bots(self, sandbox_id: UUID) -> list[dict[str, Any]]:
        part = self._app.relay
        clients = part.relay.gateway.clients if part is not None and part.relay is not None else ()
        found = []
        for client in clients:
            session = client.session
            if session is not None and session.sandbox_id == sandbox_id:
                after = self._began.setdefault(client, client.sequence)
                found.append({"by": session.library or "bot", "after": after, "up_to": client.sequence})
        return found


class _Author(msgspec.Struct):
    username: str = ""


class _Command(msgspec.Struct):
    name: str = ""
    custom_id: str = ""


class _Member(msgspec.Struct):
    user: _Author = msgspec.field(default_factory=_Author)


class _Data(msgspec.Struct):
    author: _Author | None = None
    member: _Member | None = None
    content: str = ""
    data: _Command | None = None
    name: str = ""


class _Envelope(msgspec.Struct):
    d: _Data


_decode = msgspec.json.Decoder(_Envelope).decode


def _told(payload: bytes) -> str:
    """What it is about, for somebody who reads a list; empty for what is of another shape."""
    try:
        data = _decode(payload).d
    except msgspec.MsgspecError:
        return ""
    who = data.author.username if data.author else data.member.user.username if data.member else ""
    did = f"/{data.data.name}" if data.data and data.data.name else data.data.custom_id if data.data else data.content
    return ": ".join(part for part in (who, did or data.name) if part)[:_LONGEST_TOLD]
