"""The streams of sandboxes, beside those of the bots' own."""

from __future__ import annotations

from bot import names

_OF_THE_BOTS = {names.HEALTH_STREAM, names.LAST_CHANGES_STREAM}


async def sandbox_streams(jetstream):
    """What JetStream says of each."""
    return [info for info in await jetstream.streams_info() if info.config.name not in _OF_THE_BOTS]
