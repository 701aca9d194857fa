"""The only wiring: opens every service, makes every part, closes in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bot.client import SandboxBot, chosen_intents
from bot.cogs.binding_rights import BindingRights
from bot.cogs.guild_removals import GuildRemovals
from bot.command_registration import CommandRegistration
from bot.control_plane import (
    make_orphan_collector,
    make_reaper,
    make_restore_watch,
    open_control_plane,
    serve_workers,
)
from bot.custom_ids import CustomIds
from bot.data_plane import DataPlane, Routes, make_routes, open_data_plane
from bot.errors import ServiceUnavailable
from bot.health.server import HealthServer, serve_health
from bot.health_sources import GuildInspector, RoutesInForce, StorageTrouble
from bot.listening import certificates_in
from bot.metric_sources.discord import DiscordSource
from bot.metric_sources.events import EventSource
from bot.metric_sources.process import CertificateSource, DiskSource, LogLines, ProcessSource
from bot.metric_sources.registry import Metrics
from bot.metric_sources.relay import RelaySource
from bot.metric_sources.sandboxes import SandboxSource
from bot.own_messages import OwnMessages
from bot.process import App
from bot.relay.part import RelayPart
from bot.routing.gateway import set_api_base
from bot.routing.shard_launcher import ShardLauncher
from bot.sandboxes.activity import ActivityLog
from bot.sandboxes.census import Census
from bot.sandboxes.lifecycle.notices import NoticeDispatcher
from bot.sandboxes.manager import SandboxManager
from bot.settings import Settings
from bot.stores.opening import Stores, open_stores
from bot.supervisor import Supervisor
from bot.ui.messenger import Messenger
from bot.upkeep import Upkeep

__all__ = ["App", "open_app"]


@asynccontextmanager
async def open_app(settings: Settings, *, share: bool = False) -> AsyncIterator[App]:
    """Everything reached, migrated and wired, but not started. `share`: as for `open_addresses`."""
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor())
        health = None if share else await stack.enter_async_context(serve_health(settings))
        stores = await stack.enter_async_context(open_stores(settings, share=share, deadline=supervisor.deadline))
        routes = make_routes(settings, stores)
        bot = await stack.enter_async_context(_open_bot(settings, stores, routes, supervisor))
        await stack.enter_async_context(serve_workers(stores, bot.manager, supervisor))
        rights = BindingRights(bot)
        data_plane = open_data_plane(
            settings, stores, routes, bot, rights_changed=rights.note, deadline=supervisor.deadline
        )
        events = await stack.enter_async_context(data_plane)
        relay = None if share else _open_relay(stack, settings, stores, supervisor)
        app = await _make_app(settings, supervisor, stores, bot, rights, events, relay, health)
        _add_metrics(app)
        if health is not None:
            _serve_metrics(stack, app.metrics, health)
        yield app


@asynccontextmanager
async def _open_bot(
    settings: Settings, stores: Stores, routes: Routes, supervisor: Supervisor
) -> AsyncIterator[SandboxBot]:
    """With the control plane, which asks Discord by this bot once it is logged in."""

    async def logged_in() -> SandboxBot:
        if bot.user is None:
            raise ServiceUnavailable("Discord", "the bot is not logged in yet")
        return bot

    control_plane = open_control_plane(
        settings,
        stores,
        routes.watcher.refresh,
        supervisor=supervisor,
        read_routes=RoutesInForce(routes.table, supervisor, routes.forwarded.withheld).read,
        inspect_guilds=GuildInspector(logged_in).inspect,
    )
    async with control_plane as manager:
        bot = _make_bot(settings, stores, manager)
        yield bot


def _make_bot(settings: Settings, stores: Stores, manager: SandboxManager) -> SandboxBot:
    chosen = settings.discord
    set_api_base(chosen.api_base)
    return SandboxBot(
        manager,
        make_reaper(settings, manager),
        make_orphan_collector(settings, stores, manager),
        custom_ids=CustomIds(stores.pool),
        own_messages=OwnMessages(stores.redis),
        intents=chosen_intents(chosen.privileged_intents),
        admins=chosen.admins,
        shard_count=chosen.shard_count,
        shard_ids=chosen.shard_ids,
    )


def _open_relay(stack: AsyncExitStack, settings: Settings, stores: Stores, supervisor: Supervisor) -> RelayPart | None:
    if settings.relay_listen == "off":
        return None
    relay = RelayPart(settings, stores, supervisor)
    stack.callback(relay.close)
    return relay


async def _make_app(
    settings: Settings,
    supervisor: Supervisor,
    stores: Stores,
    bot: SandboxBot,
    binding_rights: BindingRights,
    events: DataPlane,
    relay: RelayPart | None,
    health: HealthServer | None,
) -> App:
    manager, guild_removals = bot.manager, GuildRemovals(bot)
    await bot.add_cog(guild_removals)
    upkeep = Upkeep(stores.addresses.postgres, is_alone=stores.is_alone)
    return App(
        settings=settings,
        supervisor=supervisor,
        stores=stores,
        manager=manager,
        table=events.routes.table,
        watcher=events.routes.watcher,
        publisher=events.publisher,
        router=events.router,
        gateway=events.tap,
        activity=ActivityLog(stores.pool, events.router.activity, trouble=StorageTrouble(supervisor).read),
        reaper=bot.reaper,
        orphans=bot.orphans,
        notices=NoticeDispatcher(manager.outbox, manager.get_by_id, _make_messenger(settings, bot).deliver),
        bot=bot,
        guild_removals=guild_removals,
        binding_rights=binding_rights,
        leases=events.leases,
        launcher=ShardLauncher(bot, events.leases, events.tap.forget),
        relay=relay,
        commands=CommandRegistration(bot, stores.pool, events.own_commands, upkeep),
        watchdog=events.watchdog,
        upkeep=upkeep,
        restores=make_restore_watch(settings, stores, manager.access),
        census=Census(stores.pool, settings.sandboxes.grace),
        health=health,
    )


def _make_messenger(settings: Settings, bot: SandboxBot) -> Messenger:
    chosen = settings.sandboxes
    return Messenger(
        bot,
        channel_id=settings.discord.notice_channel,
        grace=chosen.grace,
        extend_by=chosen.default_ttl,
        max_megabytes=settings.isolation.max_megabytes,
    )


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
    return of_stores | certificates_in(settings)


def _serve_metrics(stack: AsyncExitStack, metrics: Metrics, health: HealthServer) -> None:
    metrics.add(stack.enter_context(LogLines()))
    health.routes["/metrics"] = metrics.handle
