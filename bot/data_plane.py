"""What carries the gateway's events to the sandboxes, wired on open stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bot import constants
from bot.client import SandboxBot
from bot.own_commands import OwnCommands
from bot.own_interactions import OwnInteractions
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.gateway import install_tap
from bot.routing.leases import GatewayLeases
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.sessions import SessionStore
from bot.routing.table import RouteTable
from bot.routing.tap import RightsChanged, Tap
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.manager import SandboxManager
from bot.settings import Settings
from bot.shutdown import Deadline
from bot.stores.nats_presence import ConnectedServer, ReadPresence
from bot.stores.opening import Stores
from bot.ui.unanswered import UnansweredReply

_OWN_COMMANDS = ("sandbox", "sandbox-admin")


@dataclass(frozen=True, slots=True)
class Routes:
    """Where events go: the table, who keeps it true to PostgreSQL, and to whom interactions went."""

    table: RouteTable
    watcher: RouteWatcher
    forwarded: ForwardedInteractions


@dataclass(frozen=True, slots=True)
class DataPlane:
    """From the gateway to JetStream."""

    routes: Routes
    own_commands: OwnCommands
    publisher: Publisher
    watchdog: ResponseWatchdog
    router: EventRouter
    leases: GatewayLeases
    tap: Tap


def make_routes(settings: Settings, stores: Stores) -> Routes:
    """An empty table, and what fills it once it is started."""
    table = RouteTable()
    every = settings.routing.reload_every
    watcher = RouteWatcher(stores.pool, stores.addresses.postgres, table, reload_every=every)
    return Routes(table, watcher, ForwardedInteractions(stores.redis))


@asynccontextmanager
async def open_data_plane(
    settings: Settings,
    stores: Stores,
    routes: Routes,
    bot: SandboxBot,
    *,
    rights_changed: RightsChanged,
    deadline: Deadline,
) -> AsyncIterator[DataPlane]:
    """The bot's dispatches go this way from now on. Its end takes until the `deadline` at most."""
    own_commands = OwnCommands(_OWN_COMMANDS)
    async with AsyncExitStack() as stack:
        publisher = await _open_publisher(stack, settings, stores, deadline)
        watchdog = _open_watchdog(stack, settings, stores, bot)
        await bot.custom_ids.learn()
        router = EventRouter(
            routes.table,
            publisher,
            routes.forwarded,
            OwnInteractions(own_commands, bot.custom_ids),
            unbound_subject=settings.routing.unbound_subject,
            responses=watchdog,
        )
        leases = GatewayLeases(stores.addresses.postgres, is_alone=stores.is_alone)
        tap = install_tap(
            bot,
            router,
            publisher,
            await _make_sessions(stores, publisher, leases, bot.manager),
            routes.forwarded,
            rights_changed=rights_changed,
            leases=leases,
            discord_clock=bot.discord_clock,
        )
        yield DataPlane(routes, own_commands, publisher, watchdog, router, leases, tap)


async def _open_publisher(stack: AsyncExitStack, settings: Settings, stores: Stores, deadline: Deadline) -> Publisher:
    publisher = Publisher(stores.nats, window=settings.routing.window, ack_timeout=settings.routing.ack_timeout)
    await publisher.start()
    stack.push_async_callback(lambda: deadline.finish("publisher", publisher.close(), constants.CLOSE_WITHIN_S))
    return publisher


def _open_watchdog(stack: AsyncExitStack, settings: Settings, stores: Stores, bot: SandboxBot) -> ResponseWatchdog:
    watchdog = ResponseWatchdog(
        stores.nats,
        UnansweredReply(bot, bot.manager.get_by_id).prepare,
        is_connected=bot.manager.has_reader,
        round_trip=lambda: bot.latency,
        discord_clock=bot.discord_clock,
        unanswered_after=settings.routing.unanswered_after,
    )
    stack.push_async_callback(watchdog.close)
    return watchdog


async def _make_sessions(
    stores: Stores, publisher: Publisher, leases: GatewayLeases, manager: SandboxManager
) -> SessionStore:
    return SessionStore(
        stores.redis,
        publisher,
        epoch_of=leases.epoch_of,
        settled_after_s=await stores.settled_after(),
        presence=_presence(stores, manager),
    )


def _presence(stores: Stores, manager: SandboxManager) -> ReadPresence:
    """Of all servers where one may ask for them; otherwise of the one that the bot is connected to."""
    nats = manager.access.nats
    return ConnectedServer(stores.nats).read if nats is None else nats.connections.servers.presence
