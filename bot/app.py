"""The only wiring: opens every service, starts every part, closes in reverse order."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import discord
import orjson
from loguru import logger

from bot.client import COMPONENT_PREFIX, SandboxBot, chosen_intents
from bot.cogs.departures import Departures
from bot.control_plane import make_orphan_sweeper, make_reaper, open_control_plane
from bot.errors import ServiceUnavailable
from bot.routing.gateway import install_tap, set_api_base
from bot.routing.publisher import Publisher
from bot.routing.response_watchdog import ResponseWatchdog
from bot.routing.router import EventRouter
from bot.routing.sessions import SessionStore
from bot.routing.table import RouteTable
from bot.routing.tap import Tap
from bot.routing.watcher import RouteWatcher
from bot.sandboxes.activity import ActivityLog
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.notices import NoticePump
from bot.sandboxes.orphans import OrphanSweeper
from bot.sandboxes.reaper import Reaper
from bot.sandboxes.replay import ReplayService
from bot.settings import Settings, SettingsError
from bot.stores.opening import Stores, open_stores
from bot.stores.postgres import Pool, load_queries
from bot.ui.messenger import Messenger
from bot.ui.unanswered import UnansweredReply

_DRAIN_S = 2.0
_FINISH_S = 1.5
_RESTART_AFTER_S = 1.0
_OWN_COMMANDS = frozenset({"sandbox", "sandbox-admin"})


@dataclass
class App:
    """A wired bot. `run` starts it and returns when `stop` is set or Discord refuses it."""

    settings: Settings
    stores: Stores
    manager: SandboxManager
    table: RouteTable
    watcher: RouteWatcher
    publisher: Publisher
    router: EventRouter
    gateway: Tap
    activity: ActivityLog
    reaper: Reaper
    orphans: OrphanSweeper
    pump: NoticePump
    bot: SandboxBot
    departures: Departures
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """`SettingsError`: Discord refused token or intents. `ServiceUnavailable`: Discord was not reached, or NATS
        wants the bot no more; what it has not stored comes again at the next start."""
        await self.watcher.start()
        every = self.settings.sandboxes.sweep_every
        parts = [
            asyncio.create_task(_supervised("route watcher", self.watcher.run)),
            asyncio.create_task(_supervised("gateway sessions", self.gateway.run)),
            asyncio.create_task(_supervised("departures", self.departures.run)),
            asyncio.create_task(_periodically("reaper", self.reaper.sweep, every)),
            asyncio.create_task(_periodically("notices", self._pump, every)),
            asyncio.create_task(_periodically("activity", self.activity.write, self.settings.sandboxes.activity_every)),
            asyncio.create_task(_periodically("access", self._keep_access, every)),
            asyncio.create_task(_periodically("streams", self.manager.keeper.mend, self.settings.sandboxes.mend_every)),
            asyncio.create_task(_periodically("orphans", self._tidy, self.settings.sandboxes.mend_every)),
        ]
        gateway = asyncio.create_task(self._serve_discord())
        stopped = asyncio.create_task(self.stop.wait())
        gone = asyncio.create_task(self.publisher.connection_closed.wait())
        try:
            await asyncio.wait({gateway, stopped, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._shut_down(gateway, [*parts, stopped, gone])
        if self.publisher.connection_closed.is_set():
            raise ServiceUnavailable("NATS", str(self.stores.nats.last_error))
        if not gateway.cancelled():
            gateway.result()

    async def _shut_down(self, gateway: asyncio.Task[None], parts: Iterable[asyncio.Task[Any]]) -> None:
        logger.info("stopping")
        tasks = {gateway, *parts}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.bot.finish(_FINISH_S)
        await self.bot.close()
        await self.publisher.drain(_DRAIN_S)
        await self.gateway.save()
        with suppress(ServiceUnavailable):
            await self.activity.write()

    async def login(self) -> None:
        """Log in to Discord's HTTP API and load the cogs, without a connection to the gateway."""
        try:
            await self.bot.login(self.settings.require_token())
        except discord.LoginFailure:
            raise SettingsError("discord.token: Discord refuses it; set DISCORD_TOKEN to the bot's token.") from None
        except (aiohttp.ClientError, OSError, discord.HTTPException) as error:
            raise ServiceUnavailable("Discord", f"{self.settings.discord.api_base}: {error}") from error

    async def _serve_discord(self) -> None:
        await self.login()
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

    async def _keep_access(self) -> None:
        await self.manager.access.keep(self.settings.isolation.longest_transaction)

    async def _tidy(self) -> None:
        await self.orphans.tidy(self.settings.sandboxes.orphans_every)

    async def _pump(self) -> None:
        if self.bot.user is not None:  # logged in; direct messages need no gateway
            await self.pump.pump(self.bot.admins)


