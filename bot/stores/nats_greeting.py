"""Each server of NATS by itself, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from nats.aio.client import Client

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.nats_addresses import NatsLogin, login_options, servers_in, tls_of
from bot.stores.nats_client import FAILURES, ask_jetstream, asking, close_nats, unavailable


async def greet_all(urls: str, login: NatsLogin) -> Sequence[tuple[str, str | ServiceUnavailable]]:
    """By the address of each server, its version, or why it does not let the bot in."""
    servers = servers_in(urls)
    answers = await asyncio.gather(*(_greet(server, urls, login) for server in servers))
    return list(zip(servers, answers, strict=True))


async def _greet(server: str, urls: str, login: NatsLogin) -> str | ServiceUnavailable:
    client = Client()
    options = {**login_options(urls, login), "tls": tls_of(urls), "connect_timeout": constants.CHECK_HOST_WITHIN_S}
    try:
        async with asyncio.timeout(constants.CHECK_HOST_WITHIN_S):
            await client.connect(
                servers=[server], name="sandbox-bot", allow_reconnect=False, error_cb=_give_up, **options
            )
        return version_of(client)
    except FAILURES as error:
        return unavailable(error)
    finally:
        await close_nats(client)


async def _give_up(error: Exception) -> None:
    """At the first error, in the middle of nats-py's next try."""
    raise error


def version_of(client: Client) -> str:
    """Of the server that it is connected to."""
    version = client.connected_server_version
    return f"{version.major or 0}.{version.minor or 0}.{version.patch or 0}"


async def read_clock(client: Client, system: Client | None) -> float | None:
    """A server's time (Unix); None if nobody says: without a system account only an answer about a stream has one."""
    with asking():
        if system is not None:
            answer = await system.request("$SYS.REQ.SERVER.PING.VARZ", timeout=constants.NATS_ANSWER_WITHIN_S)
            told: str | None = (orjson.loads(answer.data).get("data") or {}).get("now")
        else:
            streams: list[dict[str, Any]] = (await ask_jetstream(client, "STREAM.LIST")).get("streams") or []
            told = next((stream.get("ts") for stream in streams), None)
    return datetime.fromisoformat(told).timestamp() if told else None
