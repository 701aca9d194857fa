"""The manager with all that it needs, on open stores: for the bot, and for the command line without Discord."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

import redis.asyncio
from loguru import logger
from nats.aio.client import Client

from bot import constants, names
from bot.i18n import Translatable
from bot.sandboxes.access.connection import WorkerAddresses
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.access.isolation import Enforcement, Isolation
from bot.sandboxes.access.replay import ReplayService
from bot.sandboxes.access.sizes import SizeMarks
from bot.sandboxes.access.stream_info import StreamInfoService
from bot.sandboxes.access.tokens import bot_id_of
from bot.sandboxes.activity import ActivityRefresh
from bot.sandboxes.health import InspectGuilds, ReadRoutes
from bot.sandboxes.lifecycle.orphans import OrphanCollector
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.sandboxes.limits import Limits
from bot.sandboxes.manager import RoutesChanged, SandboxManager, no_listener
from bot.sandboxes.restores.comparison import RestoreComparison
from bot.sandboxes.restores.settlement import RestoreSettlement
from bot.sandboxes.restores.watch import RestoreWatch
from bot.sandboxes.schema import SchemaProvisioner, default_template
from bot.sandboxes.template import DEFAULT_TEMPLATE, Statement, TemplateError, read_template
from bot.settings import Settings, SettingsError
from bot.stores.embedded.folder import sync_stream
from bot.stores.last_changes import LastChangeCopies
from bot.stores.nats import StreamLimits, StreamStore
from bot.stores.nats_access import NatsAccess
from bot.stores.nats_jwt import Issuer
from bot.stores.nats_logins import Login, LookUp
from bot.stores.nats_rations import RationedResponder, Service
from bot.stores.nats_responder import Responder
from bot.stores.opening import Addresses, CalloutClients, Stores
from bot.stores.postgres import Pool
from bot.stores.redis import RedisStore
from bot.supervisor import Supervisor
from sandbox_worker.addresses import Host, WrongAddress, fit, without_files

_WITHOUT_CALLOUT = Translatable("NATS_AUTH_URL, NATS_SYSTEM_URL and NATS_ACCOUNT_SEED are not set")


@asynccontextmanager
async def open_control_plane(
    settings: Settings,
    stores: Stores,
    routes_changed: RoutesChanged = no_listener,
    *,
    supervisor: Supervisor | None = None,
    read_routes: ReadRoutes | None = None,
    inspect_guilds: InspectGuilds | None = None,
) -> AsyncIterator[SandboxManager]:
    """Probed for isolation; `SettingsError` if it is required and a store does not enforce it. Workers' logins are
    answered as a part of the supervisor, by default one of its own. The manager is given `read_routes` and
    `inspect_guilds`."""
    redis, most = open_redis_store(settings, stores.redis), settings.isolation.max_connections
    access = SandboxAccess(stores.pool, redis, max_connections=most)
    nats = _nats_access(stores.callout, access.logins.look_up_all, most) if stores.callout else None
    async with AsyncExitStack() as stack:
        if supervisor is None:
            supervisor = await stack.enter_async_context(Supervisor())
        await make_restore_watch(settings, stores, access).look()  # before anybody is let in
        if nats is not None:
            await stack.enter_async_context(nats.responder.serving(supervisor, "auth callout"))
        await _probe(settings, stores, access, nats)
        yield SandboxManager(
            stores.pool,
            redis,
            open_stream_store(settings, stores.nats, workers_apart=stores.callout is not None),
            _limits(settings),
            access=access,
            workers=find_worker_addresses(settings, stores.addresses, access.isolation, stores.redis),
            template=_template(settings),
            template_name=_template_name(settings),
            routes_changed=routes_changed,
            read_routes=read_routes,
            inspect_guilds=inspect_guilds,
            refresh_activity=ActivityRefresh(stores.nats, stores.pool).refresh,
            size_marks=_size_marks(settings),
        )


@asynccontextmanager
async def serve_workers(stores: Stores, manager: SandboxManager, supervisor: Supervisor) -> AsyncIterator[None]:
    """What a running bot does for workers on NATS and against them, as parts of the supervisor: it answers requests for
    replays and questions after streams, and ends floods and connections with ended credentials. Where the server does
    not say who asks it answers replays alone; JetStream itself tells of streams there."""
    service, access = ReplayService(manager.streams, manager.get_by_id, manager.describe_to_workers), manager.access
    if access.nats is None or stores.addresses.callout is None:
        responder = Responder(stores.nats_of_workers, names.ANY_REPLAY_SUBJECT, service.answer)
        async with responder.serving(supervisor, "replay"):
            yield
        return
    services = (
        Service(names.replay_subject, service.answer),
        Service(names.info_subjects, StreamInfoService(manager.streams).answer),
    )
    url = access.nats.replays_url(stores.addresses.callout.auth_url)
    rationed = RationedResponder(url, services, access.logins.list_all)
    access.nats.before_login = rationed.admit
    access.nats.floods.count_accepted = manager.streams.count_accepted
    async with rationed.serving(supervisor, "replay"):
        every = timedelta(seconds=constants.FLOODS_LOOKED_FOR_EVERY_S)
        supervisor.start_periodic("floods", access.nats.floods.look, every)
        supervisor.start("connections to NATS", access.nats.watch(access.logins.read_ages).run)
        try:
            yield
        finally:
            await supervisor.end({"floods", "connections to NATS"})


async def probe_nats(settings: Settings, callout: CalloutClients | None, address: str) -> Enforcement:
    """What NATS enforces, found out by somebody who changes nothing and lets no worker in. The `address` has no
    credentials."""
    if callout is None:
        return Enforcement(_WITHOUT_CALLOUT)
    nats = _nats_access(callout, _lets_nobody_in, settings.isolation.max_connections, probes_only=True)
    async with Supervisor() as supervisor, nats.responder.serving(supervisor, "auth callout"):
        return Enforcement(await nats.probe(address))


def find_worker_addresses(
    settings: Settings, addresses: Addresses, isolation: Isolation, client: redis.asyncio.Redis | None = None
) -> WorkerAddresses:
    """What the operator says of each store, or else where the bot itself reaches it; the `client` knows which of
    several Redis servers that is. `SettingsError` if one that is handed out doesn't fit into a `.env`."""
    known = addresses.for_workers.items()
    chosen = {store: getattr(settings.workers, store) or without_files(address) for store, address in known}
    for store, address in chosen.items():
        if getattr(isolation, store).confines:
            _require_fitting(store, address)
    bot_id = bot_id_of(settings.discord.token.get_secret_value()) or constants.UNKNOWN_BOT_ID
    return WorkerAddresses(
        **chosen,
        discord=settings.discord.api_base,
        relay=settings.relay_address,
        bot_id=bot_id,
        relay_is_usual=not (settings.relay.listen or settings.relay.address),
        has_own_authority=bool(settings.tls.ca or settings.workers.certificates),
        redis_primary=partial(_primary_of, client),
    )


