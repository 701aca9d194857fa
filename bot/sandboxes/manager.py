"""`SandboxManager`: every change of a sandbox, each settled in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from loguru import logger

from bot import names
from bot.errors import GuildNotBound, InvalidTransition, NotAllowed
from bot.sandboxes.access.connection import ConnectionDetails, WorkerAddresses
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.access.issuing import CredentialIssuer
from bot.sandboxes.access.sizes import SandboxSizes, SizeMarks
from bot.sandboxes.bindings import GuildBindings
from bot.sandboxes.directory import SandboxDirectory, require_access, require_running
from bot.sandboxes.health import Health, InspectGuilds, ReadRoutes
from bot.sandboxes.health_probe import HealthProbe, StoredRoutes
from bot.sandboxes.idempotency import Idempotency
from bot.sandboxes.lifecycle.acknowledgements import Acknowledgements
from bot.sandboxes.lifecycle.creation import CreateRequest, Creation
from bot.sandboxes.lifecycle.expiry import Expiry
from bot.sandboxes.lifecycle.notices import NoticeOutbox
from bot.sandboxes.lifecycle.reaper import Reaper
from bot.sandboxes.lifecycle.reset import Reset
from bot.sandboxes.lifecycle.streams import StreamReconciler
from bot.sandboxes.lifecycle.teardown import Teardown
from bot.sandboxes.limits import Limits
from bot.sandboxes.metadata import check_metadata
from bot.sandboxes.model import Actor, Extension, Sandbox, SandboxStatus
from bot.sandboxes.relay_probe import RelayProbe
from bot.sandboxes.route_hints import RouteHints
from bot.sandboxes.schema import SchemaProvisioner
from bot.sandboxes.template import DEFAULT_TEMPLATE, UNNAMED_TEMPLATE, Statement
from bot.stores.nats import StreamStore
from bot.stores.postgres import Connection, Pool, connected, in_transaction
from bot.stores.redis import RedisStore
from bot.stores.relay_records import RelayRecords
from bot.stores.stream_positions import AcknowledgedPositions
from sandbox_worker.protocol import TOKEN_PLACE

RoutesChanged = Callable[[Collection[int]], Awaitable[None]]
"""Told which guilds' routes have just been committed anew."""


async def no_listener(guild_ids: Collection[int]) -> None:
    """No router in this process: other ones find it in PostgreSQL."""


