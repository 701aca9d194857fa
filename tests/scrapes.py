"""What Prometheus would read from a bot, or from a part of one."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bot.metric_sources.registry import Metrics


class Scrape:
    """One scrape. Called with an instrument and labels: the sum of the samples that have them; None if none does."""

    def __init__(self, text):
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def __call__(self, instrument, suffix="", **labels):
        values = [
            sample.value
            for sample in self._samples
            if sample.name == instrument.name + suffix and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None


def scrape(*sources):
    """Of these sources alone."""
    metrics = Metrics()
    metrics.add(*sources)
    return Scrape(metrics.expose("")[0].decode())


def scrape_of(app):
    """Of a bot, whether or not it serves metrics."""
    return Scrape(app.metrics.expose("")[0].decode())


async def scrape_over_http(session, address):
    """As Prometheus does it."""
    async with session.get(f"{address}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return Scrape(await response.text())
