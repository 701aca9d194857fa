"""Plays a sandbox's events again to whoever asks for it inside the sandbox.

Workers may not make consumers of their own, for a consumer delivers to any subject. The bot makes one for them, and
looks at where it delivers to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import msgspec
import orjson
from loguru import logger
from nats.aio.msg import Msg

from bot import constants, names
from bot.errors import InvalidInput, SandboxError
from bot.sandboxes.access.connection import ConnectionDetails
from bot.stores.nats import Replay, StreamStore
from sandbox_worker import protocol

_EventName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,64}$")]


Describe = Callable[[UUID], Awaitable[ConnectionDetails]]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    deliver: str
    since: Annotated[float, msgspec.Meta(ge=0, le=1e11)] | None = None
    after: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] | None = None
    events: Annotated[tuple[_EventName, ...], msgspec.Meta(max_length=100)] = ()


class ReplayService:
    """Says `{"ok": true}` or `{"error": "…"}` to what comes on sandboxes' replay subjects."""

    def __init__(self, streams: StreamStore, describe: Describe | None = None) -> None:
        """With `describe` it also says `{"environment": {…}}` to `ENVIRONMENT_REQUEST`."""
        self._streams, self._describe = streams, describe

    async def answer(self, message: Msg) -> bytes | None:
        """None to a request that wants its answer outside its sandbox."""
        try:
            sandbox_id = names.sandbox_of_subject(message.subject)
        except ValueError:
            return None
        if not names.is_inbox(message.reply, sandbox_id):  # an answer elsewhere would speak for the bot
            return None
        try:
            if self._describe is not None and _asks_for_environment(message.data):
                details = await self._describe(sandbox_id)
                return orjson.dumps({"environment": dict(details.environment), "remarks": details.remarks})
            await self._streams.replay(sandbox_id, _read(message.data, sandbox_id))
        except SandboxError as error:
            return orjson.dumps({"error": str(error)})
        except Exception:
            logger.exception("a request of a worker's failed", sandbox=str(sandbox_id))
            return orjson.dumps({"error": "The bot failed; the reason is in its log."})
        return orjson.dumps({"ok": True})


def _asks_for_environment(data: bytes) -> bool:
    try:
        return len(data) <= constants.LARGEST_REPLAY_REQUEST and orjson.loads(data) == protocol.ENVIRONMENT_REQUEST
    except orjson.JSONDecodeError:
        return False


def _read(data: bytes, sandbox_id: UUID) -> Replay:
    if len(data) > constants.LARGEST_REPLAY_REQUEST:
        raise InvalidInput("That is no request for a replay: it is too long.")
    try:
        request = msgspec.json.decode(data, type=_Request)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"That is no request for a replay: {error}") from error
    if not names.is_inbox(request.deliver, sandbox_id) or request.deliver.count(".") != 1:
        raise InvalidInput(f"Events are delivered to {names.inbox_prefix(sandbox_id)}.<one token> only.")
    return Replay(request.deliver, request.since, request.after, request.events)
