"""One process's registry: it asks its sources at each scrape, and one that fails takes no other with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from aiohttp import hdrs, web
from loguru import logger
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bot import constants
from bot.clock import elapsed

_OPENMETRICS = "application/openmetrics-text"
type Source = Callable[[], Iterable[Metric]]
"""Reads what is known already: it neither waits nor asks a store."""


class Metrics(Collector):
    """`add` sources to it; `expose` is what Prometheus reads. Nothing of it is shared with another one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._sources: list[Source] = []
        self._failing: set[Source] = set()
        self._told: dict[str, tuple[bytes, str]] = {}
        self._holds_until = 0.0  # of elapsed()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(self)

    def add(self, *sources: Source) -> None:
        """To be read at each scrape."""
        self._sources += sources

    def collect(self) -> Iterator[Metric]:
        """What all sources tell just now."""
        for source in self._sources:
            yield from self._read(source)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The text, and its content type, as an `Accept` header prefers it."""
        encode, content_type = choose_encoder(_preferred(accept))
        return encode(self.registry), content_type

    async def handle(self, request: web.Request) -> web.Response:
        """Answers a scrape; all within a short time alike, for each would hold up the bot while it is read."""
        if elapsed() >= self._holds_until:
            self._told.clear()
            self._holds_until = elapsed() + constants.METRICS_HOLD_S
        accept = _preferred(request.headers.get(hdrs.ACCEPT, ""))
        if accept not in self._told:
            self._told[accept] = self.expose(accept)
        text, content_type = self._told[accept]
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"})

    def _read(self, source: Source) -> Iterable[Metric]:
        try:
            found = list(source())
        except Exception:
            if source not in self._failing:  # once, and not at each scrape
                logger.exception("metrics cannot be read", source=type(source).__name__)
            self._failing.add(source)
            return []
        self._failing.discard(source)
        return found


def _preferred(accept: str) -> str:
    """One of the two forms that there are, whatever else such a header asks for."""
    try:
        _, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # nobody could prefer something by it
        return ""
    return _OPENMETRICS if content_type.startswith(_OPENMETRICS) else ""