@asynccontextmanager
async def open_app(settings: Settings, *, share: bool = False) -> AsyncIterator[App]:
    """Everything reached, migrated and wired, but not started. `share`: as for `open_addresses`."""
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, share=share))
        table = RouteTable()
        watcher = RouteWatcher(
            stores.pool, stores.addresses.postgres, table, reload_every=settings.routing.reload_every
        )
        manager = await stack.enter_async_context(open_control_plane(settings, stores, watcher.refresh))
        publisher = await _open_publisher(stack, settings, stores)
        await _open_replay(stack, stores, manager)
        reaper, orphans = make_reaper(settings, manager), make_orphan_sweeper(settings, stores, manager)
        bot = _bot(settings, manager, reaper, orphans)
        watchdog = ResponseWatchdog(stores.nats, UnansweredReply(bot, manager.get_by_id).send)
        stack.push_async_callback(watchdog.close)
        router = _router(settings, table, publisher, watchdog)
        departures = Departures(bot)
        await bot.add_cog(departures)
        yield App(
            settings,
            stores,
            manager,
            table,
            watcher,
            publisher,
            router,
            install_tap(bot, router, publisher, SessionStore(stores.redis, publisher)),
            ActivityLog(stores.pool, router.activity),
            reaper,
            orphans,
            NoticePump(manager.outbox, manager.get_by_id, _messenger(settings, bot).deliver),
            bot,
            departures,
        )


async def _open_publisher(stack: AsyncExitStack, settings: Settings, stores: Stores) -> Publisher:
    publisher = Publisher(stores.nats, window=settings.routing.window, ack_timeout=settings.routing.ack_timeout)
    await publisher.start()
    stack.push_async_callback(publisher.close)
    return publisher


async def _open_replay(stack: AsyncExitStack, stores: Stores, manager: SandboxManager) -> None:
    replay = ReplayService(stores.nats_of_workers, manager.streams)
    await replay.start()
    stack.push_async_callback(replay.close)


def _bot(settings: Settings, manager: SandboxManager, reaper: Reaper, orphans: OrphanSweeper) -> SandboxBot:
    chosen = settings.discord
    set_api_base(chosen.api_base)
    return SandboxBot(
        manager,
        reaper,
        orphans,
        intents=chosen_intents(chosen.privileged_intents),
        admins=chosen.admins,
        shard_count=chosen.shard_count,
        shard_ids=chosen.shard_ids,
    )


def _router(settings: Settings, table: RouteTable, publisher: Publisher, watchdog: ResponseWatchdog) -> EventRouter:
    return EventRouter(
        table,
        publisher,
        own_commands=_OWN_COMMANDS,
        component_prefix=COMPONENT_PREFIX,
        unbound_subject=settings.routing.unbound_subject,
        responses=watchdog,
    )


def _messenger(settings: Settings, bot: SandboxBot) -> Messenger:
    chosen = settings.sandboxes
    return Messenger(bot, channel_id=settings.discord.notice_channel, grace=chosen.grace, extend_by=chosen.default_ttl)


async def sync_commands(bot: SandboxBot, pool: Pool, *, force: bool = False) -> bool:
    """Tell Discord our commands if they are not what it was told last; True if it was told."""
    sql = load_queries("commands")
    translator = bot.tree.translator
    assert translator is not None
    commands = bot.tree.get_commands()
    payload = [await command.get_translated_payload(bot.tree, translator) for command in commands]
    checksum = hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if not force and await pool.fetchval(sql["get_checksum"], bot.application_id) == checksum:
        return False
    await bot.tree.sync()
    await pool.execute(sql["set_checksum"], bot.application_id, checksum)
    logger.info("commands synced", commands=len(payload))
    return True


def invite_link(bot: SandboxBot) -> str:
    """Where somebody with Manage Server adds the bot to a server."""
    return discord.utils.oauth_url(bot.application_id or 0, scopes=("bot", "applications.commands"))


async def _periodically(name: str, action: Callable[[], Awaitable[object]], every: timedelta) -> None:
    """For ever: an error is logged and the next turn tries again."""
    while True:
        try:
            await action()
        except ServiceUnavailable as error:
            logger.warning("skipped a turn", part=name, service=error.service, detail=error.detail)
        except Exception:
            logger.exception("a turn failed", part=name)
        await asyncio.sleep(every.total_seconds())


async def _supervised(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Runs a part that should never end, and starts it again if it does."""
    while True:
        try:
            await part()
        except Exception:
            logger.exception("a part failed and is started again", part=name)
        await asyncio.sleep(_RESTART_AFTER_S)
