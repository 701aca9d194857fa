"""Part j: the routing on servers whose data last and on ones whose data may go with the power, by turns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.parts import Row, Size
from bench.receiving import by_turns
from bot.stores.embedded import EmbeddedStores

_WORTH = 0.95


async def durable(stores: EmbeddedStores, size: Size) -> list[Row]:
    """`stores` are those that are not durable."""
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as folder:
        async with EmbeddedStores(Path(folder), durable=True) as lasting:
            found = await by_turns({"durable": lasting, "not durable": stores}, size.events, size.runs)
    share = found["durable"]["events_per_s"] / found["not durable"]["events_per_s"]
    return [
        *(Row("j", f"the bot routes, {name}", run["events_per_s"], "events/s") for name, run in found.items()),
        *(Row("j", f"CPU of nats-server, {name}", run["nats_cpu_us"], "µs/event") for name, run in found.items()),
        Row("j", "durable to not durable", share, "times", f"≥ {_WORTH}", share >= _WORTH),
    ]
