"""An expiry that comes sooner, which nothing but the page to play in may ask for."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from bot.errors import InvalidTransition
from bot.process import App
from bot.sandboxes.model import OPERATOR, AuditEvent, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Connection, in_transaction


async def hasten(app: App, sandbox_id: UUID, remaining: timedelta) -> Sandbox:
    """Let a running sandbox expire in that time, if it would live longer; `InvalidTransition` if it does not run."""
    records, access = SandboxRecords(), app.manager.access

    async def change(connection: Connection) -> Sandbox:
        sandbox = await records.lock(connection, sandbox_id)
        if sandbox.status is not SandboxStatus.RUNNING:
            raise InvalidTransition(sandbox.name, sandbox.status, "brought to its end")
        to = min(sandbox.expires_at, await records.now(connection) + remaining)
        await records.set_expiry(connection, sandbox_id, to)
        await access.note_expiry(connection, sandbox_id)
        await access.mark_changed(connection, sandbox_id)
        details = {"from": sandbox.expires_at, "to": to, "status": sandbox.status}
        await records.audit(connection, sandbox_id, AuditEvent.TTL_EXTENDED, OPERATOR, details)
        return sandbox

    sandbox = await in_transaction(app.stores.pool, change)
    await app.watcher.refresh(sandbox.guild_ids)
    return await app.manager.get_by_id(sandbox_id)
