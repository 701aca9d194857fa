"""The worker's one connection to NATS: it comes back by itself, for ever, until the sandbox is over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from nats.aio import subscription as nats_subscription
from nats.aio.client import Client
from nats.aio.msg import Msg

from sandbox_worker import constants, protocol
from sandbox_worker.errors import TOO_MANY, EndReason, SandboxEnded, ServiceUnavailable, TooManyConnections

_GONE = (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError, nats.errors.BadSubscriptionError)
_FAILURES = (nats.errors.Error, OSError, TimeoutError)
_logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Subscription:
    """One that outlives connections. `on_disconnect` is called after each; what was under way then is lost.

    Without a subject it is an inbox, with another address on each connection: the server would take a request of before
    for one that is still waited for, and send its answer nowhere.
    """

    on_message: Callable[[Msg], Awaitable[None]]
    on_disconnect: Callable[[], None]
    subject: str = ""
    address: str = ""
    client: Client | None = None
    of_client: nats_subscription.Subscription | None = None


class NatsConnection:
    """nats-py closes for good when a login expires, so its own reconnecting is off: after whatever loss there is a new
    client, with the subscriptions of the old one."""

    def __init__(self, url: str, *, sandbox: str, inbox_prefix: str, user: str = "", password: str = "") -> None:
        """`url` may be several, by commas; `user` and `password` count for those without a login."""
        self._servers, self._sandbox, self._inbox_prefix = _servers(url), sandbox, inbox_prefix
        self._login = {} if _has_login(self._servers) or not user else {"user": user, "password": password}
        self._subscriptions: set[Subscription] = set()
        self._client: Client | None = None
        self._connected, self._disconnected = asyncio.Event(), asyncio.Event()
        self._end_reason: EndReason | None = None
        self._closed = False
        self._expired, self._is_full, self._last_error = False, False, ""
        self._reconnecting: asyncio.Task[None] | None = None
        self.connections = 0
        """How often it has been connected."""

    async def close(self) -> None:
        """Sends what was published."""
        client, self._client = self._client, None
        self._closed = True
        self._connected.set()
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait([self._reconnecting])
        if client is not None:
            await _close(client)

    @property
    def current(self) -> Client | None:
        """None during an outage, and before the first need of one."""
        return self._client

    async def client(self) -> Client:
        """Connects at the first need of it, and waits out an outage. `SandboxEnded` if the sandbox is over."""
        while self._client is None:
            if self._closed:
                raise RuntimeError("the sandbox is used outside its `async with`")
            if self._reconnecting is None:
                self._reconnecting = asyncio.create_task(self._stay_connected())
            if self._end_reason is not None:
                raise SandboxEnded(self._sandbox, self._end_reason)
            await self._connected.wait()
        return self._client

    async def require(self, timeout: float) -> None:
        """`ServiceUnavailable` if there is no connection after so many seconds: `TooManyConnections` if that is why."""
        try:
            async with asyncio.timeout(timeout):
                await self.client()
        except TimeoutError:
            if self._is_full:
                raise TooManyConnections from None
            raise ServiceUnavailable("NATS", self._last_error or "no answer") from None

    async def publish(
        self,
        subject: str,
        data: bytes = b"",
        *,
        reply_to: Subscription | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Waits out an outage. It is on its way then; whether it arrives is not known."""
        sent = dict(headers) if headers else None
        while True:
            client = await self.client()
            try:
                return await client.publish(subject, data, reply_to.address if reply_to else "", sent)
            except _GONE:
                self._on_disconnect(client)

    async def subscribe(self, subscription: Subscription) -> None:
        """Returns when the server knows of it."""
        self._subscriptions.add(subscription)
        while True:
            client = await self.client()
            try:
                await _subscribe(client, subscription)
                return await client.flush(constants.ANSWER_TIMEOUT_S)
            except _FAILURES:
                await _close(client)
                self._on_disconnect(client)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """What the server has sent until then is handed to it yet."""
        self._subscriptions.discard(subscription)
        if subscription.of_client is not None and subscription.client is self._client:
            # Not broken off: nats-py would read nothing more when the server's answer comes after all.
            draining = asyncio.create_task(subscription.of_client.drain())  # type: ignore[no-untyped-call]
            draining.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.wait({draining}, timeout=constants.ANSWER_TIMEOUT_S)
        subscription.client = None

    def end(self, reason: EndReason) -> None:
        """Whoever waits, or asks for anything from now on, gets `SandboxEnded`."""
        self._end_reason = reason
        if self._client is not None:
            self._on_disconnect(self._client)
        self._connected.set()
        self._notify_subscriptions()

    async def _stay_connected(self) -> None:
        while self._end_reason is None:
            client = await self._connect()
            if client is None:
                self.end("expired" if self._expired else "refused")
                return
            await self._use(client)
            await _close(client)

    async def _use(self, client: Client) -> None:
        """Returns when the connection is lost."""
        self._client, self._expired, self._is_full = client, False, False
        self._disconnected.clear()
        self._connected.set()
        self.connections += 1
        if self.connections > 1:
            _logger.info("NATS connection is back: sandbox %s", self._sandbox)
        if not client.is_connected:  # lost before it was ours to lose
            self._on_disconnect(client)
        await self._until_disconnected(client)
        self._expired = "authentication expired" in str(client.last_error).lower()
        if self._end_reason is None:
            _logger.warning("NATS connection lost, reconnecting: sandbox %s", self._sandbox)

    async def _until_disconnected(self, client: Client) -> None:
        """Also where nats-py calls no `closed_cb` of what the server has ended, as before 2.15."""
        while not self._disconnected.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(constants.CLOSED_CHECK_S):
                    await self._disconnected.wait()
            if client.is_closed:
                self._on_disconnect(client)

    async def _connect(self) -> Client | None:
        """None if the server goes on refusing the login."""
        delay, refused_since = constants.FIRST_RECONNECT_DELAY_S, None
        while True:
            try:
                return await self._log_in()
            except Exception as error:  # whatever it is, it is no reason to give up
                self._note_failure(error)
                refused_since = (refused_since or time.monotonic()) if _is_refusal(error) else None
            if refused_since is not None and time.monotonic() - refused_since > constants.REFUSED_FOR_S:
                return None
            await asyncio.sleep(delay)
            # A refusal is asked again often enough to be sure of it when its time is over.
            longest = constants.LONGEST_RECONNECT_DELAY_S if refused_since is None else constants.REFUSED_FOR_S / 8
            delay = min(delay * 2, longest)

    def _note_failure(self, error: Exception) -> None:
        """Told once: that there are too many connections, also to a worker that had one."""
        was_full, self._is_full = self._is_full, _is_full(error)
        if self._is_full and not was_full:
            _logger.warning("NATS does not let the worker in, trying on: %s", TOO_MANY)
        elif not self._is_full and not self._last_error and not self.connections:
            _logger.warning("NATS does not let the worker in, trying on: %r", error)
        self._last_error = str(error) or type(error).__name__

    async def _log_in(self) -> Client:
        """A client that is connected, and subscribed to all that is subscribed to."""
        client = Client()
        try:
            await self._open(client)
            while missing := [one for one in self._subscriptions if one.client is not client]:
                for subscription in missing:
                    await _subscribe(client, subscription)
            await client.flush(constants.ANSWER_TIMEOUT_S)
        except BaseException:  # a cancellation too: nobody else knows of this client
            await _close(client)
            raise
        return client

    async def _open(self, client: Client) -> None:
        async def closed() -> None:
            self._on_disconnect(client)

        await client.connect(
            self._servers,
            **self._login,  # type: ignore[arg-type]
            name=f"{protocol.agent()} {self._sandbox}",
            allow_reconnect=False,
            connect_timeout=constants.CONNECT_TIMEOUT_S,  # type: ignore[arg-type]  # annotated int, used as seconds
            max_reconnect_attempts=1,  # 0 would be without end
            reconnect_time_wait=0,
            ping_interval=constants.PING_INTERVAL_S,
            inbox_prefix=self._inbox_prefix,
            error_cb=_log_error,
            closed_cb=closed,
        )
        if not client.is_connected:  # nats-py takes an end of the connection during the login for a success
            raise nats.errors.ConnectionClosedError

    def _on_disconnect(self, client: Client) -> None:
        if client is self._client:
            self._client = None
            self._connected.clear()
            self._disconnected.set()
            self._notify_subscriptions()

    def _notify_subscriptions(self) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.on_disconnect()


