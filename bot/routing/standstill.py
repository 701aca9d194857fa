"""What a connection does while NATS takes nothing: it reads on, and leaves at Discord what it cannot route.

The publisher's window bounds what memory holds. Once that is full, reading on costs nothing: Discord keeps the events
for a RESUME from the last one that was routed. Only what the bot itself needs is handled at once, and remembered, for
it will come again with the rest.
"""

from __future__ import annotations

from loguru import logger

from bot import constants
from bot.routing.publisher import Publisher


async def wait_out(publisher: Publisher, shard: int) -> None:
    """Returns when NATS has taken all that it had been given; says what that means for the shard meanwhile."""
    logger.warning("NATS takes no events: they wait at Discord, the bot's own commands are answered", shard=shard)
    given = publisher.last_published
    if not await publisher.taken_within(given, constants.DISCORD_SURELY_KEEPS_S):
        logger.warning("events may be missing later: Discord keeps them for some minutes only", shard=shard)
        await publisher.taken_within(given, None)
    logger.info("NATS takes events again, Discord is asked for those that it has kept", shard=shard)


class HandledAhead:
    """A session's events, by sequence, that were handled before those that came before them were routed."""

    def __init__(self) -> None:
        self._sequences: dict[int, None] = {}

    def add(self, sequence: int) -> bool:
        """False if it is known already."""
        if sequence in self._sequences:
            return False
        if len(self._sequences) >= constants.REMEMBERED_AHEAD:
            # A dict keeps its order, so this is the oldest, which nobody can be answered any more.
            del self._sequences[next(iter(self._sequences))]
        self._sequences[sequence] = None
        return True

    def take(self, sequence: int | None) -> bool:
        """Whether it was handled. It is routed now, and does not come again."""
        return sequence is not None and self._sequences.pop(sequence, 0) is None
