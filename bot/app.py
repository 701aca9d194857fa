"""The only wiring: opens every service, starts every part, closes in reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
import discord
from loguru import logger

from bot import constants
from bot.client import SandboxBot, chosen_intents
from bot.cogs.binding_rights import BindingRights
from bot.cogs.guild_removals import GuildRemovals
from bot.command_sync import sync_commands
from bot.control_plane import make_orphan_collector, make_reaper, open_control_plane, serve_workers
from bot.custom_ids import COMPONENT_PREFIX, CustomIds
from bot.errors import ServiceUnavailable
from bot.health_sources import GuildInspector, RoutesInForce
from bot.own_messages import OwnMessages
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.gateway import install_tap, set_api_base
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.sessions import SessionStore
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
from bot.settings import Settings, SettingsError
from bot.shutdown import Deadline
from bot.stores.embedded import EmbeddedError
from bot.stores.nats_client import watch_connection
from bot.stores.opening import Stores, open_stores
from bot.supervisor import NEVER, Part, Restarts, State, Supervisor
from bot.ui.messenger import Messenger
from bot.ui.unanswered import UnansweredReply

_ROUTES_RESTARTS = Restarts(constants.ROUTE_RETRY_S, constants.ROUTE_RETRY_LONGEST_S)
_GUARDIAN_RESTARTS = Restarts(constants.GUARDIAN_RESTART_S, most=constants.GUARDIAN_RESTARTS)
_QUEUE_CHECKED_EVERY = timedelta(seconds=constants.NOTIFY_QUEUE_CHECKED_EVERY_S)
_OWN_COMMANDS = frozenset({"sandbox", "sandbox-admin"})


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
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """`SettingsError`: Discord refused token or intents. `ServiceUnavailable`: Discord was not reached, or NATS
        wants the bot no more; what it has not stored comes again at the next start."""
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
        if self.stores.addresses.embedded is not None:
            supervisor.start("embedded servers", self._watch_embedded, _GUARDIAN_RESTARTS)
        supervisor.start("discord", self._serve_discord, NEVER)
        supervisor.start("publisher", self._watch_publisher, NEVER)
        supervisor.start("routes", self.watcher.run, _ROUTES_RESTARTS)
        supervisor.start("lock guard", LockGuard(self.stores.addresses.postgres).run, _ROUTES_RESTARTS)
        supervisor.start("sessions", self.gateway.run)
        supervisor.start("guild removals", self.guild_removals.run)
        supervisor.start("binding rights", self.binding_rights.run)
        supervisor.start_periodic("reaper", self.reaper.sweep, chosen.sweep_every)
        supervisor.start_periodic("notices", self._dispatch_notices, chosen.sweep_every)
        supervisor.start_periodic("activity", self.activity.write, chosen.activity_every)
        supervisor.start_periodic("notify queue", NotifyQueueWatch(self.stores.pool).relieve, _QUEUE_CHECKED_EVERY)
        every = constants.IDEMPOTENCY_KEYS_EXPIRED_EVERY
        supervisor.start_periodic("idempotency keys", self.manager.idempotency.expire, every)
        supervisor.start_periodic("access", self._reconcile_access, chosen.sweep_every)
        supervisor.start_periodic("streams", self.manager.stream_reconciler.reconcile, chosen.mend_every)
        supervisor.start_periodic("orphans", self._collect_orphans, chosen.mend_every)
        return set(supervisor.parts) - before

    async def _shut_down(self, running: set[str]) -> None:
        logger.info("stopping")
        deadline = self.supervisor.deadline
        deadline.start()
        await self.supervisor.end(running)
        await deadline.finish("answers", self.bot.finish(constants.ANSWERS_END_WITHIN_S))
        await deadline.close("Discord", self.bot.close, self.bot.abort, constants.CLOSE_WITHIN_S)
        await deadline.finish("events", self.publisher.drain(constants.DRAIN_WITHIN_S))
        await deadline.finish("gateway sessions", self.gateway.save(), constants.SAVE_WITHIN_S)
        await deadline.finish("activity", self.activity.write(), constants.SAVE_WITHIN_S)

    async def login(self) -> None:
        """Log in to Discord's HTTP API and load the cogs, without a connection to the gateway."""
        try:
            await self.bot.login(self.settings.require_token())
        except discord.LoginFailure:
            raise SettingsError("discord.token: Discord refuses it; set DISCORD_TOKEN to the bot's token.") from None
        except (aiohttp.ClientError, OSError, discord.HTTPException) as error:
            raise ServiceUnavailable("Discord", f"{self.settings.discord.api_base}: {error}") from error

    async def _serve_discord(self, part: Part) -> None:
        await self.login()
        part.running()
        if self.settings.discord.sync_commands:
            await sync_commands(self.bot, self.stores.pool)
        logger.info("logged in", application=self.bot.application_id, invite=invite_link(self.bot))
        try:
            await self.bot.connect()
        except discord.PrivilegedIntentsRequired:
            raise SettingsError(
                "discord.privileged_intents: Discord refuses them; switch them on under “Bot” in the developer "
                "portal, or take them out of config.toml."
            ) from None

    async def _watch_embedded(self, part: Part) -> None:
        """`ServiceUnavailable` when the servers have ended with their guardian; the next run starts them again."""
        embedded = self.stores.addresses.embedded
        assert embedded is not None
        try:
            if part.state is State.FAILING:
                await embedded.restart()
            part.running()
            await embedded.watch()
        except EmbeddedError as error:
            raise ServiceUnavailable("embedded servers", str(error)) from error

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
        bot = _bot(settings, stores, manager, reaper, orphans)
        watchdog = ResponseWatchdog(stores.nats, UnansweredReply(bot, manager.get_by_id).send)
        stack.push_async_callback(watchdog.close)
        router = _router(settings, table, publisher, forwarded, watchdog)
        guild_removals, binding_rights = GuildRemovals(bot), BindingRights(bot)
        await bot.add_cog(guild_removals)
        yield App(
            settings,
            supervisor,
            stores,
            manager,
            table,
            watcher,
            publisher,
            router,
            install_tap(
                bot,
                router,
                publisher,
                SessionStore(stores.redis, publisher),
                forwarded,
                rights_changed=binding_rights.note,
            ),
            ActivityLog(stores.pool, router.activity),
            reaper,
            orphans,
            NoticeDispatcher(manager.outbox, manager.get_by_id, _messenger(settings, bot).deliver),
            bot,
            guild_removals,
            binding_rights,
        )


async def _open_publisher(stack: AsyncExitStack, settings: Settings, stores: Stores, deadline: Deadline) -> Publisher:
    publisher = Publisher(stores.nats, window=settings.routing.window, ack_timeout=settings.routing.ack_timeout)
    await publisher.start()
    stack.push_async_callback(lambda: deadline.finish("publisher", publisher.close(), constants.CLOSE_WITHIN_S))
    return publisher


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
    watchdog: ResponseWatchdog,
) -> EventRouter:
    return EventRouter(
        table,
        publisher,
        forwarded,
        own_commands=_OWN_COMMANDS,
        component_prefix=COMPONENT_PREFIX,
        unbound_subject=settings.routing.unbound_subject,
        responses=watchdog,
    )


def _messenger(settings: Settings, bot: SandboxBot) -> Messenger:
    chosen = settings.sandboxes
    return Messenger(bot, channel_id=settings.discord.notice_channel, grace=chosen.grace, extend_by=chosen.default_ttl)


def invite_link(bot: SandboxBot) -> str:
    """Where somebody with Manage Server adds the bot to a server."""
    return discord.utils.oauth_url(bot.application_id or 0, scopes=("bot", "applications.commands"))
