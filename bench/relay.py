"""The relay in a process of its own, which says what it costs."""

from __future__ import annotations

import asyncio
import socket
import time

from bench import processes
from bench.meter import resident
from bench.processes import Json
from bench.tapped import settings_of
from bot import constants, log
from bot.relay.server import RelayStores, serve_relay
from bot.stores.nats_client import close_nats, open_nats
from bot.stores.opening import open_stores
from bot.supervisor import Supervisor


async def main() -> None:
    log.configure("ERROR")
    config = processes.config()
    settings = settings_of(config)
    constants.RELAY_IDENTIFY_EVERY_S = 0.0  # what is measured is how long one takes, and not the pause before it
    listening = socket.socket(fileno=config["fd"]) if "fd" in config else socket.create_server(("127.0.0.1", 0))
    address = "http://{}:{}".format(*listening.getsockname())

    async def describe() -> Json:
        return {"address": address}

    async def cost() -> Json:
        """CPU seconds since the start, and bytes."""
        return {"cpu": time.process_time(), "rss": resident()}

    async with Supervisor() as supervisor, open_stores(settings, share=True, deadline=supervisor.deadline) as stores:
        nats = await open_nats(stores.addresses.nats, name="sandbox-relay")
        try:
            relay_stores = RelayStores(stores.pool, stores.redis, nats)
            async with serve_relay(relay_stores, supervisor, settings, listening=listening, address=address):
                await processes.serve({"describe": describe, "cost": cost})
        finally:
            await close_nats(nats)


if __name__ == "__main__":
    asyncio.run(main())
