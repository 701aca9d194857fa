"""Who may log in to the relay: running sandboxes with credentials, and what is theirs just now."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from loguru import logger

from bot import constants, names
from bot.errors import ServiceUnavailable
from bot.sandboxes.access.tokens import hash_token, read_bot_token
from bot.stores.postgres import Pool, fetch, load_queries
from bot.supervisor import Part


class NotAuthenticated(Exception):
    """There is no such token, or it is one no longer."""


@dataclass(eq=False)
class Tenant:
    """One sandbox as the relay knows it; kept true as long as somebody `follows` it."""

    sandbox_id: UUID
    name: str
    owner_id: int
    token_sha256: str = field(repr=False)
    guild_ids: frozenset[int]
    read_at: float
    """Of time.monotonic()."""
    ends_at: float
    """When the sandbox expires, by the same clock."""
    bound_at: dict[int, float] = field(default_factory=dict)
    """Of each guild, Unix time. One that was unbound in between has missed events."""
    reset_id: int | None = None
    """Another one after each reset; None before the first."""
    followers: set[Callable[[], None]] = field(default_factory=set, repr=False)
    """Called after the guilds or `reset_id` have changed, and when it is over."""
    is_over: bool = False
    is_gone: bool = False
    """The sandbox itself runs no more: it has not only got another token."""

    @property
    def short_id(self) -> str:
        """What tokens and people name it by."""
        return names.short_id(self.sandbox_id)

    def end(self) -> None:
        """Its token is none any more; whoever logs in with another one becomes a new tenant."""
        self.is_over = True
        self.notify()

    def notify(self) -> None:
        """Something of it has changed."""
        for follower in list(self.followers):
            follower()


class Tenants:
    """Asks PostgreSQL, which decides, and remembers for as short a time as revoking may take."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("relay")
        self._by_token: dict[str, Tenant] = {}

    async def authenticate(self, token: str) -> Tenant:
        """The tenant of a bot token, with or without `Bot `.

        `NotAuthenticated` on PostgreSQL's definite answer; `ServiceUnavailable` while it gives none, and the token was
        not right within the last minute.
        """
        parsed = read_bot_token(token)
        if parsed is None:
            raise NotAuthenticated
        digest = hash_token(parsed.secret)
        known = self._by_token.get(digest)
        if known is not None and not known.is_over and self._is_fresh(known):
            return known
        try:
            return await self._look_up(parsed.short_id, digest)
        except ServiceUnavailable:
            if known is None or known.is_over or self._is_stale(known):
                raise
            return known

    async def of_sandbox(self, sandbox_id: UUID) -> Tenant:
        """For what goes by a token of its own. `NotAuthenticated` if the sandbox's bot may not log in now."""
        return self._known(await fetch(self._pool, self._sql["load_tenants"], [sandbox_id]))

    async def of_guild(self, guild_id: int) -> Tenant:
        """The same, of the sandbox that has the guild."""
        return self._known(await fetch(self._pool, self._sql["find_tenant_of_guild"], guild_id))

    async def refresh(self, tenant: Tenant) -> None:
        """Read it now: it may have a guild that is not known here yet. `ServiceUnavailable` as it says."""
        await self._read([tenant])

    async def run(self, part: Part) -> None:
        """Keep the tenants true that somebody follows, for ever, and forget the others."""
        while True:
            followed = self._forget_unfollowed()
            if followed:
                await self._read(followed)
            part.running()
            await asyncio.sleep(constants.RELAY_ACCESS_CHECKED_EVERY_S)

    def _forget_unfollowed(self) -> list[Tenant]:
        for digest, tenant in list(self._by_token.items()):
            if tenant.is_over or (not tenant.followers and self._is_stale(tenant)):
                del self._by_token[digest]
        return [tenant for tenant in self._by_token.values() if tenant.followers]

    async def _look_up(self, short_id: str, digest: str) -> Tenant:
        rows = await fetch(self._pool, self._sql["find_tenant"], names.SCHEMA_PREFIX + short_id)
        if not rows or not hmac.compare_digest(rows[0]["token_sha256"], digest):
            if tenant := self._by_token.pop(digest, None):
                tenant.end()
            raise NotAuthenticated
        return self._known(rows)

    def _known(self, rows: Sequence[asyncpg.Record]) -> Tenant:
        """The one tenant that others have too, with what has just been read."""
        if not rows:
            raise NotAuthenticated
        digest = rows[0]["token_sha256"]
        known = self._by_token.get(digest)
        if known is not None and not known.is_over:
            self._update(known, rows[0])
            return known
        tenant = self._by_token[digest] = _tenant(rows[0])
        return tenant

    async def _read(self, tenants: Collection[Tenant]) -> None:
        rows = {
            row["id"]: row
            for row in await fetch(self._pool, self._sql["load_tenants"], [each.sandbox_id for each in tenants])
        }
        for tenant in tenants:
            row = rows.get(tenant.sandbox_id)
            if row is None or row["token_sha256"] != tenant.token_sha256:
                logger.info("a sandbox's bot is logged out", sandbox=str(tenant.sandbox_id))
                tenant.is_gone = row is None
                tenant.end()
            else:
                self._update(tenant, row)

    @staticmethod
    def _update(tenant: Tenant, row: asyncpg.Record) -> None:
        fresh = _tenant(row)
        tenant.read_at, tenant.ends_at = fresh.read_at, fresh.ends_at
        if (fresh.bound_at, fresh.reset_id) != (tenant.bound_at, tenant.reset_id):
            tenant.guild_ids, tenant.bound_at, tenant.reset_id = fresh.guild_ids, fresh.bound_at, fresh.reset_id
            tenant.notify()

    @staticmethod
    def _is_fresh(tenant: Tenant) -> bool:
        now = time.monotonic()
        return now < tenant.ends_at and now - tenant.read_at < constants.RELAY_ACCESS_CHECKED_EVERY_S

    @staticmethod
    def _is_stale(tenant: Tenant) -> bool:
        now = time.monotonic()
        return now >= tenant.ends_at or now - tenant.read_at >= constants.RELAY_ACCESS_REMEMBERED_S


def _tenant(row: asyncpg.Record) -> Tenant:
    now = time.monotonic()
    return Tenant(
        row["id"],
        row["name"],
        int(row["owner_id"]),
        row["token_sha256"],
        frozenset(map(int, row["guild_ids"])),
        now,
        now + row["remaining_s"],
        dict(zip(map(int, row["guild_ids"]), row["bound_at"], strict=True)),
        row["reset_id"],
    )
