"""NATS: streams whose leader gives no answer. Whether there is such a stream, the leader of all of JetStream knows."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from nats.js.api import StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from bot import names
from bot.errors import ServiceUnavailable
from bot.stores.nats_client import FAILURES


class LeaderAway(ServiceUnavailable):
    """There is the stream, and nobody who leads it: of its servers most are away, or the only one."""


class StreamLeaders:
    """Its methods raise `NotFoundError` if there is no stream, another of the `FAILURES` if JetStream does not say."""

    def __init__(self, jetstream: JetStreamContext) -> None:
        self._jetstream = jetstream

    async def info(self, sandbox_id: UUID) -> StreamInfo:
        """What its leader says of it. `LeaderAway` if there is none."""
        stream = names.stream_name(sandbox_id)
        try:
            return await self._jetstream.stream_info(stream)
        except NotFoundError:
            raise
        except FAILURES as error:
            await self._require_listed(sandbox_id)
            detail = f"stream {stream} has no leader: its server is away, or most of its servers are"
            raise LeaderAway("NATS", detail) from error

    async def delete(self, sandbox_id: UUID) -> None:
        """Also where nobody answers for it: it is gone as soon as it is listed no more."""
        try:
            await self._jetstream.delete_stream(names.stream_name(sandbox_id))
        except NotFoundError:
            raise
        except FAILURES:
            with suppress(NotFoundError):
                await self._require_listed(sandbox_id)
                raise

    async def _require_listed(self, sandbox_id: UUID) -> None:
        """By its subjects, too: another installation's of that name has others."""
        listed = await self._jetstream.find_stream_name_by_subject(names.event_subjects(sandbox_id))
        if listed != names.stream_name(sandbox_id):
            raise NotFoundError
