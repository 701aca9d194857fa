"""The only wiring: opens every service, makes every part, closes in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bot import constants
from bot.client import SandboxBot, chosen_intents
from bot.cogs.binding_rights import BindingRights
from bot.cogs.guild_removals import GuildRemovals
from bot.command_registration import CommandRegistration
from bot.control_plane import make_orphan_collector, make_reaper, open_control_plane, serve_workers
from bot.custom_ids import CustomIds
from bot.errors import ServiceUnavailable
from bot.health.server import serve_health
from bot.health_sources import GuildInspector, RoutesInForce, StorageTrouble
from bot.metric_sources.discord import DiscordSource
from bot.metric_sources.events import EventSource
from bot.metric_sources.process import CertificateSource, DiskSource, LogLines, ProcessSource, certificates_of
from bot.metric_sources.relay import RelaySource
from bot.metric_sources.sandboxes import SandboxSource
from bot.own_commands import OwnCommands
from bot.own_interactions import OwnInteractions
from bot.own_messages import OwnMessages
from bot.process import App
from bot.relay.part import RelayPart
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.gateway import install_tap, set_api_base
from bot.routing.leases import GatewayLeases
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.sessions import SessionStore
from bot.routing.shard_launcher import ShardLauncher
from bot.routing.table import RouteTable
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.activity import ActivityLog
from bot.sandboxes.census import Census
from bot.sandboxes.lifecycle.notices import NoticeDispatcher
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.sandboxes.manager import SandboxManager
from bot.settings import Settings
from bot.shutdown import Deadline
from bot.stores.nats_presence import ConnectedServer, ReadPresence
from bot.stores.opening import Stores, open_stores
from bot.supervisor import Supervisor
from bot.ui.messenger import Messenger
from bot.ui.unanswered import UnansweredReply
from bot.upkeep import Upkeep

__all__ = ["App", "open_app"]

_OWN_COMMANDS = ("sandbox", "sandbox-admin")


@asynccontextmanager
async def open_app(settings: Settings, *, share: bool = False) -> AsyncIterator[App]:
    """Everything reached, migrated and wired, but not started. `share`: as for `open_addresses`."""
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor())
        health = None if share else await stack.enter_async_context(serve_health(settings))
        stores = await stack.enter_async_context(open_stores(settings, share=share, deadline=supervisor.deadline))
        table, forwarded = RouteTable(), ForwardedInteractions(stores.redis)
        watcher = RouteWatcher(
            stores.pool, stores.addresses.postgres, table, reload_every=settings.routing.reload_every
        )

        async def logged_in() -> SandboxBot:
            if bot.user is None:
                raise ServiceUnavailable("Discord", "the bot is not logged in yet")
            return bot

        manager = await stack.enter_async_context(
            open_control_plane(
                settings,
                stores,
                watcher.refresh,
                supervisor=supervisor,
                read_routes=RoutesInForce(table, supervisor, forwarded.withheld).read,
                inspect_guilds=GuildInspector(logged_in).inspect,
            )
        )
        publisher = await _open_publisher(stack, settings, stores, supervisor.deadline)
        await stack.enter_async_context(serve_workers(stores, manager, supervisor))
        reaper, orphans = make_reaper(settings, manager), make_orphan_collector(settings, stores, manager)
        own_commands = OwnCommands(_OWN_COMMANDS)
        bot = _bot(settings, stores, manager, reaper, orphans)
        watchdog = ResponseWatchdog(
            stores.nats,
            UnansweredReply(bot, manager.get_by_id).prepare,
            is_connected=manager.has_reader,
            round_trip=lambda: bot.latency,
            discord_clock=bot.discord_clock,
            unanswered_after=settings.routing.unanswered_after,
        )
        stack.push_async_callback(watchdog.close)
        await bot.custom_ids.learn()
        own = OwnInteractions(own_commands, bot.custom_ids)
        router = _router(settings, table, publisher, forwarded, own, watchdog)
        guild_removals, binding_rights = GuildRemovals(bot), BindingRights(bot)
        await bot.add_cog(guild_removals)
        leases = GatewayLeases(stores.addresses.postgres, is_alone=stores.is_alone)
        upkeep = Upkeep(stores.addresses.postgres, is_alone=stores.is_alone)
        sessions = SessionStore(
            stores.redis,
            publisher,
            epoch_of=leases.epoch_of,
            settled_after_s=await stores.settled_after(),
            presence=_presence(stores, manager),
        )
        tap = install_tap(
            bot,
            router,
            publisher,
            sessions,
            forwarded,
            rights_changed=binding_rights.note,
            leases=leases,
            discord_clock=bot.discord_clock,
        )
        app = App(
            settings,
            supervisor,
            stores,
            manager,
            table,
            watcher,
            publisher,
            router,
            tap,
            ActivityLog(stores.pool, router.activity, trouble=StorageTrouble(supervisor).read),
            reaper,
            orphans,
            NoticeDispatcher(manager.outbox, manager.get_by_id, _messenger(settings, bot).deliver),
            bot,
            guild_removals,
            binding_rights,
            leases,
            ShardLauncher(bot, leases, tap.forget),
            _relay(stack, settings, stores, supervisor) if not share else None,
            commands=CommandRegistration(bot, stores.pool, own_commands, upkeep),
            watchdog=watchdog,
            upkeep=upkeep,
            census=Census(stores.pool, settings.sandboxes.grace),
            health=health,
        )
        _add_metrics(app)
        if health is not None:
            app.metrics.add(stack.enter_context(LogLines()))
            health.routes["/metrics"] = app.metrics.handle
        yield app


def _add_metrics(app: App) -> None:
    settings, upkeep = app.settings, app.upkeep
    app.metrics.add(
        ProcessSource(app.supervisor, app.stores.pool),
        DiscordSource(app.bot, app.leases, app.gateway.reconnects, upkeep),
        SandboxSource(
            app.manager, app.reaper, app.notices, app.orphans, app.census, collects_orphans=lambda: upkeep.is_held
        ),
        EventSource(app.router, app.publisher, app.table, app.watcher, app.watchdog),
    )
    if app.relay is not None:
        app.metrics.add(RelaySource(app.relay))
    if app.stores.addresses.embedded is not None:
        app.metrics.add(DiskSource(settings.embedded.folder))
    app.metrics.add(CertificateSource(_certificates(settings)))


def _certificates(settings: Settings) -> dict[str, Path]:
    """What this process and the servers that it runs are known by, by service."""
    folder = settings.workers.certificates
    of_stores = {store: folder / f"{store}.pem" for store in settings.embedded_stores} if folder else {}
    return of_stores | certificates_of(settings)


def _presence(stores: Stores, manager: SandboxManager) -> ReadPresence:
    """Of all servers where one may ask for them; otherwise of the one that the bot is connected to."""
    nats = manager.access.nats
    return ConnectedServer(stores.nats).read if nats is None else nats.connections.servers.presence


async def _open_publisher(stack: AsyncExitStack, settings: Settings, stores: Stores, deadline: Deadline) -> Publisher:
    publisher = Publisher(stores.nats, window=settings.routing.window, ack_timeout=settings.routing.ack_timeout)
    await publisher.start()
    stack.push_async_callback(lambda: deadline.finish("publisher", publisher.close(), constants.CLOSE_WITHIN_S))
    return publisher


def _relay(stack: AsyncExitStack, settings: Settings, stores: Stores, supervisor: Supervisor) -> RelayPart | None:
    if settings.relay_listen == "off":
        return None
    relay = RelayPart(settings, stores, supervisor)
    stack.callback(relay.close)
    return relay


def _bot(
    settings: Settings, stores: Stores, manager: SandboxManager, reaper: Reaper, orphans: OrphanCollector
) -> SandboxBot:
    chosen = settings.discord
    set_api_base(chosen.api_base)
    return SandboxBot(
        manager,
        reaper,
        orphans,
        custom_ids=CustomIds(stores.pool),
        own_messages=OwnMessages(stores.redis),
        intents=chosen_intents(chosen.privileged_intents),
        admins=chosen.admins,
        shard_count=chosen.shard_count,
        shard_ids=chosen.shard_ids,
    )


def _router(
    settings: Settings,
    table: RouteTable,
    publisher: Publisher,
    forwarded: ForwardedInteractions,
    own_interactions: OwnInteractions,
    watchdog: ResponseWatchdog,
) -> EventRouter:
    return EventRouter(
        table,
        publisher,
        forwarded,
        own_interactions,
        unbound_subject=settings.routing.unbound_subject,
        responses=watchdog,
    )


def _messenger(settings: Settings, bot: SandboxBot) -> Messenger:
    chosen = settings.sandboxes
    return Messenger(
        bot,
        channel_id=settings.discord.notice_channel,
        grace=chosen.grace,
        extend_by=chosen.default_ttl,
        max_megabytes=settings.isolation.max_megabytes,
    )