def _primary_of(client: redis.asyncio.Redis | None) -> Host | None:
    """The one that its Sentinels have named last."""
    address = getattr(client and client.connection_pool, "master_address", None)
    return Host(*address) if address else None


def _require_fitting(store: str, address: str) -> None:
    try:
        fit(address)
    except WrongAddress as error:
        raise SettingsError(
            f"workers.{store}: missing; the bot's own address of the store cannot be handed out: {error}. Set it to "
            "the one for workers, without user and password."
        ) from None


async def try_template(settings: Settings, pool: Pool, *, migrating: bool) -> None:
    """`SettingsError` names the file and line of the template that does not apply. `migrating`: the database is still
    to be migrated."""
    with _template_errors():
        await SchemaProvisioner(pool, _template(settings)).try_template(migrating=migrating)


def make_reaper(settings: Settings, manager: SandboxManager) -> Reaper:
    """With the patience that the settings choose."""
    chosen = settings.sandboxes
    return manager.make_reaper(warn_before=chosen.warn_before, grace=chosen.grace, stuck_after=chosen.stuck_after)


def make_orphan_collector(settings: Settings, stores: Stores, manager: SandboxManager) -> OrphanCollector:
    """It spares what is younger than the grace time."""
    redis = RedisStore(stores.redis)
    return OrphanCollector(stores.pool, manager.schemas, redis, manager.streams, settings.sandboxes.grace)


def make_restore_watch(settings: Settings, stores: Stores, access: SandboxAccess) -> RestoreWatch:
    """It holds what the access grants."""
    return RestoreWatch(stores.pool, access, _restore_comparison(settings, stores))


