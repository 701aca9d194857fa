"""The one way in which a sandbox ends: destroyed, expired, failed to be made, or found stuck."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from uuid import UUID

import asyncpg
from loguru import logger

from bot.errors import CleanupFailed, ServiceUnavailable
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.lifecycle.heartbeat import a_few_at_once, attended
from bot.sandboxes.model import Actor, AuditEvent, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.nats import StreamStore
from bot.stores.postgres import Connection, Pool, transaction
from bot.stores.redis import RedisStore


class Teardown:
    """Two halves: `begin` in the transaction that decides it, then `finish`, which may be repeated."""

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        schemas: SchemaProvisioner,
        access: SandboxAccess,
        redis: RedisStore,
        streams: StreamStore,
    ) -> None:
        self._pool, self._records, self._schemas, self._access = pool, records, schemas, access
        self._redis, self._streams = redis, streams

    async def begin(self, connection: Connection, sandbox: Sandbox, actor: Actor | None, reason: str) -> bool:
        """Cut it off: `destroying`, guilds freed. The caller has locked it; False if the state forbids it."""
        status = sandbox.status
        if status is SandboxStatus.PENDING:
            await self._records.change_status(connection, sandbox.id, status, SandboxStatus.CREATING)
            status = SandboxStatus.CREATING
        if status in {SandboxStatus.DESTROYING, SandboxStatus.DESTROYED}:
            return False
        await self._records.unbind_all(connection, sandbox.id, actor)
        await self._access.bar(connection, sandbox.id)
        wanted, details = SandboxStatus.DESTROYING, {"from": status, "reason": reason}
        await self._records.change_status(connection, sandbox.id, status, wanted, AuditEvent.DESTROYING, actor, details)
        return True

    async def finish(self, sandbox: Sandbox, actor: Actor | None = None) -> bool:
        """Remove what it has in every store, and only then call it destroyed.

        Every step is tried, whatever became of the others. `CleanupFailed` names those that failed; the reaper
        repeats them. False if somebody else had finished it.
        """
        (outcome,) = await self.finish_all([sandbox], actor)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def finish_all(
        self, sandboxes: Sequence[Sandbox], actor: Actor | None = None
    ) -> Sequence[bool | BaseException]:
        """`finish` for many: one pass over Redis's keys serves them all. What became of each, in order."""
        ids = [sandbox.id for sandbox in sandboxes]
        if not ids:
            return []
        failed: dict[UUID, list[str]] = {sandbox_id: [] for sandbox_id in ids}

        async def cut_off(sandbox: Sandbox) -> None:
            failed[sandbox.id] += await self._failures(
                {"live connections": self._access.cut(sandbox.id), "NATS stream": self._streams.delete(sandbox.id)}
            )

        async def complete(sandbox: Sandbox) -> bool:
            if failures := failed[sandbox.id] + keys:
                raise CleanupFailed(sandbox.name, failures)
            return await self._complete(sandbox, actor)

        async with attended(self._pool, self._records, ids):
            await a_few_at_once(sandboxes, cut_off)
            keys = await self._failures({"Redis keys": self._redis.delete_keys(*ids)})
            return await a_few_at_once(sandboxes, complete)

    async def _complete(self, sandbox: Sandbox, actor: Actor | None) -> bool:
        try:
            while (done := await self._finish_in_postgres(sandbox.id, actor)) is None:
                pass
        except (ServiceUnavailable, asyncpg.PostgresError) as error:
            logger.warning("teardown step failed", step="schema", sandbox=str(sandbox.id), error=repr(error))
            raise CleanupFailed(sandbox.name, ["PostgreSQL schema"]) from error
        return done

    async def _finish_in_postgres(self, sandbox_id: UUID, actor: Actor | None) -> bool | None:
        """None if there is so much in the schema that this has only dropped a part of it."""
        async with transaction(self._pool) as connection:
            sandbox = await self._records.lock(connection, sandbox_id)
            if sandbox.status is not SandboxStatus.DESTROYING:
                return False
            if await self._schemas.thin(connection, sandbox.schema_name):
                return None
            await self._schemas.drop_schema(sandbox_id, connection)
            await self._access.drop_role(connection, sandbox_id)
            wanted = SandboxStatus.DESTROYED
            await self._records.change_status(
                connection, sandbox_id, sandbox.status, wanted, AuditEvent.DESTROYED, actor, {}
            )
        logger.info("sandbox destroyed", sandbox=str(sandbox_id), name=sandbox.name)
        return True

    async def _failures(self, steps: dict[str, Awaitable[object]]) -> list[str]:
        failed = []
        for name, step in steps.items():
            try:
                await step
            except Exception as error:
                detail = error.detail if isinstance(error, ServiceUnavailable) else repr(error)
                logger.warning("teardown step failed", step=name, error=detail)
                failed.append(name)
        return failed
