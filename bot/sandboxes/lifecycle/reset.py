"""How a sandbox is put back to its template. It keeps its id, its guilds, its credentials and its expiry."""

from __future__ import annotations

from collections.abc import Awaitable
from uuid import UUID

import asyncpg
from loguru import logger

from bot import constants, request
from bot.errors import InvalidTransition, ResetFailed, ServiceUnavailable
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.idempotency import Idempotency, Result
from bot.sandboxes.model import Actor, AuditEvent, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.sandboxes.schema import SchemaProvisioner
from bot.sandboxes.template import TemplateError
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, transaction
from bot.stores.redis import RedisStore
from bot.stores.relay_records import RelayRecords

_DONE: Result = {"reset": True}


class Reset:
    """PostgreSQL comes last, and with it the audit row: what a crash or an outage cuts short is only to be repeated."""

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        schemas: SchemaProvisioner,
        access: SandboxAccess,
        redis: RedisStore,
        streams: StreamStore,
        idempotency: Idempotency,
        relay: RelayRecords,
    ) -> None:
        self._pool, self._records, self._schemas, self._access = pool, records, schemas, access
        self._redis, self._streams, self._idempotency, self._relay = redis, streams, idempotency, relay

    async def run(self, sandbox: Sandbox, actor: Actor) -> None:
        """`ResetFailed` names the step that failed; until PostgreSQL's, the tables are as they were."""

        async def work() -> Result:
            await self._run(sandbox, actor)
            return _DONE

        await self._idempotency.run(actor, "reset", work)

    async def _run(self, sandbox: Sandbox, actor: Actor) -> None:
        request.begin_change()
        await self._step(sandbox, "Redis keys", self._delete_keys(sandbox))
        await self._step(sandbox, "relay sessions", self._relay.forget(sandbox.id))
        await self._step(sandbox, "NATS stream", self._streams.purge(sandbox.id))
        await self._step(sandbox, "PostgreSQL schema", self._recreate_schema(sandbox.id, actor))
        logger.info("sandbox reset", sandbox=str(sandbox.id), name=sandbox.name)

    async def _delete_keys(self, sandbox: Sandbox) -> None:
        if sandbox.redis_database is None:
            await self._redis.delete_keys(sandbox.id)
        else:
            await self._redis.empty_database(sandbox.redis_database, sandbox.id)

    async def _step(self, sandbox: Sandbox, name: str, step: Awaitable[object]) -> None:
        try:
            await step
        except TemplateError as error:
            logger.error("reset failed", step="template", sandbox=str(sandbox.id), error=str(error))
            raise ResetFailed(sandbox.name, error.step) from error
        except (ServiceUnavailable, asyncpg.PostgresError) as error:
            detail = error.detail if isinstance(error, ServiceUnavailable) else repr(error)
            logger.warning("reset failed", step=name, sandbox=str(sandbox.id), error=detail)
            raise ResetFailed(sandbox.name, name) from error

    async def _recreate_schema(self, sandbox_id: UUID, actor: Actor) -> None:
        """A worker that has lost its session may be back at once and hold a table again: then another try."""
        for attempt in range(1, constants.RESET_ATTEMPTS + 1):
            try:
                while not await self._replace_schema(sandbox_id, actor):
                    pass
            except asyncpg.LockNotAvailableError:
                if attempt == constants.RESET_ATTEMPTS:
                    raise
            else:
                return

    async def _replace_schema(self, sandbox_id: UUID, actor: Actor) -> bool:
        """False if there is so much in the schema that this has only dropped a part of it."""
        # Sessions end in the transaction that drops, under the sandbox's lock: none of them holds a table for longer,
        # and an expiry or a teardown at the same moment waits for the whole schema or finds it whole.
        async with transaction(self._pool) as connection:
            sandbox = await self._records.lock(connection, sandbox_id)
            if sandbox.status is not SandboxStatus.RUNNING:
                raise InvalidTransition(sandbox.name, sandbox.status, "reset")
            if await self._idempotency.is_finished(connection, actor, "reset"):
                return True  # what workers have written since is not to be dropped
            await self._access.end_sessions(connection, sandbox_id)
            if await self._schemas.drop_batch(connection, sandbox.schema_name):
                return False
            await self._schemas.drop_schema(sandbox_id, connection)
            await self._schemas.create_schema(sandbox_id, connection)
            await self._records.audit(connection, sandbox_id, AuditEvent.RESET, actor, {})
            # Here, for who dies right after the commit must not have a repeat delete what workers have written since.
            await self._idempotency.finish(connection, actor, "reset", _DONE)
        return True
