"""The only wiring: opens every service, starts every part, closes in reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import discord
from loguru import logger

from bot import constants
from bot.client import SandboxBot, chosen_intents
from bot.cogs.binding_rights import BindingRights
from bot.cogs.guild_removals import GuildRemovals
from bot.command_registration import CommandRegistration
from bot.control_plane import make_orphan_collector, make_reaper, open_control_plane, serve_workers
from bot.custom_ids import CustomIds
from bot.discord_away import FAILURES, unavailable
from bot.discord_start import connect, lift_when_connected, log_in, try_until_done
from bot.errors import ServiceUnavailable
from bot.health_sources import GuildInspector, RoutesInForce
from bot.own_commands import OwnCommands
from bot.own_interactions import OwnInteractions
from bot.own_messages import OwnMessages
from bot.relay.part import RelayPart
from bot.relay.upkeep import RelayUpkeep
from bot.routing import callbacks
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.gateway import install_tap, set_api_base
from bot.routing.leases import GatewayLeases
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.sessions import SessionStore
from bot.routing.shard_launcher import ShardLauncher
from bot.routing.table import RouteTable
from bot.routing.tap import Tap
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.access.lock_guard import LockGuard
from bot.sandboxes.access.notify_queue import NotifyQueueWatch
from bot.sandboxes.activity import ActivityLog
from bot.sandboxes.lifecycle.notices import NoticeDispatcher
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.sandboxes.manager import SandboxManager
from bot.settings import Settings
from bot.shutdown import Deadline
from bot.stores.nats_client import watch_connection
from bot.stores.opening import Stores, open_stores, watch_embedded
from bot.supervisor import NEVER, Part, Restarts, Supervisor
from bot.ui.messenger import Messenger
from bot.ui.unanswered import UnansweredReply

_ROUTES_RESTARTS = Restarts(constants.ROUTE_RETRY_S, constants.ROUTE_RETRY_LONGEST_S)
_GUARDIAN_RESTARTS = Restarts(constants.GUARDIAN_RESTART_S, most=constants.GUARDIAN_RESTARTS)
_QUEUE_CHECKED_EVERY = timedelta(seconds=constants.NOTIFY_QUEUE_CHECKED_EVERY_S)
_LEASES = "gateway leases"
_OWN_COMMANDS = ("sandbox", "sandbox-admin")


@dataclass
class App:
    """A wired bot. `run` starts it and returns when `stop` is set or Discord refuses it."""

    settings: Settings
    supervisor: Supervisor
    stores: Stores
    manager: SandboxManager
    table: RouteTable
    watcher: RouteWatcher
    publisher: Publisher
    router: EventRouter
    gateway: Tap
    activity: ActivityLog
    reaper: Reaper
    orphans: OrphanCollector
    notices: NoticeDispatcher
    bot: SandboxBot
    guild_removals: GuildRemovals
    binding_rights: BindingRights
    leases: GatewayLeases
    launcher: ShardLauncher
    relay: RelayPart | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    commands: CommandRegistration = field(kw_only=True)
    watchdog: ResponseWatchdog = field(kw_only=True)

    async def run(self) -> None:
        """`SettingsError`: Discord refused token or intents. `ServiceUnavailable`: Discord was not reached before the
        first READY, or NATS wants the bot no more; what it has not stored comes again at the next start."""
        await self.watcher.start()
        running = self._start_parts()
        stopped = asyncio.create_task(self.stop.wait())
        exhausted = asyncio.create_task(self.supervisor.wait_exhausted())
        try:
            await asyncio.wait({stopped, exhausted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            await self._shut_down(running)
            exhausted.cancel()
        if exhausted.done() and not exhausted.cancelled():
            raise exhausted.result()

    def stop_now(self) -> None:
        """The first call ends the bot in good order, the second one cuts it off."""
        if self.stop.is_set():
            self.supervisor.deadline.expire()
        self.stop.set()

    def _start_parts(self) -> set[str]:
        """Everything that runs as long as the bot does, but what its stores need; the names of it."""
        supervisor, chosen = self.supervisor, self.settings.sandboxes
        before = set(supervisor.parts)
        if (embedded := self.stores.addresses.embedded) is not None:
            supervisor.start("embedded servers", lambda part: watch_embedded(embedded, part), _GUARDIAN_RESTARTS)
        supervisor.start("discord", self._serve_discord, NEVER)
        supervisor.start(_LEASES, self._keep_leases)
        supervisor.start("shards", self.launcher.run)
        if self.settings.discord.sync_commands:
            supervisor.start("commands", self.commands.run)
        supervisor.start("publisher", self._watch_publisher, NEVER)
        if self.relay is not None:
            supervisor.start("relay", self.relay.run)
        supervisor.start("relay upkeep", RelayUpkeep(self.settings, self.stores.pool, self._serves_relay).run)
        heard = partial(callbacks.listen, self.stores.nats, self.stores.pool, self.watchdog.note_callback)
        supervisor.start("relay callbacks", heard)
        supervisor.start("routes", self.watcher.run, _ROUTES_RESTARTS)
        supervisor.start("lock guard", LockGuard(self.stores.addresses.postgres).run, _ROUTES_RESTARTS)
        supervisor.start("sessions", self.gateway.run)
        supervisor.start("guild removals", self.guild_removals.run)
        supervisor.start("binding rights", self.binding_rights.run)
        supervisor.start_periodic("reaper", self.reaper.sweep, chosen.sweep_every)
        supervisor.start_periodic("notices", self._dispatch_notices, chosen.sweep_every)
        supervisor.start_periodic("activity", self.activity.write, chosen.activity_every)
        supervisor.start("activity on request", partial(self.activity.serve, self.stores.nats))
        supervisor.start_periodic("notify queue", NotifyQueueWatch(self.stores.pool).relieve, _QUEUE_CHECKED_EVERY)
        every = constants.IDEMPOTENCY_KEYS_EXPIRED_EVERY
        supervisor.start_periodic("idempotency keys", self.manager.idempotency.expire, every)
        supervisor.start_periodic("access", self._reconcile_access, chosen.sweep_every)
        supervisor.start_periodic("streams", self.manager.stream_reconciler.reconcile, chosen.mend_every)
        supervisor.start_periodic("orphans", self._collect_orphans, chosen.mend_every)
        return set(supervisor.parts) - before

    def _serves_relay(self) -> bool:
        return self.relay is not None and self.relay.relay is not None

    async def _shut_down(self, running: set[str]) -> None:
        logger.info("stopping")
        deadline = self.supervisor.deadline
        deadline.start()
        await self.supervisor.end(running - {_LEASES})
        # First of all nothing more is read: what comes now is for the next owner, whom Discord sends it again.
        await deadline.finish("gateway", self.launcher.disconnect(), constants.CLOSE_WITHIN_S)
        await deadline.finish("answers", self.bot.finish(constants.ANSWERS_END_WITHIN_S))
        await deadline.close("Discord", self.bot.close, self.bot.abort, constants.CLOSE_WITHIN_S)
        await deadline.finish("events", self.publisher.drain(constants.DRAIN_WITHIN_S))
        await deadline.finish("gateway sessions", self.gateway.save(), constants.SAVE_WITHIN_S)
        await self.supervisor.end({_LEASES})
        await deadline.finish("gateway leases", self.leases.give_back(), constants.SAVE_WITHIN_S)
        await deadline.finish("activity", self.activity.write(), constants.SAVE_WITHIN_S)

    async def login(self) -> None:
        """Log in to Discord's HTTP API and load the cogs, without a gateway connection; errors as of `log_in`."""
        await log_in(self.bot, self.settings)

    async def _serve_discord(self, part: Part) -> None:
        lift_when_connected(self.bot, part)
        async with self.bot.silence.limited(self.settings.discord.api_base):
            await try_until_done(part, self.login)
            part.running()
            logger.info("logged in", application=self.bot.application_id, invite=invite_link(self.bot))
            await self.leases.wait_for_any()  # a standby is ready up to here, and leaves the commands to the owner
            if self.settings.discord.sync_commands:
                await self.commands.begin()
            await try_until_done(part, lambda: connect(self.bot, self.settings))

    async def _keep_leases(self, part: Part) -> None:
        try:
            shards = await self.bot.find_shards()
        except FAILURES as error:
            raise unavailable(error, self.settings.discord.api_base) from error
        await self.leases.keep(shards, part)

    async def _watch_publisher(self, part: Part) -> None:
        await watch_connection(self.stores.nats, part)

    async def _reconcile_access(self) -> None:
        await self.manager.access.reconcile(self.settings.isolation.longest_transaction)

    async def _collect_orphans(self) -> None:
        await self.orphans.collect(self.settings.sandboxes.orphans_every)

    async def _dispatch_notices(self) -> None:
        if self.bot.user is not None:  # logged in; direct messages need no gateway
            await self.notices.dispatch(self.bot.admins)


