"""Takes scripts from a sandbox whose script has stopped Valkey for all."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from loguru import logger

from bot.errors import SandboxNotFound
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.lifecycle.notices import NoticeKind, NoticeOutbox
from bot.sandboxes.model import AuditEvent
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Connection, Pool, in_transaction


class ScriptWithdrawal:
    """For as long as the sandbox lives, with a line in its audit log and a notice to owner and admins."""

    def __init__(self, pool: Pool, outbox: NoticeOutbox, access: SandboxAccess) -> None:
        self._pool, self._outbox, self._access = pool, outbox, access
        self._records = SandboxRecords()

    async def withdraw(self, sandbox_id: UUID, restarted: bool) -> None:
        """Told once; its user in the server follows each time. `restarted`: the server had to be ended."""

        async def withdraw(connection: Connection) -> bool:
            sandbox = await self._records.lock(connection, sandbox_id)
            if await self._records.value(connection, "withdraw_scripts", sandbox_id) is None:
                return False
            details = {"server_restarted": restarted}
            await self._records.audit(connection, sandbox_id, AuditEvent.SCRIPTS_WITHDRAWN, None, details)
            await self._outbox.write(connection, sandbox, NoticeKind.SCRIPTS_WITHDRAWN)
            return True

        try:
            is_new = await in_transaction(self._pool, withdraw)
        except SandboxNotFound:  # another installation's on the same server
            return
        await self._access.retries.attempt(sandbox_id, partial(self._access.grant_anew, sandbox_id))
        if is_new:
            logger.warning("a sandbox may run no more scripts", sandbox=str(sandbox_id), server_restarted=restarted)
