"""A sandbox's expiry: moved, and come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from bot.errors import InvalidTransition
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.directory import require_access
from bot.sandboxes.idempotency import Idempotency
from bot.sandboxes.lifecycle.notices import NoticeKind, NoticeOutbox
from bot.sandboxes.limits import Limits
from bot.sandboxes.model import Actor, AuditEvent, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Connection, Pool, in_transaction


class Expiry:
    """Each change is one transaction, after which `access` has to follow."""

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        access: SandboxAccess,
        outbox: NoticeOutbox,
        limits: Limits,
        idempotency: Idempotency,
    ) -> None:
        self._pool, self._records, self._access = pool, records, access
        self._outbox, self._limits, self._idempotency = outbox, limits, idempotency

    async def extend(self, actor: Actor, sandbox_id: UUID, by: timedelta) -> tuple[Sandbox, bool]:
        """As `SandboxManager.extend_ttl`: the sandbox as it was, and whether the longest life has cut it short."""

        async def extend(connection: Connection) -> tuple[Sandbox, bool]:
            earlier = await self._idempotency.begin(connection, actor, "extend")
            sandbox = require_access(await self._records.lock(connection, sandbox_id), actor)
            if earlier is not None:
                return sandbox, earlier["capped"]
            capped = await self._extend(connection, sandbox, by, actor)
            await self._idempotency.finish(connection, actor, "extend", {"capped": capped})
            return sandbox, capped

        return await in_transaction(self._pool, extend)

    async def expire(self, sandbox_id: UUID) -> Sandbox | None:
        """With a notice to owner and admins; None if it is not due (any more)."""

        async def expire(connection: Connection) -> Sandbox | None:
            sandbox = await self._records.lock(connection, sandbox_id)
            if sandbox.expires_at > await self._records.now(connection) or sandbox.status is not SandboxStatus.RUNNING:
                return None
            await self._records.change_status(connection, sandbox_id, SandboxStatus.RUNNING, SandboxStatus.EXPIRED)
            await self._outbox.write(connection, sandbox, NoticeKind.EXPIRED)
            await self._access.mark_changed(connection, sandbox_id)
            return sandbox

        return await in_transaction(self._pool, expire)

    async def _extend(self, connection: Connection, sandbox: Sandbox, by: timedelta, actor: Actor) -> bool:
        if sandbox.status not in {SandboxStatus.RUNNING, SandboxStatus.EXPIRED}:
            raise InvalidTransition(sandbox.name, sandbox.status, "extended")
        expires_at, capped = self._limits.extended(sandbox, by, await self._records.now(connection))
        details = {"from": sandbox.expires_at, "to": expires_at, "status": sandbox.status, "capped": capped}
        await self._write(connection, sandbox, expires_at, actor, details)
        return capped

    async def _write(
        self, connection: Connection, sandbox: Sandbox, to: datetime, actor: Actor, details: Mapping[str, object]
    ) -> None:
        await self._records.set_expiry(connection, sandbox.id, to)
        await self._access.note_expiry(connection, sandbox.id)
        await self._access.mark_changed(connection, sandbox.id)
        event, status = AuditEvent.TTL_EXTENDED, sandbox.status
        if status is SandboxStatus.EXPIRED:
            wanted = SandboxStatus.RUNNING
            await self._records.change_status(connection, sandbox.id, status, wanted, event, actor, details)
        else:
            await self._records.audit(connection, sandbox.id, event, actor, details)
