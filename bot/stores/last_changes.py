"""The last change that PostgreSQL has committed, as Redis and NATS know of it.

They are told of each some time after its commit. If PostgreSQL lacks it then, it was restored from a backup.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
import redis.asyncio
from loguru import logger
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import NoStreamResponseError, NotFoundError

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.stores.failures import asking_redis
from bot.stores.nats_client import asking


class LastChange(msgspec.Struct, frozen=True):
    """A row of the audit log, for each change writes one. `made_at`: by PostgreSQL's clock."""

    id: int
    made_at: datetime


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LastChange).decode


class LastChangeCopies:
    """One in each store, for each installation that uses it."""

    def __init__(self, client: redis.asyncio.Redis, nats: Client, *, replicas: int = 1) -> None:
        """`replicas`: on how many servers of NATS it lies."""
        self._redis, self._replicas = client, replicas
        self._jetstream = nats.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)

    async def read(self, installation: UUID) -> dict[str, LastChange]:
        """By store. One that has none, or does not answer, tells of nothing and is left out."""
        found: dict[str, LastChange] = {}
        for store, read in (("redis", self._read_redis), ("nats", self._read_nats)):
            try:
                if copy := await read(installation):
                    found[store] = _decode(copy)
            except ServiceUnavailable as error:
                logger.debug("a store does not tell of the last change", store=store, error=error.detail)
            except msgspec.MsgspecError:
                logger.debug("what a store has as the last change cannot be read", store=store)
        return found

    async def write(self, installation: UUID, change: LastChange) -> None:
        """To both, also if one is away: then `ServiceUnavailable`."""
        copy = _encode(change)
        try:
            await self._write_redis(installation, copy)
        finally:
            await self._write_nats(installation, copy)

    async def _read_redis(self, installation: UUID) -> bytes | None:
        with asking_redis():
            return cast("bytes | None", await self._redis.get(names.last_change_key(installation)))

    async def _write_redis(self, installation: UUID, copy: bytes) -> None:
        with asking_redis():
            await self._redis.set(names.last_change_key(installation), copy, ex=constants.LAST_CHANGE_KEPT)

    async def _read_nats(self, installation: UUID) -> bytes | None:
        with asking(), suppress(NotFoundError):
            subject = names.last_change_subject(installation)
            return (await self._jetstream.get_last_msg(names.LAST_CHANGES_STREAM, subject)).data
        return None

    async def _write_nats(self, installation: UUID, copy: bytes) -> None:
        with asking():
            try:
                await self._publish(installation, copy)
            except NoStreamResponseError:
                await self._jetstream.add_stream(self._config())
                await self._publish(installation, copy)

    async def _publish(self, installation: UUID, copy: bytes) -> None:
        await self._jetstream.publish(names.last_change_subject(installation), copy, stream=names.LAST_CHANGES_STREAM)

    def _config(self) -> StreamConfig:
        return StreamConfig(
            name=names.LAST_CHANGES_STREAM,
            subjects=[names.ANY_LAST_CHANGE_SUBJECT],
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_msgs_per_subject=1,
            max_bytes=constants.LAST_CHANGES_BYTES,
            num_replicas=self._replicas,
        )
