"""How soon what NATS has acknowledged is on its disk."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
from nats.aio.client import Client

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_client import asking


async def read_sync_interval(system: Client) -> float | None:
    """In seconds, 0 if each acknowledgement waits for the disk; None if the server doesn't say. As one server has it;
    those of a cluster are to have the same. `ServiceUnavailable` if NATS is away."""
    with asking():
        answer = await system.request("$SYS.REQ.SERVER.PING.VARZ", timeout=constants.NATS_ANSWER_WITHIN_S)
    told: dict[str, Any] = orjson.loads(answer.data).get("data") or {}
    config = (told.get("jetstream") or {}).get("config") or {}
    if config.get("sync_always"):
        return 0.0
    return config["sync_interval"] / 1e9 if "sync_interval" in config else None


async def settled_after(system: Client | None) -> float:
    """How many seconds after its acknowledgement an event is on the disk; 0 where that takes too long to wait for.

    A server that can't be asked is taken for one that is configured as README wants it.
    """
    interval_s = None
    if system is not None:
        with suppress(ServiceUnavailable):
            interval_s = await read_sync_interval(system)
    if interval_s is None:
        interval_s = constants.NATS_SYNC_EVERY_S
    is_waited_for = 0 < interval_s <= constants.NATS_SYNC_TRUSTED_UP_TO_S
    return interval_s + constants.NATS_SYNC_LASTS_S if is_waited_for else 0.0
