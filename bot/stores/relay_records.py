"""What the relay writes into Redis for other processes: who is connected, how far they have come, and where it serves.

Everything of a sandbox's is named in one place, so that a teardown removes it also where no relay serves.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import msgspec
import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.stores.postgres import Pool, database_id

_OF_CLIENTS = names.relay_client_key("")


class ClientRecord(msgspec.Struct, frozen=True):
    """A sandbox's bot on the relay, one for each connection. Times are Unix."""

    library: str
    shard: int
    shard_count: int
    connected_since: float
    """When its session began; one that is resumed goes on."""
    sequence: int
    """Of the stream: it was sent everything up to it, but for what its intents leave out."""
    stream_created_at: datetime
    expected_until: float | None = None
    """None while it is connected; otherwise until when it may be on its way back. 0: it has said goodbye."""

    @property
    def is_connected(self) -> bool:
        """Whether it is now."""
        return self.expected_until is None

    @property
    def counts(self) -> bool:
        """Whether what is in the stream has a reader in it."""
        return self.expected_until is None or self.expected_until > time.time()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ClientRecord).decode


class RelayRecords:
    """Every method raises `ServiceUnavailable` when Redis gives no answer."""

    def __init__(self, client: redis.asyncio.Redis, pool: Pool) -> None:
        """The pool says which database's bots these are."""
        self._client, self._pool = client, pool
        self._relays = ""

    async def write_clients(self, clients: Mapping[str, tuple[UUID, ClientRecord]]) -> None:
        """By the ids of their sessions, with whose they are. One that is gone stays known as long as its session."""
        pipeline = self._client.pipeline(transaction=False)
        for client_id, (sandbox_id, record) in clients.items():
            kept_s = constants.RELAY_RECORD_KEPT_S if record.is_connected else constants.RELAY_SESSION_KEPT_S
            key = names.relay_client_key(client_id)
            pipeline.set(key, _encode(record), ex=round(kept_s))
            note(pipeline, sandbox_id, [key])
        with _asking():
            await pipeline.execute()

    async def list_clients(self, sandbox_id: UUID) -> list[ClientRecord]:
        """Those that are connected, and those that were within the last minutes; the longest there first."""
        with _asking():
            named = await self._client.zrange(names.relay_records_key(sandbox_id), 0, -1)
            keys = [key for key in map(_text, named) if key.startswith(_OF_CLIENTS)]
            found = await self._client.mget(keys) if keys else []
        return sorted((_decode(each) for each in found if each), key=lambda record: record.connected_since)

    async def has_reader(self, sandbox_id: UUID) -> bool:
        """Whether a bot of the sandbox's reads by the relay, or is expected back within seconds."""
        return any(record.counts for record in await self.list_clients(sandbox_id))

    async def forget(self, *sandbox_ids: UUID) -> None:
        """All that the relay has noted of them: sessions that could be resumed, positions, clients."""
        with _asking():
            for sandbox_id in sandbox_ids:
                records = names.relay_records_key(sandbox_id)
                await self._client.delete(records, *await self._client.zrange(records, 0, -1))

    async def serve(self, address: str) -> None:
        """A relay serves at that address now. To be repeated."""
        relays = await self._relays_key()
        with _asking():
            await self._client.zadd(relays, {address: time.time()})

    async def end(self, address: str) -> None:
        """It serves no more."""
        relays = await self._relays_key()
        with _asking():
            await self._client.zrem(relays, address)

    async def list_relays(self) -> list[str]:
        """The addresses at which relays of this database's bots serve."""
        relays, now = await self._relays_key(), time.time()
        with _asking():
            await self._client.zremrangebyscore(relays, "-inf", now - constants.RELAY_RECORD_KEPT_S)
            return sorted(map(_text, await self._client.zrange(relays, 0, -1)))

    async def _relays_key(self) -> str:
        self._relays = self._relays or names.relays_key(await database_id(self._pool))
        return self._relays


def note(pipeline: Pipeline, sandbox_id: UUID, keys: Iterable[str]) -> None:
    """These are the sandbox's, and are there for no longer than a session. To be executed by the caller."""
    records, now = names.relay_records_key(sandbox_id), time.time()
    pipeline.zadd(records, dict.fromkeys(keys, now))
    pipeline.zremrangebyscore(records, "-inf", now - 2 * constants.RELAY_SESSION_KEPT_S)
    pipeline.expire(records, 2 * constants.RELAY_SESSION_KEPT_S)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise ServiceUnavailable("Redis", str(error) or type(error).__name__) from error
