"""A bot that is wired: its parts are started, kept going, and ended in good order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from loguru import logger

from bot import constants
from bot.client import SandboxBot, invite_link
from bot.cogs.binding_rights import BindingRights
from bot.cogs.guild_removals import GuildRemovals
from bot.command_registration import CommandRegistration
from bot.discord_away import FAILURES, unavailable
from bot.discord_start import connect, find_shards, lift_when_connected, log_in, try_until_done
from bot.errors import ServiceUnavailable
from bot.health.looks import GatewayLook, RoutesLook, StopLook
from bot.health.probes import StoreProbes
from bot.health.readiness import start_readiness
from bot.health.server import HealthServer
from bot.metric_sources.readiness import ReadinessSource
from bot.metric_sources.registry import Metrics
from bot.ready_line import tell_when_ready
from bot.relay.part import RelayPart
from bot.relay.upkeep import RelayUpkeep
from bot.routing import callbacks
from bot.routing.leases import GatewayLeases
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.shard_launcher import ShardLauncher
from bot.routing.storage_watch import StorageWatch
from bot.routing.table import RouteTable
from bot.routing.tap import Tap
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.access.lock_guard import LockGuard
from bot.sandboxes.access.notify_queue import NotifyQueueWatch
from bot.sandboxes.access.replicas import ReplicaUsers
from bot.sandboxes.access.script_guard import ScriptGuard
from bot.sandboxes.access.standby_guard import start_standby_guards
from bot.sandboxes.access.store_restarts import RestartLog, ServerRestarts
from bot.sandboxes.activity import ActivityLog
from bot.sandboxes.audit_log import AuditLog
from bot.sandboxes.census import Census
from bot.sandboxes.lifecycle.notices import NoticeDispatcher
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.sandboxes.lifecycle.script_withdrawal import ScriptWithdrawal
from bot.sandboxes.lifecycle.stream_watch import StreamWatch
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.restores.news import RestoreNews
from bot.sandboxes.restores.watch import RestoreWatch
from bot.settings import Settings
from bot.stores.nats_client import watch_connection
from bot.stores.opening import Stores, watch_embedded
from bot.stores.redis_client import watches_replicas
from bot.supervisor import NEVER, Part, Restarts, Supervisor
from bot.ui.admin_messages import AdminMessages
from bot.upkeep import Upkeep

_ROUTES_RESTARTS = Restarts(constants.ROUTE_RETRY_S, constants.ROUTE_RETRY_LONGEST_S)
_GUARDIAN_RESTARTS = Restarts(constants.GUARDIAN_RESTART_S, most=constants.GUARDIAN_RESTARTS)
_SIZES_SEEN_EVERY = timedelta(seconds=constants.SIZES_SEEN_EVERY_S)
_SCRIPT_GUARD_RESTARTS = Restarts(constants.SCRIPTS_SEEN_EVERY_S, constants.RESTART_FIRST_S)
_COUNTED_EVERY = timedelta(seconds=constants.CENSUS_EVERY_S)
_QUEUE_CHECKED_EVERY = timedelta(seconds=constants.NOTIFY_QUEUE_CHECKED_EVERY_S)
_LEASES, _UPKEEP = "gateway leases", "upkeep"


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
    upkeep: Upkeep = field(kw_only=True)
    census: Census = field(kw_only=True)
    restores: RestoreWatch = field(kw_only=True)
    metrics: Metrics = field(default_factory=Metrics, kw_only=True)
    health: HealthServer | None = field(default=None, kw_only=True)

    async def run(self) -> None:
        """`SettingsError`: Discord refused token or intents. `ServiceUnavailable`: Discord was not reached before the
        first READY, or NATS wants the bot no more; what it has not stored comes again at the next start."""
        await self.watcher.start()
        if self.stores.is_alone:
            await self.reaper.take_over_all()
        await self._repair_streams()
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

    async def _repair_streams(self) -> None:
        """Before an event comes, which would be refused: the embedded server may have lost streams with the power."""
        embedded = self.stores.addresses.embedded
        if embedded is not None and embedded.runs("nats"):
            with suppress(ServiceUnavailable):  # tried again by the part that does this all the time
                await self.manager.stream_reconciler.reconcile()

    def stop_now(self) -> None:
        """The first call ends the bot in good order, the second one cuts it off."""
        if self.stop.is_set():
            self.supervisor.deadline.expire()
        self.stop.set()

    def _start_parts(self) -> set[str]:
        """Everything that runs as long as the bot does, but what its stores need; the names of it. All but the upkeep
        may be done by several bots at once: docs/several-bots.md says of each part why."""
        supervisor, chosen = self.supervisor, self.settings.sandboxes
        before = set(supervisor.parts)
        restarts = self._watch_embedded()
        supervisor.start("discord", self._serve_discord, NEVER)
        supervisor.start(_LEASES, self._keep_leases)
        supervisor.start("shards", self.launcher.run)
        if self.settings.discord.sync_commands:
            supervisor.start("commands", self.commands.run)
        supervisor.start("publisher", self._watch_publisher, NEVER)
        trial = None if self.health is None else self._start_health(self.health).jetstream
        watch = StorageWatch(self.publisher, self.stores.nats, restarts.get("nats"), trial)
        supervisor.start("storage", watch.run)
        if self.relay is not None:
            supervisor.start("relay", self.relay.run)
        heard = partial(callbacks.listen, self.stores.nats, self.stores.pool, self.watchdog.note_callback)
        supervisor.start("relay callbacks", heard)
        supervisor.start("routes", self.watcher.run, _ROUTES_RESTARTS)
        supervisor.start("lock guard", LockGuard(self.stores.addresses.postgres).run, _ROUTES_RESTARTS)
        if self.settings.redis_scripts is not False:
            supervisor.start("script guard", self._make_script_guard(restarts.get("redis")).run, _SCRIPT_GUARD_RESTARTS)
        supervisor.start("sessions", self.gateway.run)
        supervisor.start("guild removals", self.guild_removals.run)
        supervisor.start("binding rights", self.binding_rights.run)
        supervisor.start_periodic("expiries", self.reaper.mark_due, chosen.sweep_every)
        supervisor.start_periodic("reaper", self.reaper.end_due, chosen.sweep_every)
        supervisor.start_periodic("notices", self._dispatch_notices, chosen.sweep_every)
        if self.health is not None:
            supervisor.start_periodic("census", self.census.read, _COUNTED_EVERY)
        supervisor.start_periodic("activity", self.activity.write, chosen.activity_every)
        supervisor.start("activity on request", partial(self.activity.serve, self.stores.nats))
        supervisor.start_periodic("notify queue", NotifyQueueWatch(self.stores.pool).relieve, _QUEUE_CHECKED_EVERY)
        supervisor.start("restores", self.restores.run)
        supervisor.start_periodic("access", self._reconcile_access, chosen.sweep_every)
        supervisor.start("access retries", self.manager.access.retries.run)
        start_standby_guards(supervisor, self.stores.addresses.postgres, self.stores.pool)
        if watches_replicas(self.stores.redis):
            replicas = ReplicaUsers(self.stores.pool, self.stores.redis)
            supervisor.start_periodic("replicas", replicas.drop, chosen.sweep_every)
        self._start_upkeep()
        return set(supervisor.parts) - before

    def _start_upkeep(self) -> None:
        """What one bot does for all."""
        supervisor, manager, while_held = self.supervisor, self.manager, self.upkeep.while_held
        every = self.settings.sandboxes.mend_every
        supervisor.start(_UPKEEP, self.upkeep.keep)
        watch = StreamWatch(self.stores.nats, manager.stream_reconciler, every)
        supervisor.start("streams", while_held(watch.run))
        supervisor.start("acknowledgements", while_held(manager.acknowledgements.run))
        supervisor.start_periodic("orphans", self._collect_orphans, every, within=while_held)
        supervisor.start_periodic("sizes", manager.sizes.look, _SIZES_SEEN_EVERY, within=while_held)
        relay = RelayUpkeep(self.settings, self.stores.pool, self._serves_relay)
        supervisor.start("relay upkeep", while_held(relay.run))
        news = RestoreNews(self.stores.pool, self._admin_messages().tell)
        supervisor.start_periodic("restore news", news.tell, constants.RESTORES_TOLD_EVERY, within=while_held)
        expired_every = constants.IDEMPOTENCY_KEYS_EXPIRED_EVERY
        supervisor.start_periodic("idempotency keys", manager.idempotency.expire, expired_every, within=while_held)
        expire_audit = partial(AuditLog(self.stores.pool).expire, self.settings.sandboxes.audit_retention)
        supervisor.start_periodic("audit log", expire_audit, constants.AUDIT_EXPIRED_EVERY, within=while_held)

    def _start_health(self, server: HealthServer) -> StoreProbes:
        """What it asks the stores by."""
        looks = {
            "bot": StopLook(self.stop).look,
            "gateway": GatewayLook(self.leases, self._connected_shards).look,
            "routes": RoutesLook(self.watcher).look,
        }
        probes = StoreProbes(self.stores, replicas=self.settings.nats.stream_replicas)
        readiness = start_readiness(server, self.supervisor, probes=probes.all, looks=looks)
        self.metrics.add(ReadinessSource(readiness.whole))
        return probes

    def _connected_shards(self) -> set[int]:
        return self.bot.connected_shards & self.gateway.in_session

    def _watch_embedded(self) -> Mapping[str, ServerRestarts]:
        """What ends those servers that this process runs, by store."""
        if (embedded := self.stores.addresses.embedded) is None:
            return {}
        log = RestartLog(self.stores.pool, self._admin_messages().tell)
        watch = partial(watch_embedded, embedded, partial(log.note, "all embedded servers"))
        self.supervisor.start("embedded servers", watch, _GUARDIAN_RESTARTS)
        self.supervisor.start_periodic("store restarts", log.tell, constants.STORE_RESTARTS_TOLD_EVERY)
        return {store: ServerRestarts(embedded, store, log) for store in embedded.servers}

    def _admin_messages(self) -> AdminMessages:
        return AdminMessages(self.bot, channel_id=self.settings.discord.notice_channel)

    def _make_script_guard(self, restarts: ServerRestarts | None) -> ScriptGuard:
        access = self.manager.access
        withdrawal = ScriptWithdrawal(self.stores.pool, self.manager.outbox, access)
        return ScriptGuard(self.stores.addresses.redis, withdrawal.withdraw, access.reconcile_users, restarts)

    def _serves_relay(self) -> bool:
        return self.relay is not None and self.relay.relay is not None

    async def _shut_down(self, running: set[str]) -> None:
        logger.info("stopping")
        deadline = self.supervisor.deadline
        deadline.start()
        await self.supervisor.end(running - {_LEASES, _UPKEEP})
        # First of all nothing more is read: what comes now is for the next owner, whom Discord sends it again.
        await deadline.finish("gateway", self.launcher.disconnect(), constants.CLOSE_WITHIN_S)
        await deadline.finish("answers", self.bot.finish(constants.ANSWERS_END_WITHIN_S))
        await deadline.close("Discord", self.bot.close, self.bot.abort, constants.CLOSE_WITHIN_S)
        await deadline.finish("events", self.publisher.drain(constants.DRAIN_WITHIN_S))
        await deadline.finish("gateway sessions", self.gateway.save(), constants.SAVE_WITHIN_S)
        await self.supervisor.end({_LEASES, _UPKEEP})
        # All three go to PostgreSQL: a frozen one holds them up once.
        await asyncio.gather(
            deadline.finish("gateway leases", self.leases.give_back(), constants.SAVE_WITHIN_S),
            deadline.finish("upkeep", self.upkeep.give_back(), constants.SAVE_WITHIN_S),
            deadline.finish("activity", self.activity.write(), constants.SAVE_WITHIN_S),
        )

    async def login(self) -> None:
        """Log in to Discord's HTTP API and load the cogs, without a gateway connection; errors as of `log_in`."""
        await log_in(self.bot, self.settings)

    async def _serve_discord(self, part: Part) -> None:
        lift_when_connected(self.bot, part)
        tell_when_ready(self.bot, self.leases, self.table, self.manager, self.settings)
        async with self.bot.silence.limited(self.settings.discord.api_base):
            await try_until_done(part, self.login)
            part.running()
            logger.info("logged in", application=self.bot.application_id, invite=invite_link(self.bot))
            await try_until_done(part, lambda: find_shards(self.bot, self.settings))
            self.commands.begin()
            await self.leases.wait_for_any()  # a standby is ready up to here
            if self.settings.discord.sync_commands:
                await self.commands.wait_tried()
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
