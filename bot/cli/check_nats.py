"""What `sandbox-bot check` says of one's own NATS; how the embedded one is configured [embedded] says."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import constants
from bot.settings import Settings
from bot.stores.nats_capacity import NatsNeeds, read_nats_capacity
from bot.stores.nats_sync import read_sync_interval
from bot.stores.opening import Stores


async def check_nats(settings: Settings, stores: Stores) -> list[str]:
    """Warnings."""
    return [*[warning async for warning in _sync(stores)], *await _capacity(settings, stores)]


async def _sync(stores: Stores) -> AsyncIterator[str]:
    interval_s = await read_sync_interval(stores.callout.system) if stores.callout else None
    if interval_s is not None and interval_s > constants.NATS_SYNC_TRUSTED_UP_TO_S:
        yield (
            f"it brings events to its disk only every {interval_s:.0f} s: what it has acknowledged meanwhile is lost "
            f'with its power, and nobody marks that. Set sync_interval: "{constants.NATS_SYNC_EVERY_S}s" in its '
            "jetstream block"
        )


async def _capacity(settings: Settings, stores: Stores) -> list[str]:
    nats = settings.nats
    needs = NatsNeeds(
        nats.stream_max_megabytes * 1024 * 1024,
        nats.stream_replicas,
        settings.sandboxes.max_per_owner,
        settings.isolation.max_connections,
    )
    system = stores.callout.system if stores.callout else None
    capacity = await read_nats_capacity(stores.nats, system, nats.stream_replicas)
    return list(capacity.warnings(needs))
