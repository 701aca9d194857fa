"""Plays a sandbox's events again to whoever asks for it inside the sandbox.

Workers may not make consumers of their own, for a consumer delivers to any subject. The bot makes one for them, and
looks at where it delivers to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
import orjson
from loguru import logger
from nats.aio.msg import Msg

from bot import constants, names
from bot.errors import InvalidInput, SandboxError, ServiceUnavailable
from bot.sandboxes.access.connection import ConnectionDetails
from bot.sandboxes.model import Sandbox, SandboxStatus
from bot.stores.nats import Replay, StreamStore
from sandbox_worker import protocol

_EventName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,64}$")]
_OVER = frozenset({SandboxStatus.DESTROYING, SandboxStatus.DESTROYED})


Find = Callable[[UUID], Awaitable[Sandbox]]
Describe = Callable[[UUID], Awaitable[ConnectionDetails]]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    deliver: str
    since: Annotated[float, msgspec.Meta(ge=0, le=1e11)] | None = None
    after: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] | None = None
    stream_created_at: datetime | None = None
    events: Annotated[tuple[_EventName, ...], msgspec.Meta(max_length=100)] = ()


class ReplayService:
    """Answers what comes on sandboxes' replay subjects, by an object in JSON.

    It says `{"ok": true}`, after which sequence of which stream it plays, and how often it gives a sign of life; to
    `ENVIRONMENT_REQUEST` the variables, to `STATE_REQUEST` which stream there is. Or it has an `error`: `ended` if the
    sandbox is destroyed, and the `service` that does not answer if it is worth another try.
    """

    def __init__(self, streams: StreamStore, find: Find, describe: Describe) -> None:
        self._streams, self._find, self._describe = streams, find, describe

    async def answer(self, message: Msg) -> bytes | None:
        """None to a request that wants its answer outside its sandbox."""
        try:
            sandbox_id = names.sandbox_of_subject(message.subject)
        except ValueError:
            return None
        if not names.is_inbox(message.reply, sandbox_id):  # an answer elsewhere would speak for the bot
            return None
        try:
            return orjson.dumps(await self._answer(sandbox_id, message.data))
        except ServiceUnavailable as error:
            return orjson.dumps({"error": str(error), "service": error.service})
        except SandboxError as error:
            return orjson.dumps({"error": str(error)})
        except Exception:
            logger.exception("a request of a worker's failed", sandbox=str(sandbox_id))
            return orjson.dumps({"error": "The bot failed; the reason is in its log."})

    async def _answer(self, sandbox_id: UUID, data: bytes) -> dict[str, object]:
        asked = _plain(data)
        if asked == protocol.ENVIRONMENT_REQUEST:
            details = await self._describe(sandbox_id)
            return {"environment": dict(details.environment), "remarks": details.remarks}
        request = None if asked == protocol.STATE_REQUEST else _read(data, sandbox_id)
        try:
            return await (self._state(sandbox_id) if request is None else self._replay(sandbox_id, request))
        except ServiceUnavailable:  # for there is no stream, perhaps, and perhaps there is to be none
            if (await self._find(sandbox_id)).status in _OVER:
                return {"error": "The sandbox was destroyed.", "ended": True}
            raise

    async def _state(self, sandbox_id: UUID) -> dict[str, object]:
        state = await self._streams.consumers.state(sandbox_id)
        if state is None:
            raise ServiceUnavailable("NATS", "the sandbox's stream is lost, and is being made again")
        return state._asdict()

    async def _replay(self, sandbox_id: UUID, request: Replay) -> dict[str, object]:
        began = await self._streams.replay(sandbox_id, request)
        began_after = {"after": began.sequence, "stream_created_at": began.stream_created_at}
        return {"ok": True, **began_after, "heartbeat_s": protocol.REPLAY_HEARTBEAT_S}


def _plain(data: bytes) -> object:
    """None for what is no JSON, or too long."""
    try:
        return orjson.loads(data) if len(data) <= constants.LARGEST_REPLAY_REQUEST else None
    except orjson.JSONDecodeError:
        return None


def _read(data: bytes, sandbox_id: UUID) -> Replay:
    if len(data) > constants.LARGEST_REPLAY_REQUEST:
        raise InvalidInput("That is no request for a replay: it is too long.")
    try:
        request = msgspec.json.decode(data, type=_Request)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"That is no request for a replay: {error}") from error
    if not names.is_inbox(request.deliver, sandbox_id) or request.deliver.count(".") != 1:
        raise InvalidInput(f"Events are delivered to {names.inbox_prefix(sandbox_id)}.<one token> only.")
    return Replay(request.deliver, request.since, request.after, request.events, request.stream_created_at)
