"""The worker's one connection to NATS: it comes back by itself, for ever, until the sandbox is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bot.errors import ServiceUnavailable
from sandbox_worker.errors import Ending, SandboxEnded

_CONNECT_WITHIN_S = 2
"""Less than the server waits for the bot's word on a login: a bot that is away is silence, not a refusal."""
_REFUSED_FOR_S = 4.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_GONE = (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError, nats.errors.BadSubscriptionError)
_FAILURES = (nats.errors.Error, OSError, TimeoutError)


@dataclass(eq=False, slots=True)
class Listener:
    """A subscription that outlives connections. `on_loss` is called after each; what was under way then is lost.

    Without a subject it is an inbox, with another address on each connection: the server would take a request of before
    for one that is still waited for, and send its answer nowhere.
    """

    on_message: Callable[[Msg], Awaitable[None]]
    on_loss: Callable[[], None]
    subject: str = ""
    address: str = ""
    client: Client | None = None
    subscription: Subscription | None = None


class Link:
    """nats-py closes for good when a login expires, so its own reconnecting is off: after whatever loss there is a new
    client, with the subscriptions of the old one."""

    def __init__(self, url: str, *, sandbox: str, inbox_prefix: str) -> None:
        self._url, self._sandbox, self._inbox_prefix = url, sandbox, inbox_prefix
        self._listeners: set[Listener] = set()
        self._client: Client | None = None
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._ending: Ending | None = None
        self._closed = False
        self._expired, self._last_error = False, ""
        self._keeper: asyncio.Task[None] | None = None
        self.connections = 0

    async def close(self) -> None:
        """Sends what was published."""
        client, self._client = self._client, None
        self._closed = True
        self._up.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if client is not None:
            await _close(client)

    @property
    def live(self) -> Client | None:
        """None during an outage."""
        return self._client

    async def client(self) -> Client:
        """Connects at the first need of it, and waits out an outage. `SandboxEnded` if the sandbox is over."""
        while self._client is None:
            if self._closed:
                raise RuntimeError("the sandbox is used outside its `async with`")
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep())
            if self._ending is not None:
                raise SandboxEnded(self._sandbox, self._ending)
            await self._up.wait()
        return self._client

    async def reach(self, timeout: float) -> None:
        """`ServiceUnavailable` if there is no connection by then."""
        try:
            async with asyncio.timeout(timeout):
                await self.client()
        except TimeoutError:
            raise ServiceUnavailable("NATS", self._last_error or "no answer") from None

    async def publish(self, subject: str, data: bytes = b"", *, answer_to: Listener | None = None) -> None:
        """Waits out an outage."""
        while True:
            client = await self.client()
            try:
                return await client.publish(subject, data, reply=answer_to.address if answer_to else "")
            except _GONE:
                self._lose(client)

    async def listen(self, listener: Listener) -> None:
        """Returns when the server knows of it."""
        self._listeners.add(listener)
        while True:
            client = await self.client()
            try:
                await _subscribe(client, listener)
                return await client.flush(_CONNECT_WITHIN_S)
            except _FAILURES:
                await _close(client)
                self._lose(client)

    async def drop(self, listener: Listener) -> None:
        """What the server has sent until then is handed to the listener yet."""
        self._listeners.discard(listener)
        if listener.subscription is not None and listener.client is self._client:
            with suppress(*_FAILURES):
                async with asyncio.timeout(_CONNECT_WITHIN_S):
                    await listener.subscription.drain()  # type: ignore[no-untyped-call]
        listener.client = None

    def end(self, reason: Ending) -> None:
        """Nobody waits any longer."""
        self._ending = reason
        if self._client is not None:
            self._lose(self._client)
        self._up.set()
        self._tell_loss()

    async def _keep(self) -> None:
        while self._ending is None:
            client = await self._connect()
            if client is None:
                self.end("expired" if self._expired else "refused")
                return
            self._client, self._expired = client, False
            self._down.clear()
            self._up.set()
            self.connections += 1
            if self.connections > 1:
                logger.info("NATS connection is back", sandbox=self._sandbox)
            if not client.is_connected:  # lost before it was ours to lose
                self._lose(client)
            await self._down.wait()
            self._expired = "authentication expired" in str(client.last_error).lower()
            if self._ending is None:
                logger.warning("NATS connection lost, reconnecting", sandbox=self._sandbox)
            await _close(client)

    async def _connect(self) -> Client | None:
        """None if the server goes on refusing the login."""
        pause, refused_since = _FIRST_PAUSE_S, None
        warned = self.connections > 0
        while True:
            client = Client()
            try:
                await self._log_in(client)
            except Exception as error:  # whatever it is, it is no reason to give up
                await _close(client)
                self._last_error = str(error) or type(error).__name__
                refused_since = (refused_since or time.monotonic()) if _is_refusal(error) else None
                if refused_since is not None and time.monotonic() - refused_since > _REFUSED_FOR_S:
                    return None
                if not warned:
                    warned = True
                    logger.warning("NATS does not let the worker in, trying on", error=repr(error))
            except asyncio.CancelledError:
                await _close(client)
                raise
            else:
                return client
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S if refused_since is None else _REFUSED_FOR_S / 8)

    async def _log_in(self, client: Client) -> None:
        """Connected, and subscribed to all that is listened to."""

        async def closed() -> None:
            self._lose(client)

        await client.connect(
            self._url,
            name=f"worker of {self._sandbox}",
            allow_reconnect=False,
            connect_timeout=_CONNECT_WITHIN_S,
            max_reconnect_attempts=1,  # 0 would be without end
            reconnect_time_wait=0,
            ping_interval=10,
            inbox_prefix=self._inbox_prefix,
            error_cb=_report,
            closed_cb=closed,
        )
        if not client.is_connected:  # nats-py takes an end of the connection during the login for a success
            raise nats.errors.ConnectionClosedError
        while missing := [listener for listener in self._listeners if listener.client is not client]:
            for listener in missing:
                await _subscribe(client, listener)
        await client.flush(_CONNECT_WITHIN_S)

    def _lose(self, client: Client) -> None:
        if client is self._client:
            self._client = None
            self._up.clear()
            self._down.set()
            self._tell_loss()

    def _tell_loss(self) -> None:
        for listener in tuple(self._listeners):
            listener.on_loss()


async def _subscribe(client: Client, listener: Listener) -> None:
    if listener.client is not client:
        listener.address = listener.subject or client.new_inbox()
        listener.subscription = await client.subscribe(listener.address, cb=listener.on_message)
        listener.client = client


def _is_refusal(error: BaseException) -> bool:
    text = str(error).lower()
    return "authorization violation" in text or "authentication expired" in text


async def _close(client: Client) -> None:
    with suppress(*_FAILURES, AttributeError):  # nats-py may find its transport gone
        await client.close()


async def _report(error: Exception) -> None:
    logger.debug("NATS client reports", error=repr(error))
