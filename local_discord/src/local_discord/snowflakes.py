"""Discord's ids: 64 bits, the upper 42 of them milliseconds since 2015."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from local_discord.clock import Clock

SNOWFLAKE = "[0-9]{1,20}"
"""How one looks in an address."""
_EPOCH_MS = 1_420_070_400_000


class Snowflakes:
    """Hands out ids that only grow, with the clock's time in them."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._last = 0

    def next(self) -> int:
        """Of this millisecond, unless that many have been handed out that it is ahead of time."""
        now = (int(self.clock.time() * 1000) - _EPOCH_MS) << 22
        self._last = max(now, self._last + 1)
        return self._last

    def next_on_shard(self, shard: int, shards: int) -> int:
        """An id that Discord's formula assigns to that shard; at most `shards` milliseconds ahead of time."""
        millisecond = (self.next() >> 22) + 1
        self._last = (millisecond + (shard - millisecond) % shards) << 22
        return self._last

    def age_s(self, snowflake: int) -> float:
        """How long ago the id was made, in seconds."""
        return self.clock.time() - ((snowflake >> 22) + _EPOCH_MS) / 1000


def is_snowflake(value: object) -> bool:
    """Whether it is one, as a text or as a number: other digits than these are none."""
    return not isinstance(value, bool) and re.fullmatch(SNOWFLAKE, str(value)) is not None


def iso_time(snowflake: int) -> str:
    """When the id was made, as Discord writes times."""
    return datetime.fromtimestamp(((snowflake >> 22) + _EPOCH_MS) / 1000, UTC).isoformat()
