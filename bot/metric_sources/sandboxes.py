"""Of the control plane: sandboxes and what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.sandboxes.access.isolation import Isolation
from bot.sandboxes.census import Census
from bot.sandboxes.lifecycle.notices import NoticeDispatcher, Outcome
from bot.sandboxes.lifecycle.orphans import OrphanCollector, OrphanKind
from bot.sandboxes.lifecycle.reaper import Reaper, Sweep
from bot.sandboxes.manager import SandboxManager


class SandboxSource:
    """A `Source`."""

    def __init__(
        self,
        manager: SandboxManager,
        reaper: Reaper,
        notices: NoticeDispatcher,
        orphans: OrphanCollector,
        census: Census,
        *,
        collects_orphans: Callable[[], bool],
    ) -> None:
        """`collects_orphans`: whether it is this process that does just now."""
        self._manager, self._reaper, self._notices = manager, reaper, notices
        self._orphans, self._collects_orphans, self._census = orphans, collects_orphans, census

    def __call__(self) -> Iterator[Metric]:
        yield from self._counted_by_postgres()
        for durations in (self._manager.create_seconds, self._manager.destroy_seconds):
            yield from durations.collect()
        yield metrics.REAPED.each({(field.name,): self._reaper.counts[field.name] for field in fields(Sweep)})
        yield metrics.NOTICES.each({(each,): self._notices.counts[each] for each in (*Outcome, "postponed")})
        repairs = self._manager.stream_reconciler.repairs
        yield metrics.REPAIRS.each({(of,): repairs[of] for of in ("stream", "consumer")})
        yield from self._orphans_of_all()
        isolation = self._manager.access.isolation
        stores = {field.name: getattr(isolation, field.name) for field in fields(Isolation)}
        yield metrics.ISOLATION.each({(store,): state.enforced for store, state in stores.items()})

    def _counted_by_postgres(self) -> Iterator[Metric]:
        if (count := self._census.last) is None:
            return
        yield metrics.SANDBOXES.each({(status,): number for status, number in count.sandboxes.items()})
        yield metrics.OVERDUE.each({(status,): seconds for status, seconds in count.overdue_s.items()})
        yield metrics.NOTICES_WAITING.one(count.notices)
        yield metrics.NOTICES_OLDEST.one(count.oldest_notice_s)

    def _orphans_of_all(self) -> Iterator[Metric]:
        yield metrics.ORPHANS_DROPPED.each({(kind,): self._orphans.dropped[kind] for kind in OrphanKind})
        if self._collects_orphans():
            yield metrics.ORPHANS.each({(kind,): self._orphans.left[kind] for kind in OrphanKind})
