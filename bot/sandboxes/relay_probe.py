"""Asks who of a sandbox's own bots is connected by the relay, and how much of its stream they were sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from bot.sandboxes.health import RelayClient, RelayHealth
from bot.stores.nats import StreamStats
from bot.stores.relay_records import ClientRecord, RelayRecords


@dataclass(frozen=True, slots=True)
class RelayReading:
    """What the relays have written down."""

    addresses: tuple[str, ...]
    records: Sequence[ClientRecord]
    missing: str | None

    def health(self, stats: StreamStats | None) -> RelayHealth:
        """Without `stats` nobody knows how far behind they are."""
        connected = [record for record in self.records if record.is_connected]
        return RelayHealth(self.addresses, tuple(_client(record, stats) for record in connected), self.missing)

    def unread(self, stats: StreamStats) -> int | None:
        """Events that a bot on the relay has not been sent, by the slowest of its shards; None if there was none within
        the last minutes, or not all of its shards."""
        bots: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for record in self.records:
            if record.stream_created_at == stats.created_at:
                shards = bots[record.shard_count]
                shards[record.shard] = max(shards.get(record.shard, 0), record.sequence)
        reached = [min(shards.values()) for total, shards in bots.items() if len(shards) == total]
        return _behind(max(reached), stats) if reached else None


class RelayProbe:
    """`address` is the one that is handed out; empty if none is. It is `expected` to be served if somebody has chosen
    it."""

    def __init__(self, records: RelayRecords, address: str, *, expected: bool) -> None:
        self._records, self._address, self._expected = records, address, expected

    async def ask(self, sandbox_id: UUID) -> RelayReading:
        """`ServiceUnavailable` if Redis or PostgreSQL doesn't tell."""
        addresses = tuple(await self._records.list_relays())
        missing = self._address if self._expected and self._address and not addresses else None
        return RelayReading(addresses, await self._records.list_clients(sandbox_id), missing)


def _client(record: ClientRecord, stats: StreamStats | None) -> RelayClient:
    is_same = stats is not None and stats.created_at == record.stream_created_at
    return RelayClient(
        record.library,
        record.shard,
        record.shard_count,
        datetime.fromtimestamp(record.connected_since, UTC),
        record.sequence,
        _behind(record.sequence, stats) if stats is not None and is_same else None,
    )


def _behind(sequence: int, stats: StreamStats) -> int:
    """What was thrown away meanwhile, by age or number, nobody waits for."""
    return min(max(stats.last - sequence, 0), stats.messages)
