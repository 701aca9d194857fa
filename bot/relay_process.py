"""The relay in a process of its own, with its health and metrics."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack

from bot.health.looks import StopLook
from bot.health.probes import StoreProbes
from bot.health.readiness import start_readiness
from bot.health.server import HealthServer, serve_health
from bot.listening import certificates_in
from bot.metric_sources.process import CertificateSource, LogLines, ProcessSource
from bot.metric_sources.readiness import ReadinessSource
from bot.metric_sources.registry import Metrics
from bot.metric_sources.relay import RelaySource
from bot.relay.part import RelayPart
from bot.settings import Settings
from bot.stores.opening import Stores, open_stores
from bot.supervisor import Supervisor


async def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        Supervisor() as supervisor,
        serve_health(settings) as health,
        open_stores(settings, share=True, deadline=supervisor.deadline) as stores,
    ):
        part = RelayPart(settings, stores, supervisor)
        supervisor.start("relay", part.run)
        with ExitStack() as stack:
            if health is not None:
                metrics = _metrics(settings, health, supervisor, stores, part, stop)
                metrics.add(stack.enter_context(LogLines()))
            await _wait_until_over(supervisor, stop)
        supervisor.deadline.start()
        await supervisor.end({"relay"})
        part.close()


def _metrics(
    settings: Settings,
    health: HealthServer,
    supervisor: Supervisor,
    stores: Stores,
    part: RelayPart,
    stop: asyncio.Event,
) -> Metrics:
    """They are told from now on, and whether the relay is ready."""
    probes = StoreProbes(stores, replicas=settings.nats.stream_replicas)
    readiness = start_readiness(health, supervisor, probes=probes.all, looks={"relay": StopLook(stop).look})
    metrics = Metrics()
    metrics.add(ProcessSource(supervisor, stores.pool), RelaySource(part), ReadinessSource(readiness.whole))
    metrics.add(CertificateSource(certificates_in(settings)))
    health.routes["/metrics"] = metrics.handle
    return metrics


async def _wait_until_over(supervisor: Supervisor, stop: asyncio.Event) -> None:
    exhausted = asyncio.create_task(supervisor.wait_exhausted())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({exhausted, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (exhausted, stopped):
        task.cancel()
