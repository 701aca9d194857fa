"""Of the data plane: what the router, the publisher and the route table have counted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher

_UNROUTED = ("unbound", "without guild", "own interactions", "own replies", "withheld", "malformed")
_PUBLISHED = {"stored": "acked", "duplicate": "duplicates", "refused": "refused", "lost": "lost", "dropped": "dropped"}
"""What an outcome is called in the publisher's counts."""


class EventSource:
    """A `Source`."""

    def __init__(
        self,
        router: EventRouter,
        publisher: Publisher,
        table: RouteTable,
        watcher: RouteWatcher,
        watchdog: ResponseWatchdog,
    ) -> None:
        self._router, self._publisher, self._watchdog = router, publisher, watchdog
        self._table, self._watcher = table, watcher

    def __call__(self) -> Iterator[Metric]:
        yield from self._router_counts()
        yield from self._publisher_counts()
        yield metrics.UNANSWERED.one(self._watchdog.unanswered)
        yield metrics.ROUTES.one(len(self._table))
        yield metrics.ROUTES_AGE.one(self._watcher.age_s)

    def _router_counts(self) -> Iterator[Metric]:
        counts = self._router.counts
        yield metrics.EVENTS_RECEIVED.one(counts["received"])
        yield metrics.EVENTS_ROUTED.one(counts["routed"])
        yield metrics.EVENTS_UNROUTED.each({(why.replace(" ", "_"),): counts[why] for why in _UNROUTED})
        yield metrics.EVENTS_TOO_LARGE.one(counts["too large"])
        yield metrics.STALE_INTERACTIONS.one(counts["stale interactions"])
        yield metrics.LOOKUPS.each({("hit",): counts["routed"], ("miss",): counts["unbound"]})
        yield metrics.GAPS.each({("new_session",): counts["gaps"], ("stream",): self._publisher.gaps})

    def _publisher_counts(self) -> Iterator[Metric]:
        counts, load = self._publisher.counts, self._publisher.load
        yield metrics.EVENTS_PUBLISHED.each({(outcome,): counts[name] for outcome, name in _PUBLISHED.items()})
        yield metrics.EVENTS_RESENT.one(counts["resent"])
        yield metrics.WINDOW.one(load.window)
        yield metrics.WINDOW_MAX.one(load.window_max)
        yield metrics.APART.one(load.apart)
        yield metrics.BACKLOG_BYTES.one(load.size)
        yield metrics.RECOVERING.one(load.recovering)
        yield metrics.OLDEST.one(self._publisher.oldest.waits_s)
