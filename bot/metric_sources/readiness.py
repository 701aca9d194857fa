"""Of `/readyz`: what is in order, for whoever wants to be told when something isn't."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.health.readyz import Check


class ReadinessSource:
    """A `Source`. Parts have a metric of their own."""

    def __init__(self, checks: Callable[[], Mapping[str, Check]]) -> None:
        """`checks`: by name, without those of parts."""
        self._checks = checks

    def __call__(self) -> Iterator[Metric]:
        yield metrics.READY.each({(name,): check.ok for name, check in self._checks().items()})
