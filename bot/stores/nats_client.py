"""NATS: the connection that comes back by itself, and what its failures mean."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import orjson
from loguru import logger
from nats.aio.client import Client
from nats.js.errors import APIError, ServiceUnavailableError
from nats.js.errors import Error as JetStreamError

from bot import constants, private_api, request
from bot.errors import Lack, ServiceUnavailable
from bot.stores.failures import lack_in
from bot.stores.nats_addresses import NO_LOGIN, NatsLogin, login_options, servers_in, tls_of
from bot.stores.nats_reconnects import ConnectionLog, LeavingTransport
from bot.supervisor import Part

private_api.verify("nats-py")

FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)
"""What a question to NATS may end in."""

NO_JETSTREAM = "JetStream is not enabled on the server (start it with -js), or has turned itself off for want of room"

_NO_STORAGE = 10047
_UNWRITTEN = frozenset({10012, 10049})
"""Its codes for a consumer or stream that it could not write down."""
OVER_LIMITS = frozenset({_NO_STORAGE, 10002, 10023})
"""JetStream's codes for storage that it, or the account, may take no more of."""


async def open_nats(
    url: str, *, name: str = "sandbox-bot", jetstream: bool = True, login: NatsLogin = NO_LOGIN
) -> Client:
    """A client that has reached a server (with JetStream) and comes back by itself after an outage, to any server of
    the cluster. `url` may be several, by commas; `login` is for those without one.

    `ServiceUnavailable` has the reason, never the password.
    """
    if not all(urlsplit(server).scheme in {"nats", "tls", "ws", "wss"} for server in servers_in(url)):
        raise ServiceUnavailable("NATS", "NATS_URL is not a nats:// address")
    client = Client()
    log = ConnectionLog(client, len(servers_in(url)))
    try:
        await _connect(client, log, name, {**login_options(url, login), **_server_options(client, url)})
        if jetstream:
            await _require_jetstream(client)
    except (*FAILURES, ValueError) as error:
        await client.close()
        raise unavailable(log.last_error or error) from log.last_error or error
    except asyncio.CancelledError:
        abort_nats(client)
        await close_nats(client)
        raise
    log.established()
    return client


async def _connect(client: Client, log: ConnectionLog, name: str, options: dict[str, Any]) -> None:
    """Gives up in time, and at once when every server refuses: the client alone would try for ever."""
    connecting = asyncio.create_task(
        client.connect(
            **options,
            name=name,
            allow_reconnect=True,
            connect_timeout=constants.NATS_HANDSHAKE_WITHIN_S,
            max_reconnect_attempts=-1,
            reconnect_time_wait=constants.NATS_RECONNECT_AFTER_S,  # type: ignore[arg-type]  # annotated int, used as seconds in sleep()
            reconnect_to_server_handler=log.choose,
            error_cb=log.failed,
            disconnected_cb=log.lost,
            reconnected_cb=log.back,
            discovered_server_cb=log.found,
            lame_duck_mode_cb=client.force_reconnect,
        )
    )
    refused = asyncio.create_task(log.refused.wait())
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


async def _require_jetstream(client: Client) -> None:
    """Of a cluster it is silent while the servers choose who leads it."""
    context = client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)
    if len(client.server_pool) > 1:
        for _ in range(constants.NATS_LEADER_ASKED_TIMES - 1):
            with suppress(TimeoutError):
                await context.account_info()
                return
    await context.account_info()


def _server_options(client: Client, url: str) -> dict[str, Any]:
    servers = servers_in(url)
    schemes = {urlsplit(server).scheme for server in servers}
    if schemes <= {"nats", "tls"}:
        client._transport = LeavingTransport(client, wants_tls="tls" in schemes)
    return {
        "servers": random.sample(servers, len(servers)),  # the bots' connections spread over the cluster
        "dont_randomize": True,  # so that those that are named come before those that nats-py hears of
        "tls": tls_of(url),
        "ping_interval": constants.NATS_CLUSTER_PING_EVERY_S if len(servers) > 1 else constants.NATS_PING_EVERY_S,
    }


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


async def close_nats(client: Client) -> None:
    """Also one whose server is away, which nats-py cannot close without an error now and then."""
    try:
        await client.close()
    except Exception as error:
        logger.debug("NATS client closed with an error", error=repr(error))


def abort_nats(client: Client) -> None:
    """Cut its connection off, where `close_nats` takes too long."""
    transport = client._transport  # nats-py can only close it, which waits for a frozen server
    if isinstance(transport, LeavingTransport):
        transport.abort()


async def watch_connection(client: Client, part: Part) -> None:
    """For ever: the part is running while the client is connected. `ServiceUnavailable` when the client has ended."""
    while not client.is_closed:
        if client.is_connected:
            part.running()
        else:
            part.failing(ServiceUnavailable("NATS", str(client.last_error or "") or "the connection is lost"))
        await asyncio.sleep(constants.NATS_LOOK_EVERY_S)
    raise ServiceUnavailable("NATS", str(client.last_error or "") or "the connection is closed")


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


async def set_replicas(client: Client, stream: str, replicas: int) -> None:
    """All else of the stream stays as it is."""
    config = (await ask_jetstream(client, f"STREAM.INFO.{stream}"))["config"]
    changed = orjson.dumps({**config, "num_replicas": replicas})
    await ask_jetstream(client, f"STREAM.UPDATE.{stream}", changed)


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