@asynccontextmanager
async def open_app(settings: Settings, *, share: bool = False) -> AsyncIterator[App]:
    """Everything reached, migrated and wired, but not started. `share`: as for `open_addresses`."""
    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor())
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
            UnansweredReply(bot, manager.get_by_id).send,
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
        sessions = SessionStore(stores.redis, publisher, epoch_of=leases.epoch_of)
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
        yield App(
            settings,
            supervisor,
            stores,
            manager,
            table,
            watcher,
            publisher,
            router,
            tap,
            ActivityLog(stores.pool, router.activity),
            reaper,
            orphans,
            NoticeDispatcher(manager.outbox, manager.get_by_id, _messenger(settings, bot).deliver),
            bot,
            guild_removals,
            binding_rights,
            leases,
            ShardLauncher(bot, leases, tap.forget),
            _relay(stack, settings, stores, supervisor) if not share else None,
            commands=CommandRegistration(bot, stores.pool, own_commands),
            watchdog=watchdog,
        )


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
    return Messenger(bot, channel_id=settings.discord.notice_channel, grace=chosen.grace, extend_by=chosen.default_ttl)


def invite_link(bot: SandboxBot) -> str:
    """Where somebody with Manage Server adds the bot to a server."""
    return discord.utils.oauth_url(bot.application_id or 0, scopes=("bot", "applications.commands"))
