"""Asks how a sandbox is: each store about its share, Discord about its servers, and the routes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

import asyncpg

from bot import constants
from bot.errors import ServiceUnavailable
from bot.i18n import gettext, ngettext
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.access.sizes import SandboxSizes
from bot.sandboxes.health import (
    GuildPresence,
    GuildRouting,
    Health,
    InspectGuilds,
    ReadRoutes,
    Routes,
    RoutingHealth,
    StoreHealth,
)
from bot.sandboxes.lifecycle.notices import NoticeOutbox, Outcome
from bot.sandboxes.model import Sandbox
from bot.sandboxes.relay_probe import RelayProbe, RelayReading
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.nats import StreamStats, StreamStore
from bot.stores.postgres import Pool, connected, load_queries
from bot.stores.redis import RedisStore


class HealthProbe:
    """Asks everybody together, each at most `HEALTH_TIMEOUT_S`. Who does not answer makes nothing fail."""

    def __init__(
        self,
        schemas: SchemaProvisioner,
        redis: RedisStore,
        streams: StreamStore,
        access: SandboxAccess,
        outbox: NoticeOutbox,
        read_routes: ReadRoutes,
        inspect_guilds: InspectGuilds | None,
        relay: RelayProbe,
        sizes: SandboxSizes,
    ) -> None:
        """Without `inspect_guilds` Discord is not asked."""
        self._schemas, self._redis, self._streams = schemas, redis, streams
        self._access, self._outbox = access, outbox
        self._read_routes, self._inspect_guilds = read_routes, inspect_guilds
        self._relay, self._sizes = relay, sizes

    async def probe(self, sandbox: Sandbox, unstored: str = "") -> Health:
        """A store that doesn't answer makes its part not ok; nothing is raised for it. `unstored`: why a bot cannot
        have its events stored, empty if it can."""
        (postgres, redis, stats, (unasked, _)), routing, (outcome, _), (relay, _), (restored, _) = await asyncio.gather(
            asyncio.gather(
                _answer(self._postgres(sandbox)),
                _answer(self._keys(sandbox)),
                _answer(self._streams.stats(sandbox.id)),
                _attempt(self._access.list_unasked()),
            ),
            self._routing(sandbox, unstored),
            _attempt(self._outbox.last_outcome(sandbox)),
            _attempt(self._relay.ask(sandbox.id)),
            _attempt(self._access.restores.is_shut()),
        )
        nats = stats if isinstance(stats, StoreHealth) else self._stream(sandbox, stats, relay)
        undelivered = outcome is Outcome.UNDELIVERABLE
        on_relay = relay.health(stats if isinstance(stats, StreamStats) else None) if relay is not None else None
        return Health(
            sandbox,
            postgres,
            redis,
            nats,
            routing,
            self._access.isolation,
            undelivered,
            on_relay,
            unasked=tuple(unasked or ()),
            is_restored=bool(restored),
        )

    async def _routing(self, sandbox: Sandbox, unstored: str) -> RoutingHealth:
        (routes, _), (last_event_at, _), (presences, unknown) = await asyncio.gather(
            _attempt(self._read_routes(sandbox)),
            _attempt(self._streams.last_event_at(sandbox.id)),
            self._inspect(sandbox),
        )
        guilds = tuple(
            GuildRouting(guild_id, presences.get(guild_id), guild_id in routes.guild_ids if routes else None)
            for guild_id in sandbox.guild_ids
        )
        if routes and routes.withheld:
            unknown = (*unknown, _withheld(routes.withheld))
        return RoutingHealth(guilds, last_event_at, routes.stale if routes else None, unknown, unstored)

    async def _inspect(self, sandbox: Sandbox) -> tuple[Mapping[int, GuildPresence], tuple[str, ...]]:
        """What Discord says of the guilds, and what it does not."""
        if not sandbox.guild_ids:
            return {}, ()
        if self._inspect_guilds is None:
            return {}, (gettext("Discord was not asked: no token is configured."),)
        found, failure = await _attempt(self._inspect_guilds(sandbox.guild_ids))
        if found is None:
            return {}, (gettext("Discord could not be asked: {detail}.", detail=failure),)
        if missing := len(set(sandbox.guild_ids) - found.keys()):
            told = ngettext(
                missing,
                "Discord has not told of {number} server in time.",
                "Discord has not told of {number} servers in time.",
            )
            return found, (told,)
        return found, ()

    async def _postgres(self, sandbox: Sandbox) -> StoreHealth:
        if not await self._schemas.schema_exists(sandbox.id):
            return StoreHealth(False, gettext("schema {schema} is missing", schema=sandbox.schema_name), {})
        try:
            tables = await self._schemas.get_schema_stats(sandbox.id)
        except asyncpg.LockNotAvailableError:
            return StoreHealth(False, gettext("a worker holds a lock on a table"), {})
        figures = {
            "tables": len(tables),
            "rows": sum(table.rows for table in tables),
            "bytes": sum(table.bytes for table in tables),
        }
        parts = [
            ngettext(figures["tables"], "{number} table", "{number} tables"),
            ngettext(figures["rows"], "~{number:,} row", "~{number:,} rows"),  # as PostgreSQL estimates them
            _size(figures["bytes"]),
        ]
        if is_over := await self._sizes.is_over(sandbox.id):
            most = _size(self._sizes.marks.most)
            parts.append(gettext("over the {most} that it may take, so that its sessions are ended", most=most))
        return StoreHealth(not is_over, ", ".join(parts), figures)

    async def _keys(self, sandbox: Sandbox) -> StoreHealth:
        number = sandbox.redis_database
        keys = await self._redis.count_keys(sandbox.id, database=number)
        parts = [ngettext(keys, "{number:,} key", "{number:,} keys")]
        if number is not None:
            parts.append(gettext("in database {database}", database=number))
        elif self._access.databases.are_checked:
            parts.append(gettext("by their prefix: when it was made there was no database of its own"))
        figures = {"keys": keys} if number is None else {"keys": keys, "database": number}
        return StoreHealth(True, ", ".join(parts), figures)

    def _stream(self, sandbox: Sandbox, stats: StreamStats | None, relay: RelayReading | None) -> StoreHealth:
        if stats is None:
            missing = gettext("stream {stream} or its consumer is missing", stream=sandbox.stream)
            return StoreHealth(False, missing, {})
        unread = relay.unread(stats) if relay is not None else None
        waiting = stats.waiting if unread is None else min(unread, stats.waiting)
        figures = {
            "messages": stats.messages,
            "bytes": stats.bytes,
            "unacknowledged": waiting,
            "unacknowledged_by_workers": stats.waiting,
            "waiting_workers": stats.workers,
        }
        parts = [
            ngettext(stats.messages, "{number:,} event", "{number:,} events"),
            _size(stats.bytes),
            _waiting(waiting, stats.waiting),
            ngettext(stats.workers, "{number} worker waits for more", "{number} workers wait for more"),
        ]
        if barred := self._access.keeps_out_of_nats(sandbox.id):
            parts.append(gettext("its workers are kept out for a while, for they sent too much"))
        return StoreHealth(not barred, ", ".join(parts), figures)


class StoredRoutes:
    """The routes as PostgreSQL has them, where no router runs in the same process: every bot follows them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries("routes")

    async def read(self, sandbox: Sandbox) -> Routes:
        """A `ReadRoutes`."""
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["load_routes_of"], list(sandbox.guild_ids))
        open_ = (row for row in rows if row["sandbox_id"] == sandbox.id and row["remaining_s"] > 0)
        return Routes(frozenset(int(row["guild_id"]) for row in open_))


