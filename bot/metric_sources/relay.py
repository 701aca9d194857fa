"""Of the relay, as long as this process serves it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.relay.part import RelayPart


class RelaySource:
    """A `Source`."""

    def __init__(self, part: RelayPart) -> None:
        self._part = part

    def __call__(self) -> Iterator[Metric]:
        relay = self._part.relay
        if relay is None:
            return
        upstream = relay.upstream
        yield metrics.RELAY_CLIENTS.one(len(relay.gateway.clients))
        yield metrics.RELAY_REQUESTS.each(dict(relay.api.requests))
        yield from upstream.queue.seconds.collect()
        yield metrics.RELAY_WAITING.one(upstream.queue.waiting())
        yield metrics.RELAY_PAUSE.one(upstream.queue.pause_left_s)
        yield metrics.RELAY_ANSWERS.each({(status,): number for status, number in upstream.answers.items()})
        yield metrics.RELAY_INVALID.one(upstream.invalid.recent())
