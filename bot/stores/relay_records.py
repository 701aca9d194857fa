"""What the relay writes into Redis for other processes: who is connected, how far they have come, and where it serves.

Everything of a sandbox's is named in one place, so that a teardown removes it also where no relay serves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import batched
from uuid import UUID

import msgspec
import redis.asyncio

from bot import constants, names
from bot.stores.failures import asking_redis
from bot.stores.postgres import Pool, database_id
from bot.stores.stream_positions import StreamPosition

_OF_CLIENTS = names.relay_client_key("")


class ClientRecord(StreamPosition, frozen=True):
    """A sandbox's bot on the relay, one for each connection, and up to where it was sent everything but for what its
    intents leave out."""

    library: str
    shard: int
    shard_count: int
    connected_since: float
    """When its session began (Unix time); one that is resumed goes on."""
    is_connected: bool = True
    returns: bool = False
    """It is not connected, and may be on its way back."""


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
        for client_id, (_, record) in clients.items():
            kept_s = constants.RELAY_RECORD_KEPT_S if record.is_connected else constants.RELAY_SESSION_KEPT_S
            pipeline.set(names.relay_client_key(client_id), _encode(record), ex=round(kept_s))
        owned: defaultdict[UUID, list[str]] = defaultdict(list)
        for client_id, (sandbox_id, _) in clients.items():
            owned[sandbox_id].append(names.relay_client_key(client_id))
        with asking_redis():
            await pipeline.execute()
            await note_keys(self._client, owned)

    async def list_clients(self, sandbox_id: UUID) -> list[ClientRecord]:
        """Those that are connected, and those that were within the last minutes; the longest there first."""
        with asking_redis():
            keys = await self._client_keys(sandbox_id)
            found = await self._client.mget(keys) if keys else []
        return sorted((_decode(each) for each in found if each), key=lambda record: record.connected_since)

    async def has_reader(self, sandbox_id: UUID) -> bool:
        """Whether a bot of the sandbox's reads by the relay, or is expected back within seconds."""
        with asking_redis():
            keys = await self._client_keys(sandbox_id)
            pipeline = self._client.pipeline(transaction=False)
            for key in keys:
                pipeline.get(key)
                pipeline.ttl(key)
            told = await pipeline.execute()
        return any(_counts(_decode(record), left_s) for record, left_s in batched(told, 2) if record)

    async def _client_keys(self, sandbox_id: UUID) -> list[str]:
        named = map(_text, await self._client.zrange(names.relay_records_key(sandbox_id), 0, -1))
        return [key for key in named if key.startswith(_OF_CLIENTS)]

    async def forget(self, *sandbox_ids: UUID) -> None:
        """All that the relay has noted of them: sessions that could be resumed, positions, clients, whose messages."""
        with asking_redis():
            for sandbox_id in sandbox_ids:
                records = names.relay_records_key(sandbox_id)
                noted = await self._client.zrange(records, 0, -1)
                await self._client.delete(records, names.relay_made_key(sandbox_id), *noted)

    async def serve(self, address: str) -> None:
        """A relay serves at that address now. To be repeated."""
        relays = await self._relays_key()
        with asking_redis():
            now = await _now(self._client)
            await self._client.zadd(relays, {address: now})
            await self._client.zremrangebyscore(relays, "-inf", now - constants.RELAY_RECORD_KEPT_S)

    async def end(self, address: str) -> None:
        """It serves no more."""
        relays = await self._relays_key()
        with asking_redis():
            await self._client.zrem(relays, address)

    async def list_relays(self) -> list[str]:
        """The addresses at which relays of this database's bots serve."""
        relays = await self._relays_key()
        with asking_redis():
            since = await _now(self._client) - constants.RELAY_RECORD_KEPT_S
            return sorted(map(_text, await self._client.zrangebyscore(relays, since, "+inf")))

    async def _relays_key(self) -> str:
        self._relays = self._relays or names.relays_key(await database_id(self._pool))
        return self._relays


async def note_keys(client: redis.asyncio.Redis, keys: Mapping[UUID, Iterable[str]]) -> None:
    """Those keys are the sandboxes', and are there for no longer than a session. Redis's own errors come through."""
    now, kept_s = await _now(client), 2 * constants.RELAY_SESSION_KEPT_S
    pipeline = client.pipeline(transaction=False)
    for sandbox_id, owned in keys.items():
        records = names.relay_records_key(sandbox_id)
        pipeline.zadd(records, dict.fromkeys(owned, now))
        pipeline.zremrangebyscore(records, "-inf", now - kept_s)
        pipeline.expire(records, kept_s)
    await pipeline.execute()


def _counts(record: ClientRecord, left_s: int) -> bool:
    """`left_s`: how long it is still kept, which says how long ago it was written."""
    written_ago_s = constants.RELAY_SESSION_KEPT_S - left_s
    return record.is_connected or (record.returns and written_ago_s <= constants.RELAY_RECORD_KEPT_S)


async def _now(client: redis.asyncio.Redis) -> float:
    """By Redis's clock, which is the same for all."""
    seconds, microseconds = await client.time()
    return float(seconds) + float(microseconds) / 1e6


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