def make_restore_settlement(settings: Settings, stores: Stores, access: SandboxAccess) -> RestoreSettlement:
    """It ends what the access has granted."""
    return RestoreSettlement(stores.pool, access, _restore_comparison(settings, stores))


def _restore_comparison(settings: Settings, stores: Stores) -> RestoreComparison:
    streams = open_stream_store(settings, stores.nats, workers_apart=stores.callout is not None)
    return make_restore_comparison(settings, stores.pool, RedisStore(stores.redis), streams, stores.nats)


def make_restore_comparison(
    settings: Settings, pool: Pool, redis_store: RedisStore, streams: StreamStore, nats: Client
) -> RestoreComparison:
    """It changes nothing."""
    copies = LastChangeCopies(redis_store.client, nats, replicas=settings.nats.stream_replicas)
    return RestoreComparison(pool, redis_store, streams, copies, settings.sandboxes.audit_retention)


def open_redis_store(settings: Settings, client: redis.asyncio.Redis, *, configures: bool = True) -> RedisStore:
    """With the databases and scripts that the settings let sandboxes have."""
    databases, scripts = settings.redis_databases, settings.redis_scripts
    return RedisStore(client, configures=configures, databases=databases, scripts=scripts)


def _nats_access(
    callout: CalloutClients, look_up: LookUp, max_connections: int, *, probes_only: bool = False
) -> NatsAccess:
    return NatsAccess(
        callout.auth,
        callout.system,
        Issuer(callout.account_seed),
        look_up,
        max_connections=max_connections,
        probes_only=probes_only,
    )


async def _lets_nobody_in(_: object) -> dict[UUID, Login]:
    raise AssertionError("who only probes looks nobody up")


@contextmanager
def _template_errors() -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        raise SettingsError(f"sandboxes.template: {error}.") from error


async def _probe(
    settings: Settings, stores: Stores, access: SandboxAccess, nats: NatsAccess | None, *, trial: bool = True
) -> None:
    isolation = await access.probe(nats, stores.addresses.public["nats"], _WITHOUT_CALLOUT, trial=trial)
    unenforced = isolation.unenforced()
    if unenforced and settings.isolation.require:
        raise SettingsError(f"isolation.require: {'; '.join(unenforced)}.")
    for line in unenforced:
        logger.warning("sandboxes are not kept apart by a store", store=line)
    if access.nats is not None and await access.nats.is_reached_by_workers():
        logger.warning("workers can flood NATS's auth callout, which is in their account; see examples/nats.conf")
    if access.nats is not None:
        for gap in (await access.nats.read_account()).list_gaps():
            logger.warning("NATS's configuration lacks what workers use", gap=gap.message)


def _template(settings: Settings) -> tuple[Statement, ...]:
    with _template_errors():
        return read_template(settings.sandboxes.template or default_template())


def _template_name(settings: Settings) -> str:
    """The folder's own name, as far as it is text."""
    folder = settings.sandboxes.template
    return DEFAULT_TEMPLATE if folder is None else os.fsencode(folder.resolve().name).decode(errors="replace")


def open_stream_store(settings: Settings, client: Client, *, workers_apart: bool) -> StreamStore:
    """With the limits that the settings give each sandbox's stream. `workers_apart`: in an account of their own."""
    nats = settings.nats
    most_bytes = nats.stream_max_megabytes * 1024 * 1024
    limits = StreamLimits(nats.stream_max_age, nats.stream_max_messages, most_bytes, nats.stream_replicas)
    lasts = "nats" in settings.embedded_stores and settings.embedded.durable
    sync = partial(sync_stream, settings.embedded.folder) if lasts else None
    return StreamStore(client, limits, workers_apart=workers_apart, sync=sync)


def _size_marks(settings: Settings) -> SizeMarks:
    chosen = settings.isolation
    return SizeMarks(chosen.warn_megabytes * 1024 * 1024, chosen.max_megabytes * 1024 * 1024)


def _limits(settings: Settings) -> Limits:
    chosen = settings.sandboxes
    return Limits(
        chosen.max_per_owner,
        chosen.max_guilds,
        chosen.default_ttl,
        chosen.max_ttl,
        chosen.min_name_length,
        chosen.max_name_length,
    )
