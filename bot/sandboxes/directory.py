"""What is known of sandboxes. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from bot import log, names
from bot.errors import GuildNotBound, InvalidTransition, SandboxHidden, SandboxNotFound
from bot.sandboxes.metadata import UNSTORABLE, check_tags
from bot.sandboxes.model import OPERATOR, Actor, AuditEntry, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Connection, Pool, connected, until_locks_are_free

LIVING = tuple(status for status in SandboxStatus if status is not SandboxStatus.DESTROYED)


class SandboxDirectory:
    """Looks sandboxes up in PostgreSQL; a `SandboxError` says why there is no answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._records = SandboxRecords()

    async def get_by_id(self, sandbox_id: UUID) -> Sandbox:
        """Also one that is destroyed; `SandboxNotFound` if there never was one."""

        async def get() -> Sandbox:
            async with connected(self._pool) as connection:
                return await self._records.get(connection, sandbox_id)

        return await until_locks_are_free(get)

    async def get_by_name(self, name: str) -> Sandbox:
        """The living sandbox of that name, or `SandboxNotFound`."""
        return await self._get("get_sandbox_by_name", name, name)

    async def get_by_reference(self, actor: Actor, reference: int) -> Sandbox:
        """Also one that is destroyed; `NotAllowed` if the actor may not see it, `SandboxNotFound` if there is none."""
        return require_access(await self._get("get_sandbox_by_reference", reference, str(reference)), actor)

    async def get_by_guild_id(self, guild_id: int) -> Sandbox:
        """The sandbox that the guild is bound to, or `GuildNotBound`."""
        async with connected(self._pool) as connection:
            sandbox = await self._records.one(connection, "get_sandbox_by_guild_id", guild_id)
        if sandbox is None:
            raise GuildNotBound(guild_id)
        return sandbox

    async def find(self, actor: Actor, wanted: str, *, destroyed: bool = False) -> Sandbox:
        """The living sandbox that the actor means by its name, its id or the first eight digits of that.

        Where both are somebody's, the id counts, as far as the actor may see that sandbox. With `destroyed`, an id also
        means one that is destroyed.
        """
        wanted = wanted.strip().lower()
        found = [] if UNSTORABLE.search(wanted) else await self._find_by_id_or_name(wanted, destroyed)
        if not found:
            raise SandboxNotFound(wanted)
        return require_access(next((each for each in found if each.belongs_to(actor)), found[0]), actor, wanted)

    async def list(
        self,
        *,
        owner_id: int | None = None,
        statuses: Iterable[SandboxStatus] = LIVING,
        tags: Mapping[str, str] | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Sandbox]:
        """Newest first; everybody's if no owner is given. `tags`: only those that have all of these."""
        wanted = check_tags(tags or {})
        async with connected(self._pool) as connection:
            return await self._records.page(connection, owner_id, list(statuses), wanted, limit, offset)

    async def count(
        self,
        *,
        owner_id: int | None = None,
        statuses: Iterable[SandboxStatus] = LIVING,
        tags: Mapping[str, str] | None = None,
    ) -> int:
        """How many `list` would go through."""
        wanted = check_tags(tags or {})
        async with connected(self._pool) as connection:
            return await self._records.count(connection, owner_id, list(statuses), wanted)

    async def suggest(self, actor: Actor, typed: str, *, limit: int = 25) -> Sequence[Sandbox]:
        """Living sandboxes whose name contains what is typed: the actor's own first, everybody's for an admin."""
        if UNSTORABLE.search(typed):
            return []
        async with connected(self._pool) as connection:
            return await self._records.many(
                connection, "suggest_sandboxes", actor.id, actor.is_admin, typed.strip().lower(), limit
            )

    async def list_bound_guilds(self) -> Sequence[int]:
        """Every bound guild that the bot must have been in when it was bound."""
        async with connected(self._pool) as connection:
            rows = await self._records.rows(connection, "list_bound_guilds", OPERATOR.id)
        return [int(row["guild_id"]) for row in rows]

    async def get_audit(self, actor: Actor, sandbox_id: UUID, *, limit: int = 50) -> Sequence[AuditEntry]:
        """Newest first, also of a destroyed sandbox."""
        require_access(await self.get_by_id(sandbox_id), actor)
        async with connected(self._pool) as connection:
            return await self._records.history(connection, sandbox_id, limit)

    async def find_expired(self, *, limit: int | None = 100) -> Sequence[Sandbox]:
        """Running past their time, the longest overdue first; all of them if there is no limit."""
        async with connected(self._pool) as connection:
            return await self._records.many(connection, "find_expired", limit)

    async def _get(self, query: str, key: object, wanted: str) -> Sandbox:
        async with connected(self._pool) as connection:
            sandbox = await self._records.one(connection, query, key)
        if sandbox is None:
            raise SandboxNotFound(wanted)
        return sandbox

    async def _find_by_id_or_name(self, wanted: str, destroyed: bool) -> Sequence[Sandbox]:
        """By the id first: names that look like one were given before they were refused."""
        async with connected(self._pool) as connection:
            by_id = await self._find_by_id(connection, wanted)
            by_name = await self._records.one(connection, "get_sandbox_by_name", wanted)
        if by_id is not None and by_id.status is SandboxStatus.DESTROYED and not destroyed:
            by_id = None
        return [sandbox for sandbox in (by_id, by_name) if sandbox is not None]

    async def _find_by_id(self, connection: Connection, wanted: str) -> Sandbox | None:
        """One that is destroyed by its whole id alone."""
        if len(wanted) == 8:
            return await self._records.one(connection, "get_sandbox_by_schema_name", names.SCHEMA_PREFIX + wanted)
        try:
            return await self._records.one(connection, "get_sandbox", UUID(wanted))
        except ValueError:
            return None


def require_running(sandbox: Sandbox, wanted: str) -> None:
    """`InvalidTransition`, which says what it cannot be, unless it runs."""
    if sandbox.status is not SandboxStatus.RUNNING:
        raise InvalidTransition(sandbox.name, sandbox.status, wanted)


def require_access(sandbox: Sandbox, actor: Actor, wanted: str | None = None) -> Sandbox:
    """The sandbox, if the actor may see and change it; otherwise `SandboxHidden`, which tells what was `wanted`."""
    log.note(sandbox=str(sandbox.id))
    if not sandbox.belongs_to(actor):
        raise SandboxHidden(sandbox.short_id if wanted is None else wanted)  # never the whole id
    return sandbox
