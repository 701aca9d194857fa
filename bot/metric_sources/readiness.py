"""Of what `/readyz` tells; its parts have a metric of their own."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.health.readiness import PART, Readiness


class ReadinessSource:
    """A `Source`."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def __call__(self) -> Iterator[Metric]:
        checks = self._readiness.checks()
        yield metrics.READY.one(all(check.ok for check in checks.values()))
        told = {name: check for name, check in checks.items() if not name.startswith(PART)}
        yield metrics.CHECKS.each({(name,): check.ok for name, check in told.items()})