async def _subscribe(client: Client, subscription: Subscription) -> None:
    if subscription.client is not client:
        subscription.address = subscription.subject or client.new_inbox()
        subscription.of_client = await client.subscribe(subscription.address, cb=subscription.on_message)
        subscription.client = client


def _servers(url: str) -> list[str]:
    return [server for part in url.split(",") if (server := part.strip())]


def _has_login(servers: list[str]) -> bool:
    return any("@" in server for server in servers)


def _is_refusal(error: BaseException) -> bool:
    """By the server's words, for nats-py has no error of its own for them."""
    text = str(error).lower()
    return "authorization violation" in text or "authentication expired" in text


def _is_full(error: BaseException) -> bool:
    """Whether the server sends the worker away for there are too many; by its words, too."""
    return "maximum account active connections exceeded" in str(error).lower()


async def _close(client: Client) -> None:
    with suppress(*_FAILURES, AttributeError):  # nats-py may find its transport gone
        await client.close()
    _close_leftovers(client)


def _close_leftovers(client: Client) -> None:
    """Before 2.15, nats-py's reader cancels itself halfway in closing what the server has ended.

    What it would have gone on to do is done here. The private names are those of old versions, which do not move any
    more; a newer one has nothing left under them.
    """
    for subscription in tuple(getattr(client, "_subs", {}).values()):
        if task := getattr(subscription, "_wait_for_msgs_task", None):
            task.cancel()
    with suppress(AttributeError):  # never connected
        getattr(client, "_transport", None).close()  # type: ignore[union-attr]


async def _log_error(error: Exception) -> None:
    _logger.debug("NATS client reports: %r", error)
