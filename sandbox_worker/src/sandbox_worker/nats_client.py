"""One client of nats-py, which is of one connection: opened, asked whether its server still answers, and closed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import nats.errors
from nats.aio.client import Client

from sandbox_worker import constants
from sandbox_worker.nats_servers import NatsServer

FAILURES = (nats.errors.Error, OSError, TimeoutError)
_logger = logging.getLogger(__name__)


async def open_client(
    client: Client, server: NatsServer, *, trust: ssl.SSLContext, closed: Callable[[], Awaitable[None]], **options: Any
) -> None:
    """Logs in at that server alone; one of the `FAILURES` if that fails. `closed` is called when it is lost."""
    log = _ErrorLog()
    try:
        await client.connect(
            [server.url],
            **server.login,
            **options,
            tls=trust,
            tls_hostname=server.tls_hostname,
            allow_reconnect=False,
            connect_timeout=constants.CONNECT_TIMEOUT_S,  # type: ignore[arg-type]  # annotated int, used as seconds
            max_reconnect_attempts=1,  # 0 would be without end
            reconnect_time_wait=0,
            ping_interval=constants.PING_INTERVAL_S,
            error_cb=log.note,
            closed_cb=closed,
        )
    except nats.errors.NoServersError as error:  # which says nothing of why
        raise log.last or error from error
    if not client.is_connected:  # nats-py takes an end of the connection during the login for a success
        raise nats.errors.ConnectionClosedError


async def is_answering(client: Client) -> bool:
    """Whether its server says something in time. What comes slowly, in one large message perhaps, counts too."""
    # Not broken off, and not given up by itself: nats-py would read nothing more when the answer comes after all.
    asked = asyncio.create_task(client.flush(constants.PING_FORGOTTEN_AFTER_S))
    asked.add_done_callback(_retrieve)
    while not asked.done():
        received = _received(client)
        await asyncio.wait({asked}, timeout=constants.PING_SILENCE_S)
        for _ in range(constants.TURNS_TO_READ):
            await asyncio.sleep(0)
        if not asked.done() and _received(client) == received:
            return False
    return not asked.cancelled() and asked.exception() is None


async def close_client(client: Client, *, within_s: float) -> None:
    """Sends what is yet to be sent, for so long: one whose server is frozen is cut off then."""
    closing = asyncio.create_task(client.close())
    closing.add_done_callback(_retrieve)  # nats-py may find its transport gone
    await asyncio.wait({closing}, timeout=within_s)
    closing.cancel()
    _close_leftovers(client)


def _close_leftovers(client: Client) -> None:
    """Before 2.15, nats-py's reader cancels itself halfway in closing what the server has ended; and no version can cut
    a connection off.

    What it would have gone on to do is done here, by private names: a version without them has nothing left there.
    """
    for subscription in tuple(getattr(client, "_subs", {}).values()):
        if task := getattr(subscription, "_wait_for_msgs_task", None):
            task.cancel()
    transport = getattr(client, "_transport", None)
    with suppress(AttributeError):  # never connected
        transport.close()  # type: ignore[union-attr]
    if writer := getattr(transport, "_io_writer", None):
        writer.transport.abort()


def _received(client: Client) -> tuple[int, int]:
    """How much has come, and how much of a message that is not whole: nats-py shows only the first."""
    return client.stats["in_bytes"], len(getattr(getattr(client, "_ps", None), "buf", b""))


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


class _ErrorLog:
    """What nats-py reports beside what it raises."""

    def __init__(self) -> None:
        self.last: Exception | None = None

    async def note(self, error: Exception) -> None:
        self.last = error
        _logger.debug("NATS client reports: %r", error)
