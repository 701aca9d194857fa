"""How a sandbox's credentials are issued: for the first time, in the place of others, and anew where they were lost."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

import asyncpg

from bot.errors import ServiceUnavailable
from bot.sandboxes.access.connection import ConnectionDetails, WorkerAddresses, connection_details
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.access.ownership import describe_foreign
from bot.sandboxes.access.tokens import Credentials, new_credentials
from bot.sandboxes.directory import require_access, require_running
from bot.sandboxes.idempotency import Idempotency
from bot.sandboxes.model import Actor, AuditEvent, Sandbox
from bot.sandboxes.records import SandboxRecords
from bot.stores.nats_logins import Login
from bot.stores.postgres import Connection, Pool, in_transaction
from bot.stores.relay_records import RelayRecords


class CredentialIssuer:
    """Issues in a transaction that locks the sandbox, and has the stores follow after its commit."""

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        access: SandboxAccess,
        idempotency: Idempotency,
        workers: WorkerAddresses,
        relay: RelayRecords,
    ) -> None:
        self._pool, self._records, self._access = pool, records, access
        self._idempotency, self._workers, self._relay = idempotency, workers, relay

    def describe(
        self, sandbox: Sandbox, token: str | None = None, *, is_repeat: bool = False, serves: bool = True
    ) -> ConnectionDetails:
        """What the workers of a running sandbox need; with a token, to log in too. `serves`: as `relay_serves` says."""
        require_running(sandbox, "connected to")
        return connection_details(
            sandbox, self._access.isolation, self._workers, token=token, is_repeat=is_repeat, serves=serves
        )

    async def relay_serves(self) -> bool:
        """Whether a relay of ours is at the address that is handed out, as far as Redis tells: at the usual port there
        may be somebody else's program, which a token is not for."""
        if not self._workers.relay:
            return False
        try:
            serving = await self._relay.list_relays()
        except ServiceUnavailable:
            return False
        return self._workers.relay in serving if self._workers.relay_is_usual else bool(serving)

    async def issue(self, actor: Actor, sandbox_id: UUID, *, rotate: bool) -> ConnectionDetails:
        """As `SandboxManager.issue_credentials`."""
        making = asyncio.create_task(asyncio.to_thread(new_credentials))  # slow on purpose, as SCRAM is
        serves = await self.relay_serves()

        async def issue(connection: Connection) -> tuple[ConnectionDetails, bool]:
            earlier = await self._idempotency.begin(connection, actor, "issue", {"issued": False})
            sandbox = require_access(await self._records.lock(connection, sandbox_id), actor)
            if earlier is not None and earlier["issued"]:
                return self.describe(sandbox, is_repeat=True, serves=serves), True
            issued_before = await self._access.has_credentials(connection, sandbox_id)
            if issued_before and not rotate:
                return self.describe(sandbox, serves=serves), True
            await self._access.restores.require_settled(connection)
            details = self.describe(sandbox, (await making).token, serves=serves)
            await self._save(connection, actor, sandbox, await making, replace=issued_before)
            return details.with_remarks(*await describe_foreign(connection, sandbox_id)), issued_before

        details, issued_before = await in_transaction(self._pool, issue)
        if details.has_token:
            sandbox, digest = details.sandbox, (await making).token_sha256
            login = Login(digest, sandbox.expires_at, sandbox.redis_database)
            if issued_before:
                await self._apply(sandbox_id)
            else:  # nobody is connected: nothing to disconnect or to mark, no wait for NATS
                first, again = (
                    partial(self._access.grant, sandbox_id, login),
                    partial(self._access.grant_anew, sandbox_id),
                )
                await self._access.retries.attempt(sandbox_id, first, again=again)
        return details

    async def reissue(self, actor: Actor, sandbox_id: UUID) -> ConnectionDetails | None:
        """As `SandboxManager.reissue_credentials`."""

        serves = await self.relay_serves()

        async def reissue(connection: Connection) -> ConnectionDetails | None:
            if not await self._idempotency.take_over(connection, actor, "issue"):
                return None
            sandbox = require_access(await self._records.lock(connection, sandbox_id), actor)
            await self._access.restores.require_settled(connection)
            credentials = await asyncio.to_thread(new_credentials)
            details = self.describe(sandbox, credentials.token, serves=serves)
            await self._save(connection, actor, sandbox, credentials, replace=True)
            return details.with_remarks(*await describe_foreign(connection, sandbox_id))

        details = await in_transaction(self._pool, reissue)
        if details is not None:
            await self._apply(sandbox_id)
        return details

    async def _apply(self, sandbox_id: UUID) -> None:
        await self._access.retries.attempt(sandbox_id, partial(self._access.apply, sandbox_id))

    async def _save(
        self, connection: Connection, actor: Actor, sandbox: Sandbox, credentials: Credentials, *, replace: bool
    ) -> None:
        try:
            await self._access.save(connection, sandbox, credentials, replace=replace)
        except asyncpg.LockNotAvailableError as error:  # somebody holds a table of one that had no role until now
            raise ServiceUnavailable("PostgreSQL", str(error)) from error
        if replace:
            await self._access.mark_changed(connection, sandbox.id)
        await self._records.audit(connection, sandbox.id, AuditEvent.CREDENTIALS_ISSUED, actor, {})
        await self._idempotency.finish(connection, actor, "issue", {"issued": True})
