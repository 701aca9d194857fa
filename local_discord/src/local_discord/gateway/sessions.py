"""A gateway session: its sequence, what it has been sent, and whether somebody listens."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from secrets import token_hex

from local_discord import wire
from local_discord.gateway.connection import Connection
from local_discord.wire import Json

_KEPT_HEARTBEATS = 1000


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One event as one session was sent it; `sent_at` is monotonic."""

    event: str
    guild_id: int | None
    shard: int
    sequence: int
    text: str
    sent_at: float
    session_id: str


class Session:
    """Outlives its connection: what it misses is kept and replayed."""

    def __init__(self, shard: int, shard_count: int, intents: int, kept_events: int) -> None:
        self.id = token_hex(16)
        self.shard = shard
        self.shard_count = shard_count
        self.intents = intents
        self.sequence = 0
        self.connection: Connection | None = None
        """None while nobody listens."""
        self.parked_at = 0.0
        self.is_ready = False
        """It has been sent its READY."""
        self.resumable = True
        self.heartbeats: deque[object] = deque(maxlen=_KEPT_HEARTBEATS)
        """The sequences that the client has named in its last ones."""
        self._log: deque[tuple[int, str]] = deque(maxlen=kept_events)

    def covers(self, guild_id: int | None) -> bool:
        """Whether the guild is on its shard; what belongs to no guild is on shard 0."""
        return ((guild_id >> 22) % self.shard_count if guild_id is not None else 0) == self.shard

    def send(self, event: str, data: Json, guild_id: int | None = None) -> Dispatched:
        """Number the event, keep it, and send it if somebody listens."""
        self.sequence += 1
        text = wire.encode({"t": event, "s": self.sequence, "op": 0, "d": data}).decode()
        self._log.append((self.sequence, text))
        if self.connection is not None:
            self.connection.send(text)
        return Dispatched(event, guild_id, self.shard, self.sequence, text, time.monotonic(), self.id)

    def missed_since(self, sequence: int) -> list[str] | None:
        """What came after it, in order; None if some of that is no longer kept."""
        missed = [text for number, text in self._log if number > sequence]
        return missed if len(missed) == self.sequence - sequence else None

    def park(self, now: float) -> None:
        """Its connection is gone; from now on, by the clock, its time to be resumed runs."""
        self.connection = None
        self.parked_at = now
