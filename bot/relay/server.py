"""The relay as a whole: wired, listening, and its parts supervised."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import redis.asyncio
from aiohttp import web
from nats.aio.client import Client

from bot import constants, log
from bot.errors import ServiceUnavailable
from bot.relay.commands import CommandStore, GuildCommands
from bot.relay.gateway import intents
from bot.relay.gateway.client import Gateway
from bot.relay.gateway.client_log import ClientLog
from bot.relay.gateway.feed import Streams
from bot.relay.gateway.sessions import Sessions
from bot.relay.gateway.stream_reader import StreamReader
from bot.relay.http.api import Api
from bot.relay.http.commands import CommandRoutes
from bot.relay.http.interactions import TokenRoutes
from bot.relay.http.messages import MessageRoutes
from bot.relay.http.webhooks import WebhookRoutes
from bot.relay.identity import IdentitySource
from bot.relay.made import DirectChannels, MadeMessages
from bot.relay.members import MemberRequests
from bot.relay.ownership import GuildsOf, InteractionTokens, WebhookTokens
from bot.relay.snapshots import Snapshots
from bot.relay.tenants import Tenants
from bot.relay.upstream import Upstream
from bot.relay.usage import Usage
from bot.relay.webhooks import MadeWebhooks
from bot.routing.callbacks import CallbackNotices
from bot.settings import Settings
from bot.stores.postgres import Pool, database_id
from bot.stores.relay_records import RelayRecords
from bot.supervisor import Supervisor

_COMMANDS_EVERY = timedelta(seconds=constants.RELAY_COMMANDS_EVERY_S)
_WEBHOOKS_EVERY = timedelta(seconds=constants.RELAY_WEBHOOKS_EVERY_S)
_USAGE_EVERY = timedelta(seconds=constants.RELAY_USAGE_EVERY_S)
_PARTS = frozenset(
    f"relay {name}" for name in ("access", "sessions", "clients", "events", "commands", "webhooks", "usage")
)


@dataclass(frozen=True, slots=True)
class RelayStores:
    """What the relay reads and writes. `nats` is a connection of its own: its parser is replaced."""

    pool: Pool
    redis: redis.asyncio.Redis
    nats: Client


@dataclass(frozen=True, slots=True)
class Relay:
    """One that serves. `address` is where clients reach it, without a path."""

    address: str
    gateway: Gateway
    api: Api
    upstream: Upstream


@asynccontextmanager
async def serve_relay(
    stores: RelayStores,
    supervisor: Supervisor,
    settings: Settings,
    *,
    listening: socket.socket,
    address: str,
    tls: ssl.SSLContext | None = None,
    settled_after_s: float = 0.0,
) -> AsyncIterator[Relay]:
    """Until the context is left, when its clients are told to resume elsewhere. `address`: where clients reach it,
    without a path. `settled_after_s`: how long after a stream has an event that is on NATS's disk."""
    chosen, discord = settings.relay, settings.discord
    async with AsyncExitStack() as stack:
        records = RelayRecords(stores.redis, stores.pool)
        upstream = await stack.enter_async_context(Upstream(discord.api_base, settings.require_token()))
        tenants, client_log = Tenants(stores.pool), ClientLog(records)
        sessions = Sessions(stores.redis, settled_after_s=settled_after_s)
        identity = IdentitySource(upstream)
        channels, webhooks = GuildsOf(upstream, "/channels"), GuildsOf(upstream, "/webhooks")
        interactions, webhook_tokens = InteractionTokens(stores.redis), WebhookTokens(upstream)
        made, usage = MadeMessages(stores.redis), Usage(stores.pool)

        def gateway_address(request: web.Request) -> str:
            return address.replace("http", "ws", 1)

        api = Api(tenants, upstream, identity, channels, webhook_tokens, interactions, usage, gateway_address)
        commands = GuildCommands(stores.pool, upstream, identity)
        callbacks = CallbackNotices(stores.nats, await database_id(stores.pool))
        tokens = TokenRoutes(api, identity, webhook_tokens, interactions, commands, made, callbacks)
        made_webhooks = MadeWebhooks(stores.pool, upstream, identity)
        WebhookRoutes(api, webhooks, webhook_tokens, made_webhooks, allowed=chosen.webhooks)
        MessageRoutes(api, upstream, identity, made, DirectChannels(stores.redis), chosen.direct_messages)
        CommandRoutes(api, identity, CommandStore(stores.pool), commands)
        reader = StreamReader(stores.nats)
        gateway = Gateway(
            tenants,
            Streams(reader),
            sessions,
            identity,
            Snapshots(upstream, identity),
            MemberRequests(upstream),
            tokens.deliver,
            sum(intents.PRIVILEGED[name] for name in discord.privileged_intents),
            chosen.catch_up_s,
            gateway_address,
            client_log,
            chosen.max_clients,
        )
        supervisor.start("relay access", tenants.run)
        supervisor.start("relay sessions", sessions.run)
        supervisor.start("relay clients", client_log.run)
        supervisor.start("relay events", reader.run)
        supervisor.start_periodic("relay commands", commands.reconcile, _COMMANDS_EVERY)
        supervisor.start_periodic("relay webhooks", made_webhooks.reconcile, _WEBHOOKS_EVERY)
        supervisor.start_periodic("relay usage", usage.write, _USAGE_EVERY)
        stack.push_async_callback(_write_last, usage)
        stack.push_async_callback(supervisor.end, _PARTS)
        runner = web.AppRunner(
            _application(gateway, api),
            access_log=None,
            shutdown_timeout=constants.CLOSE_WITHIN_S,
            keepalive_timeout=constants.RELAY_IDLE_CONNECTION_S,
            auto_decompress=False,  # no compressed body is read, so that none needs unpacking
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.SockSite(runner, listening, ssl_context=tls)
        await site.start()
        stack.push_async_callback(_write_last, client_log)
        stack.push_async_callback(gateway.stop)
        stack.push_async_callback(site.stop)  # first, or else who is sent away comes back here
        await stack.enter_async_context(_announced(records, address, supervisor))
        yield Relay(address, gateway, api, upstream)


async def _write_last(written: ClientLog | Usage) -> None:
    with suppress(ServiceUnavailable):
        await written.write()


@asynccontextmanager
async def _announced(records: RelayRecords, address: str, supervisor: Supervisor) -> AsyncIterator[None]:
    """Whoever hands out the address knows that somebody serves there."""
    every = timedelta(seconds=constants.RELAY_RECORD_KEPT_S / 4)
    supervisor.start_periodic("relay address", lambda: records.serve(address), every)
    try:
        yield
    finally:
        await supervisor.end({"relay address"})
        with suppress(ServiceUnavailable):
            await records.end(address)


def _application(gateway: Gateway, api: Api) -> web.Application:
    async def handle(request: web.Request) -> web.StreamResponse:
        with log.context():
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await gateway.accept(request)
            return await api.handle(request)

    application = web.Application(client_max_size=constants.RELAY_BODY_BYTES)
    application.router.add_route("*", "/{path:.*}", handle)
    return application
