"""Part c: the publisher alone, against nats-py's two ways to publish with acknowledgement."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median

from nats.aio.client import Client
from nats.js.client import JetStreamContext

from bench.processes import Json
from bench.sender import EVENT_BYTES
from bot.routing.publisher import Publisher
from bot.stores.nats_client import open_nats

_STREAMS = 8
_WINDOW = 4096
_PAYLOAD = b"x" * EVENT_BYTES

type Way = Callable[[Client, int, str], Awaitable[None]]


async def publishing(nats_url: str, events: int, runs: int) -> Json:
    """Events a second of each way, all acknowledged, with message ids, into file streams."""
    client = await open_nats(nats_url)
    jetstream = client.jetstream()
    for number in range(_STREAMS):
        await jetstream.add_stream(name=f"BENCH_{number}", subjects=[f"bench.{number}.>"])
    found: dict[str, list[float]] = {}
    for number in range(runs):
        for name, way, count in (
            ("publisher", _ours, events),
            ("publish_async", _publish_async, events),
            ("publish", _sequential, max(events // 10, 1)),
        ):
            for stream in range(_STREAMS):
                await jetstream.purge_stream(f"BENCH_{stream}")
            started_at = time.monotonic()
            await way(client, count, f"{name}:{number}")
            found.setdefault(name, []).append(count / (time.monotonic() - started_at))
    for number in range(_STREAMS):
        await jetstream.delete_stream(f"BENCH_{number}")
    await client.close()
    return {name: median(rates) for name, rates in found.items()}


async def _ours(client: Client, events: int, run: str) -> None:
    publisher = Publisher(client, window=_WINDOW, ack_timeout=timedelta(seconds=5))
    await publisher.start()
    for number in range(events):
        if publisher.is_full:
            await publisher.wait_for_capacity()
        publisher.publish(_subject(number), _PAYLOAD, f"{run}:{number}")
    await publisher.drain(60)
    if publisher.counts["acked"] != events:
        raise RuntimeError(f"only {publisher.counts['acked']} of {events} were acknowledged")
    await publisher.close()


async def _publish_async(client: Client, events: int, run: str) -> None:
    jetstream = client.jetstream(publish_async_max_pending=_WINDOW)
    for number in range(events):
        await jetstream.publish_async(
            _subject(number), _PAYLOAD, wait_stall=10, headers={"Nats-Msg-Id": f"{run}:{number}"}
        )
    await asyncio.wait_for(jetstream.publish_async_completed(), 60)


async def _sequential(client: Client, events: int, run: str) -> None:
    jetstream: JetStreamContext = client.jetstream()
    for number in range(events):
        await jetstream.publish(_subject(number), _PAYLOAD, headers={"Nats-Msg-Id": f"{run}:{number}"})


def _subject(number: int) -> str:
    return f"bench.{number % _STREAMS}.events.MESSAGE_CREATE"


async def main() -> None:
    from bench import processes

    config = processes.config()

    async def compare(events: int, runs: int) -> Json:
        return await publishing(config["nats"], events, runs)

    await processes.serve({"compare": compare})


if __name__ == "__main__":
    asyncio.run(main())
