"""The rows of the control plane: named queries with types around them, each on the caller's connection.

Rows are locked in this order, so that no two transactions wait for each other in a circle. What was asked for with an
idempotency key uses that before all of them.

1. The owner's row, by `lock_owner`: a create alone, for the quota counts rows that are not there yet.
2. The sandbox's row, by `lock_sandbox`: every change of a sandbox that exists, before it reads what it decides by. A
   transaction locks one; statements that change many (activity, heartbeats, warnings) take them in the order of ids.
3. Its guilds' rows, by inserting or deleting them: another sandbox's bind of the same guild waits for the outcome.
   Whoever binds several takes them in the order of their ids.
4. Credentials, the role and the schema, whose catalog rows are locked by what changes them. They come last, for a
   worker's session may hold a table for as long as it likes; what drops waits at most `lock_timeout` for it.

Outbox rows are claimed with SKIP LOCKED and wait for nobody. No lock is held while another store or Discord is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg

from bot.errors import GuildNotBound, GuildTaken, SandboxNotFound
from bot.sandboxes.model import OPERATOR_DETAIL, Actor, AuditEntry, AuditEvent, Sandbox, SandboxStatus, may_become
from bot.stores.postgres import Connection, load_queries


class SandboxRecords:
    """What stands in `sandboxes`, `sandbox_guild_mapping` and `sandbox_audit_log`."""

    def __init__(self) -> None:
        self._sql = load_queries("sandboxes")

    async def one(self, connection: Connection, query: str, *arguments: object) -> Sandbox | None:
        """The first sandbox that a named query finds; None if there is none."""
        row = await connection.fetchrow(self._sql[query], *arguments)
        return _sandbox(row) if row else None

    async def many(self, connection: Connection, query: str, *arguments: object) -> list[Sandbox]:
        """The sandboxes that a named query finds, in its order."""
        return [_sandbox(row) for row in await connection.fetch(self._sql[query], *arguments)]

    async def rows(self, connection: Connection, query: str, *arguments: object) -> list[asyncpg.Record]:
        """What a named query finds where that is no sandbox."""
        return await connection.fetch(self._sql[query], *arguments)

    async def value(self, connection: Connection, query: str, *arguments: object) -> object:
        """The first column of a named query's first row; None if there is no row."""
        return await connection.fetchval(self._sql[query], *arguments)

    async def lock(self, connection: Connection, sandbox_id: UUID) -> Sandbox:
        """The sandbox as it is and stays until the transaction ends, or `SandboxNotFound`."""
        # Two statements: one that waited for a lock reads the locked row anew, but not the guilds beside it.
        await self.value(connection, "lock_sandbox", sandbox_id)
        return await self.get(connection, sandbox_id)

    async def get(self, connection: Connection, sandbox_id: UUID) -> Sandbox:
        """Also one that is destroyed; or `SandboxNotFound`."""
        sandbox = await self.one(connection, "get_sandbox", sandbox_id)
        if sandbox is None:
            raise SandboxNotFound(str(sandbox_id))
        return sandbox

    async def now(self, connection: Connection) -> datetime:
        """PostgreSQL's clock decides, not that of one of several bots; in a transaction, too, it goes on."""
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now

    async def change_status(
        self,
        connection: Connection,
        sandbox_id: UUID,
        expected: SandboxStatus,
        wanted: SandboxStatus,
        event: AuditEvent = AuditEvent.STATUS_CHANGED,
        actor: Actor | None = None,
        details: Mapping[str, object] | None = None,
    ) -> bool:
        """With its audit row. False if the status is not the expected one any more: then nothing was changed."""
        if not may_become(expected, wanted):
            raise ValueError(f"{expected} does not become {wanted}")
        told = {"from": expected, "to": wanted} if details is None else details
        who = (actor.id if actor else None, _signed(told, actor))
        changed = await self.value(connection, "change_status", sandbox_id, expected, wanted, event, *who)
        return changed is not None

    async def count_living(self, connection: Connection, owner_id: int) -> int:
        """What counts against the owner's quota: all but the destroyed ones. After `lock_owner` it stays true."""
        return int(await connection.fetchval(self._sql["count_living"], owner_id))

    async def page(
        self,
        connection: Connection,
        owner_id: int | None,
        statuses: list[SandboxStatus],
        tags: Mapping[str, str] | None,
        limit: int,
        offset: int,
    ) -> list[Sandbox]:
        """Newest first; everybody's if no owner is given, and of any tags if none are."""
        if SandboxStatus.DESTROYED in statuses:
            return await self.many(connection, "list_sandboxes", owner_id, statuses, limit, offset, tags or None)
        if tags:
            return await self.many(connection, "list_tagged", owner_id, statuses, limit, offset, tags)
        return await self.many(connection, "list_living", owner_id, statuses, limit, offset)

    async def count(
        self,
        connection: Connection,
        owner_id: int | None,
        statuses: list[SandboxStatus],
        tags: Mapping[str, str] | None,
    ) -> int:
        """How many `page` goes through."""
        if SandboxStatus.DESTROYED in statuses:
            found = await self.value(connection, "count_sandboxes", owner_id, statuses, tags or None)
        elif tags:
            found = await self.value(connection, "count_tagged", owner_id, statuses, tags)
        else:
            found = await self.value(connection, "count_living_of", owner_id, statuses)
        assert isinstance(found, int)
        return found

    async def bind(self, connection: Connection, sandbox_id: UUID, guild_id: int, actor: Actor) -> None:
        """Bind a guild, with its audit row; `GuildTaken` if it is bound already."""
        if await self.value(connection, "bind_guild", guild_id, sandbox_id, actor.id) is None:
            raise GuildTaken(guild_id)
        details = {"guild_id": str(guild_id)}
        await self.audit(connection, sandbox_id, AuditEvent.GUILD_REGISTERED, actor, details)

    async def unbind(
        self, connection: Connection, sandbox_id: UUID, guild_id: int, actor: Actor | None, **details: object
    ) -> None:
        """Free a guild, with its audit row; `GuildNotBound` if this sandbox does not have it."""
        if await self.value(connection, "unbind_guild", guild_id, sandbox_id) is None:
            raise GuildNotBound(guild_id)
        details = {"guild_id": str(guild_id), **details}
        await self.audit(connection, sandbox_id, AuditEvent.GUILD_UNREGISTERED, actor, details)

    async def unbind_all(self, connection: Connection, sandbox_id: UUID, actor: Actor | None) -> list[int]:
        """Free the sandbox's guilds and return them, an audit row for each."""
        guild_ids = [int(row["guild_id"]) for row in await self.rows(connection, "unbind_all", sandbox_id)]
        for guild_id in guild_ids:
            details = {"guild_id": str(guild_id)}
            await self.audit(connection, sandbox_id, AuditEvent.GUILD_UNREGISTERED, actor, details)
        return guild_ids

    async def audit(
        self,
        connection: Connection,
        sandbox_id: UUID,
        event: AuditEvent,
        actor: Actor | None,
        details: Mapping[str, object],
    ) -> None:
        """One row, in the transaction of the change that it tells of."""
        actor_id = actor.id if actor else None
        await connection.execute(self._sql["write_audit"], sandbox_id, event, actor_id, _signed(details, actor))

    async def history(self, connection: Connection, sandbox_id: UUID, limit: int) -> list[AuditEntry]:
        """Newest first."""
        return [AuditEntry(**row) for row in await self.rows(connection, "read_audit", sandbox_id, limit)]

    async def set_expiry(self, connection: Connection, sandbox_id: UUID, expires_at: datetime) -> None:
        await connection.execute(self._sql["set_expiry"], sandbox_id, expires_at)


def _signed(details: Mapping[str, object], actor: Actor | None) -> Mapping[str, object]:
    """With the operator's account: their id alone does not say who it was."""
    return {**details, OPERATOR_DETAIL: actor.account} if actor and actor.account else details


def _sandbox(row: asyncpg.Record) -> Sandbox:
    fields = dict(row)
    fields["status"] = SandboxStatus(fields["status"])
    fields["guild_ids"] = tuple(int(guild_id) for guild_id in fields["guild_ids"])
    fields["owner_id"] = int(fields["owner_id"])
    return Sandbox(**fields)