class SandboxManager(SandboxDirectory):
    """The control plane. Whoever calls it says who asks; it decides whether they may.

    Every method may raise a `SandboxError`; nothing else is expected. Routing in this process has followed by the
    time a method returns.

    Each change is one transaction that locks the sandbox first and asks no store. What other stores have to be told
    comes after its commit, and can be repeated: if it fails, or the process dies, a periodic job makes up for it.

    An actor with an idempotency key gets each change once. A repeat waits for the first run, is judged by the rights
    that the actor has then, does what may have been left undone, and returns the same as the first.
    """

    def __init__(
        self,
        pool: Pool,
        redis: RedisStore,
        streams: StreamStore,
        limits: Limits | None = None,
        *,
        access: SandboxAccess | None = None,
        workers: WorkerAddresses | None = None,
        template: Sequence[Statement] | None = None,
        template_name: str | None = None,
        routes_changed: RoutesChanged = no_listener,
        read_routes: ReadRoutes | None = None,
        inspect_guilds: InspectGuilds | None = None,
        refresh_activity: Callable[[], Awaitable[str]] | None = None,
        size_marks: SizeMarks | None = None,
    ) -> None:
        """`read_routes`: which routes are in force, where a router runs in this process; otherwise PostgreSQL is asked.
        `inspect_guilds`: asks Discord; without it that is not known. `refresh_activity`: has bots write down counts."""
        super().__init__(pool)
        self._limits = limits or Limits()
        self._template_name = template_name or (DEFAULT_TEMPLATE if template is None else UNNAMED_TEMPLATE)
        self._routes_changed, self._hints = routes_changed, RouteHints(pool)
        self._refresh_activity = refresh_activity
        self.outbox = NoticeOutbox(pool)
        self.idempotency = Idempotency(pool)
        self.bindings = GuildBindings(pool, self._records, self.outbox, self._limits, self.idempotency, self._announce)
        self.schemas, self.streams = SchemaProvisioner(pool, template), streams
        self.access = access or SandboxAccess(pool, redis)
        self.sizes = SandboxSizes(pool, self.access, size_marks)
        workers = workers or WorkerAddresses()
        self.relay = RelayRecords(redis.client, pool)
        self._issuer = CredentialIssuer(pool, self._records, self.access, self.idempotency, workers, self.relay)
        self._expiry = Expiry(pool, self._records, self.access, self.outbox, self._limits, self.idempotency)
        self._teardown = Teardown(pool, self._records, self.schemas, self.access, redis, streams, self.relay)
        self._creation = Creation(
            pool, self._records, self.schemas, self.access, streams, self._teardown, self._limits, self.idempotency
        )
        self.create_seconds, self.destroy_seconds = self._creation.seconds, self._teardown.seconds
        self.acknowledgements = Acknowledgements(pool, streams, AcknowledgedPositions(redis.client))
        self.stream_reconciler = StreamReconciler(pool, streams, self.acknowledgements)
        self._reset = Reset(
            pool, self._records, self.schemas, self.access, redis, streams, self.idempotency, self.relay
        )
        read_routes = read_routes or StoredRoutes(pool).read
        relay = RelayProbe(self.relay, workers.relay, expected=not workers.relay_is_usual)
        self._probe = HealthProbe(
            self.schemas, redis, streams, self.access, self.outbox, read_routes, inspect_guilds, relay, self.sizes
        )

    async def create(
        self,
        actor: Actor,
        *,
        owner_id: int | None = None,
        name: str | None = None,
        ttl: timedelta | None = None,
        description: str | None = None,
        guild_ids: Iterable[int] = (),
        metadata: Mapping[str, object] | None = None,
    ) -> Sandbox:
        """Make a running sandbox of the actor's, or by an admin of somebody else's, with the guilds bound to it.

        `metadata`: `tags`, `created_from` (by default `api`) and any other JSON, 4 KB at most; no secrets, for whoever
        sees the sandbox sees it.

        If a step fails after the row is there, the sandbox is taken down again and `ProvisioningFailed` names
        the step; if the process dies, the reaper does it.
        """
        if owner_id not in (None, actor.id) and not actor.is_admin:
            raise NotAllowed("Only an admin creates a sandbox for somebody else.")
        wanted = CreateRequest(
            actor,
            owner_id if owner_id is not None else actor.id,
            self._limits.check_name(name) if name is not None else None,
            self._limits.check_ttl(ttl),
            self._limits.check_description(description),
            self._limits.check_guilds(guild_ids),
            check_metadata(metadata, template=self._template_name),
        )
        sandbox = await self._creation.create(wanted, actor)
        await self._announce(sandbox.guild_ids)
        logger.info("sandbox created", sandbox=str(sandbox.id), name=sandbox.name, owner=sandbox.owner_id)
        return sandbox

    async def register_guild(self, actor: Actor, sandbox_id: UUID, guild_id: int) -> Sandbox:
        """Bind a guild to a running sandbox. Whether the actor manages the guild, the caller has checked."""
        names.check_snowflake(guild_id, "server id")
        await self.bindings.bind(actor, sandbox_id, guild_id)
        return await self.get_by_id(sandbox_id)

    async def unregister_guild(
        self, actor: Actor, guild_id: int, *, manages_guild: bool = False, guild_name: str | None = None
    ) -> Sandbox:
        """Free a guild from the sandbox that has it, which is returned.

        `manages_guild`: Discord has just said that the actor does. Then they may, whose sandbox it be, and its owner is
        told, with `guild_name` if that is known.
        """
        names.check_snowflake(guild_id, "server id")
        freed = await self.bindings.unbind(actor, guild_id, manages_guild=manages_guild, guild_name=guild_name)
        return await self.get_by_id(freed)

    async def release_guild(self, guild_id: int, guild_name: str | None = None) -> bool:
        """Free a guild that the bot was removed from, with a notice to the owner; False if no sandbox has it."""
        try:
            await self.bindings.release(await self.get_by_guild_id(guild_id), guild_id, guild_name)
        except GuildNotBound:
            return False
        return True

    async def extend_ttl(self, actor: Actor, sandbox_id: UUID, by: timedelta) -> Extension:
        """Move the expiry, counted from now if it has passed, and capped at the longest life; never backwards.

        An expired sandbox runs again, as long as its grace time has left it its data.
        """
        sandbox, capped = await self._expiry.extend(actor, sandbox_id, by)
        await self._announce(sandbox.guild_ids)
        await self.access.retries.attempt(sandbox_id, partial(self.access.apply, sandbox_id, disconnect=False))
        return Extension(await self.get_by_id(sandbox_id), capped)

    async def reset(self, actor: Actor, sandbox_id: UUID) -> Sandbox:
        """Put a running sandbox back to its template, with empty keys and an empty stream; its workers' sessions end.

        `ResetFailed`: not wholly done; it may be repeated.
        """
        sandbox = require_access(await self.get_by_id(sandbox_id), actor)
        require_running(sandbox, "reset")
        await self._reset.run(sandbox, actor)
        return await self.get_by_id(sandbox_id)

    async def destroy(self, actor: Actor, sandbox_id: UUID) -> Sandbox:
        """Cut it off and remove all that it has. `CleanupFailed`: cut off, and the reaper removes the rest."""

        async def begin(connection: Connection) -> Sandbox:
            earlier = await self.idempotency.begin(connection, actor, "destroy", {})
            sandbox = require_access(await self._records.lock(connection, sandbox_id), actor)
            if not await self._teardown.begin(connection, sandbox, actor, "asked for") and earlier is None:
                raise InvalidTransition(sandbox.name, sandbox.status, "destroyed")
            return sandbox

        sandbox = await in_transaction(self._pool, begin)
        if sandbox.status is not SandboxStatus.DESTROYED:
            await self._announce(sandbox.guild_ids)
            await self._teardown.finish(sandbox, actor)
        return await self.get_by_id(sandbox_id)

    async def update_activity(self, sandbox_id: UUID) -> bool:
        """Note that something happened in it just now; False if it does not run."""
        async with connected(self._pool) as connection:
            return await self._records.value(connection, "touch", sandbox_id) is not None

    async def refresh_activity(self) -> str:
        """Have the bots write down events that they have counted, to be shown. Never fails; takes seconds at most.
        Why one cannot have its events stored; empty if none says so."""
        return await self._refresh_activity() if self._refresh_activity is not None else ""

    async def get_health(self, sandbox_id: UUID) -> Health:
        """What each store says of its share and how events get to it, with the level that it comes to.

        Who doesn't answer is named, and nothing is raised for it. `SandboxNotFound` if there never was such a sandbox.
        """
        unstored = await self.refresh_activity()
        return await self._probe.probe(await self.get_by_id(sandbox_id), unstored)

    async def has_reader(self, sandbox_id: UUID) -> bool:
        """Whether somebody of the sandbox's is connected: a bot by the relay, or a worker to NATS as far as that tells.
        `ServiceUnavailable` if a store doesn't tell."""
        return await self.relay.has_reader(sandbox_id) or await self.access.has_connections(sandbox_id)

    async def get_connection_details(self, actor: Actor, sandbox_id: UUID) -> ConnectionDetails:
        """What the sandbox's workers need, without credentials. Only of a running one, for its owner or an admin."""
        sandbox = require_access(await self.get_by_id(sandbox_id), actor)
        return self._issuer.describe(sandbox, serves=await self._issuer.relay_serves())

    async def describe_to_workers(self, sandbox_id: UUID) -> ConnectionDetails:
        """The same for who has the token already, with `TOKEN_PLACE` where it stands."""
        sandbox = await self.get_by_id(sandbox_id)
        return self._issuer.describe(sandbox, TOKEN_PLACE, serves=await self._issuer.relay_serves())

    async def issue_credentials(self, actor: Actor, sandbox_id: UUID, *, rotate: bool = False) -> ConnectionDetails:
        """The same with a fresh token, which is kept nowhere; without one if it was issued before.

        With `rotate` there is always a fresh one, and older ones end here, with their live connections. A repeat has no
        token: `is_repeat`.
        """
        return await self._issuer.issue(actor, sandbox_id, rotate=rotate)

    async def reissue_credentials(self, actor: Actor, sandbox_id: UUID) -> ConnectionDetails | None:
        """A fresh token for a repeat whose first run has issued one that nobody was shown; that one ends here.

        None while whoever issued it may still be showing it: ask again, and whether it is there by now.
        """
        return await self._issuer.reissue(actor, sandbox_id)

    async def mark_expired(self, sandbox_id: UUID) -> bool:
        """`expired`, with a notice to owner and admins; False if it is not due (any more)."""
        if (sandbox := await self._expiry.expire(sandbox_id)) is None:
            return False
        await self._announce(sandbox.guild_ids)
        await self.access.retries.attempt(sandbox_id, partial(self.access.apply, sandbox_id))
        logger.info("sandbox expired", sandbox=str(sandbox_id), name=sandbox.name)
        return True

    def make_reaper(self, *, warn_before: timedelta, grace: timedelta, stuck_after: timedelta) -> Reaper:
        """What ends sandboxes when their time has come; `Reaper.sweep` is one turn of it.

        `warn_before` the expiry, `grace` after it, and `stuck_after` the last heartbeat of unfinished work.
        """
        return Reaper(
            self._pool,
            self._records,
            self.outbox,
            self._teardown,
            self.mark_expired,
            self._announce,
            warn_before=warn_before,
            grace=grace,
            stuck_after=stuck_after,
        )

    async def _announce(self, guild_ids: Collection[int]) -> None:
        if not guild_ids:
            return
        try:
            await self._routes_changed(guild_ids)
        except Exception as error:  # it is committed, and the watcher reads it within a second
            logger.warning("routes not refreshed yet", guilds=len(guild_ids), error=repr(error))
        await self._hints.send(guild_ids)