async def _attempt[ResultT](question: Awaitable[ResultT]) -> tuple[ResultT | None, str | None]:
    """The answer, or why there is none."""
    try:
        async with asyncio.timeout(constants.HEALTH_TIMEOUT_S):
            return await question, None
    except TimeoutError:
        return None, gettext("no answer within {seconds} s", seconds=constants.HEALTH_TIMEOUT_S)
    except ServiceUnavailable as error:
        return None, error.detail


async def _answer[ResultT](question: Awaitable[ResultT]) -> ResultT | StoreHealth:
    """The answer, or how a store is that gives none."""
    try:
        async with asyncio.timeout(constants.HEALTH_TIMEOUT_S):
            return await question
    except TimeoutError:
        return StoreHealth(False, gettext("no answer within {seconds} s", seconds=constants.HEALTH_TIMEOUT_S), {})
    except ServiceUnavailable as error:
        return StoreHealth(False, gettext("not reachable: {detail}", detail=error.detail), {})


def _waiting(waiting: int, by_workers: int) -> str:
    """A worker that comes later gets what a bot on the relay was sent before: nobody can know whether it is wanted."""
    if waiting == by_workers:
        return gettext("{number:,} not yet acknowledged by a worker", number=waiting)
    return gettext(
        "{number:,} not yet sent to its bot on the relay (a worker of the kit that starts now gets {more:,})",
        number=waiting,
        more=by_workers,
    )


def _withheld(answers: int) -> str:
    return ngettext(
        answers,
        "{number:,} private answer was withheld: it is not known whether it is a worker's.",
        "{number:,} private answers were withheld: it is not known whether they are a worker's.",
    )


def _size(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
