"""NATS: the connection that comes back by itself, and what its failures mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import orjson
from loguru import logger
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.js.errors import APIError, ServiceUnavailableError
from nats.js.errors import Error as JetStreamError

from bot import constants, private_api, request
from bot.errors import Lack, ServiceUnavailable
from bot.stores.failures import lack_in
from bot.supervisor import Part
from sandbox_worker.addresses import read_parameters

private_api.verify("nats-py")

FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)
"""What a question to NATS may end in."""

NO_JETSTREAM = "JetStream is not enabled on the server (start it with -js), or has turned itself off for want of room"

_NO_STORAGE = 10047
_UNWRITTEN = frozenset({10012, 10049})
"""Its codes for a consumer or stream that it could not write down."""
OVER_LIMITS = frozenset({_NO_STORAGE, 10002, 10023})
"""JetStream's codes for storage that it, or the account, may take no more of."""


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
            tls=tls_of(url),
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


async def flush(client: Client) -> None:
    """Returns when the server has what was sent; `TimeoutError` if that takes too long.

    nats-py's own must not be broken off: the client would read nothing more when the server's answer comes after all.
    """
    flushing = asyncio.create_task(client.flush(constants.NATS_GIVEN_UP_AFTER_S))
    flushing.add_done_callback(lambda task: task.cancelled() or task.exception())
    done, _ = await asyncio.wait({flushing}, timeout=constants.NATS_ANSWER_WITHIN_S)
    if not done:
        raise TimeoutError
    flushing.result()


def tls_of(url: str) -> ssl.SSLContext | None:
    """None for the authorities that the system trusts. The parameters are called as redis-py calls them."""
    parameters = read_parameters(url)
    if not (authority := parameters.get("ssl_ca_certs")):
        return None
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = parameters.get("ssl_check_hostname", "").lower() != "false"
    return context


async def close_nats(client: Client) -> None:
    """Also one whose server is away, which nats-py cannot close without an error now and then."""
    try:
        await client.close()
    except Exception as error:
        logger.debug("NATS client closed with an error", error=repr(error))


def abort_nats(client: Client) -> None:
    """Cut its connection off, where `close_nats` takes too long."""
    transport = client._transport  # nats-py can only close it, which waits for a frozen server
    if isinstance(transport, TcpTransport) and transport._io_writer is not None:
        transport._io_writer.transport.abort()


async def watch_connection(client: Client, part: Part) -> None:
    """For ever: the part is running while the client is connected. `ServiceUnavailable` when the client has ended."""
    while not client.is_closed:
        if client.is_connected:
            part.running()
        else:
            part.failing(ServiceUnavailable("NATS", str(client.last_error or "") or "the connection is lost"))
        await asyncio.sleep(constants.NATS_LOOK_EVERY_S)
    raise ServiceUnavailable("NATS", str(client.last_error or "") or "the connection is closed")


class _ConnectionLog:
    """What the client's callbacks tell of it; outages are told by the parts that suffer from them."""

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
        # again: out of order. Whoever needs an answer asks again anyway. There is no public way to drop it; did it lie
        # elsewhere, events would come inverted after an outage.
        self._client._pending.clear()
        self._client._pending_data_size = 0
        logger.debug("NATS connection lost")

    async def back(self) -> None:
        logger.debug("NATS connection is back")


@contextmanager
def asking() -> Iterator[None]:
    """For what asks NATS: its `FAILURES` become `ServiceUnavailable`."""
    try:
        with request.waiting_for("NATS"):
            yield
    except FAILURES as error:
        raise unavailable(error) from error


async def ask_jetstream(client: Client, question: str, body: bytes = b"") -> dict[str, Any]:
    """Its whole answer, of which nats-py leaves out at what time; what it refuses is an `APIError`."""
    answer = await client.request(f"$JS.API.{question}", body, timeout=constants.NATS_ANSWER_WITHIN_S)
    told: dict[str, Any] = orjson.loads(answer.data)
    if "error" in told:
        APIError.from_error(told["error"])
    return told


def unavailable(error: BaseException) -> ServiceUnavailable:
    """What an operator is told of one of the `FAILURES`."""
    if isinstance(error, APIError) and error.err_code == _NO_STORAGE:
        detail = "JetStream has no storage left to reserve; raise its max_file_store or lower nats.stream_max_megabytes"
        return ServiceUnavailable("NATS", detail, lack=Lack.STORAGE)
    if isinstance(error, APIError) and not (isinstance(error, ServiceUnavailableError) and error.err_code is None):
        said = str(error.description or error)
        if error.err_code in _UNWRITTEN:
            said += ": it cannot write to its disk, and its log says why"
        return ServiceUnavailable("NATS", f"JetStream: {said}", lack=lack_of_jetstream(error.err_code, said))
    if isinstance(error, JetStreamError):
        return ServiceUnavailable("NATS", NO_JETSTREAM)
    return ServiceUnavailable.because("NATS", error, str(error) or type(error).__name__)


def lack_of_jetstream(code: int | None, said: str) -> Lack | None:
    """What JetStream has no more of, by an error of it."""
    return Lack.STORAGE if code in OVER_LIMITS else lack_in(said)
