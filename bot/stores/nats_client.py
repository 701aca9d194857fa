"""NATS: the connection that comes back by itself, and what its failures mean."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.js.errors import APIError, ServiceUnavailableError
from nats.js.errors import Error as JetStreamError

from bot import constants
from bot.errors import ServiceUnavailable

FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)
"""What a question to NATS may end in."""

_NO_STORAGE = 10047


async def open_nats(url: str, *, name: str = "sandbox-bot", jetstream: bool = True) -> Client:
    """A client that has reached a server (with JetStream) and comes back by itself after an outage.

    `ServiceUnavailable` has the reason, never the password.
    """
    if urlsplit(url).scheme not in {"nats", "tls", "ws", "wss"}:
        raise ServiceUnavailable("NATS", "NATS_URL is not a nats:// address")
    client = Client()
    state = _ConnectionLog(client)
    try:
        await _connect(client, state, url, name)
        if jetstream:
            await client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S).account_info()
    except (*FAILURES, ValueError) as error:
        await client.close()
        raise unavailable(state.last_error or error) from error
    state.established = True
    return client


async def _connect(client: Client, state: _ConnectionLog, url: str, name: str) -> None:
    """Gives up in time, and at once when the login is refused: the client alone would try for ever."""
    connecting = asyncio.create_task(
        client.connect(
            url,
            name=name,
            allow_reconnect=True,
            connect_timeout=constants.NATS_HANDSHAKE_WITHIN_S,
            max_reconnect_attempts=-1,
            reconnect_time_wait=constants.NATS_RECONNECT_AFTER_S,  # type: ignore[arg-type]  # annotated int, used as seconds in sleep()
            ping_interval=constants.NATS_PING_EVERY_S,
            error_cb=state.failed,
            disconnected_cb=state.lost,
            reconnected_cb=state.back,
        )
    )
    refused = asyncio.create_task(state.refused.wait())
    try:
        await asyncio.wait(
            {connecting, refused}, timeout=constants.NATS_CONNECT_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not connecting.done():
            raise TimeoutError
        connecting.result()
    finally:
        refused.cancel()
        connecting.cancel()
        await asyncio.wait({connecting, refused})


async def close_nats(client: Client) -> None:
    """Also one whose server is away, which nats-py cannot close without an error now and then."""
    try:
        await client.close()
    except Exception as error:
        logger.debug("NATS client closed with an error", error=repr(error))


class _ConnectionLog:
    """Logs an outage once when it begins and once when it ends."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.established = False
        self.refused = asyncio.Event()
        self.last_error: Exception | None = None

    async def failed(self, error: Exception) -> None:
        if not self.refused.is_set():  # what comes after a refusal only follows from it
            self.last_error = error
        if not self.established and "authorization violation" in str(error).lower():
            self.refused.set()
        logger.debug("NATS client reports", error=repr(error))

    async def lost(self) -> None:
        # nats-py would send its unwritten rest first after the reconnect, before what got lost on the way and is sent
        # again: out of order. Whoever needs an answer asks again anyway. These two private attributes are that rest and
        # its length, and there is no public way to drop it. If they have moved, the first line raises AttributeError at
        # the first outage, in the callback; tests/e2e/test_outages.py and test_publisher.py then miss events.
        self._client._pending.clear()
        self._client._pending_data_size = 0
        if self.established and not self._client.is_closed:
            logger.warning("NATS connection lost, reconnecting")

    async def back(self) -> None:
        logger.info("NATS connection is back")


def unavailable(error: BaseException) -> ServiceUnavailable:
    """What an operator is told of one of the `FAILURES`."""
    if isinstance(error, APIError) and error.err_code == _NO_STORAGE:
        detail = "JetStream has no storage left to reserve; raise its max_file_store or lower nats.stream_max_megabytes"
        return ServiceUnavailable("NATS", detail)
    if isinstance(error, APIError) and not (isinstance(error, ServiceUnavailableError) and error.err_code is None):
        return ServiceUnavailable("NATS", f"JetStream: {error.description or error}")
    if isinstance(error, JetStreamError):
        return ServiceUnavailable("NATS", "JetStream is not enabled on the server (start it with -js)")
    return ServiceUnavailable("NATS", str(error) or type(error).__name__)
