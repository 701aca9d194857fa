"""The worker's one connection to NATS: it comes back by itself, for ever, until the sandbox is over."""

from __future__ import annotations

import asyncio
import logging
import ssl
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
from sandbox_worker.login_attempts import LoginAttempts, is_full
from sandbox_worker.nats_client import FAILURES, close_client, is_answering, open_client
from sandbox_worker.nats_servers import NatsServer, NatsServers

_GONE = (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError, nats.errors.BadSubscriptionError)
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
    client, with the subscriptions of the old one, at another server if there is one."""

    def __init__(self, servers: NatsServers, *, sandbox: str, inbox_prefix: str, trust: ssl.SSLContext) -> None:
        """`trust` is asked about servers with TLS."""
        self._servers, self._sandbox, self._inbox_prefix, self._trust = servers, sandbox, inbox_prefix, trust
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
            await close_client(client, within_s=constants.ANSWER_TIMEOUT_S)

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
            except FAILURES:
                await close_client(client, within_s=constants.CLOSE_TIMEOUT_S)
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
            server, client = await self._connect()
            if client is None:
                self.end("expired" if self._expired else "refused")
                return
            watching = asyncio.create_task(self._watch(server, client))
            try:
                await self._use(client)
            finally:
                watching.cancel()
            self._servers.put_last(server)
            await close_client(client, within_s=constants.CLOSE_TIMEOUT_S)

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

    async def _watch(self, server: NatsServer, client: Client) -> None:
        """Leaves a server that says nothing any more, where there is another."""
        while not self._servers.has_others or await is_answering(client):
            self._servers.learn(server, client.discovered_servers)
            await asyncio.sleep(constants.PING_PAUSE_S)
        self._on_disconnect(client)

    async def _connect(self) -> tuple[NatsServer, Client | None]:
        """No client if the bot goes on refusing the login."""
        attempts = LoginAttempts()
        while True:
            server, began_at = self._servers.first, time.monotonic()
            try:
                return server, await self._log_in(server)
            except Exception as error:  # whatever it is, it is no reason to give up
                self._servers.put_last(server)
                self._note_failure(error)
                attempts.note(error, time.monotonic() - began_at)
            if attempts.are_refused:
                return server, None
            await attempts.pause()

    def _note_failure(self, error: Exception) -> None:
        """Told once: that there are too many connections, also to a worker that had one."""
        was_full, self._is_full = self._is_full, is_full(error)
        if self._is_full and not was_full:
            _logger.warning("NATS does not let the worker in, trying on: %s", TOO_MANY)
        elif not self._is_full and not self._last_error and not self.connections:
            _logger.warning("NATS does not let the worker in, trying on: %s", str(error) or repr(error))
        self._last_error = str(error) or type(error).__name__

    async def _log_in(self, server: NatsServer) -> Client:
        """A client that is connected, and subscribed to all that is subscribed to."""
        client = Client()
        try:
            await self._open(client, server)
            while missing := [one for one in self._subscriptions if one.client is not client]:
                for subscription in missing:
                    await _subscribe(client, subscription)
            await client.flush(constants.ANSWER_TIMEOUT_S)
        except BaseException:  # a cancellation too: nobody else knows of this client
            await close_client(client, within_s=constants.CLOSE_TIMEOUT_S)
            raise
        return client

    async def _open(self, client: Client, server: NatsServer) -> None:
        async def closed() -> None:
            self._on_disconnect(client)

        name = f"{protocol.agent()} {self._sandbox}"
        await open_client(client, server, trust=self._trust, closed=closed, name=name, inbox_prefix=self._inbox_prefix)

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
