"""The one way in which a sandbox ends: destroyed, expired, failed to be made, or found stuck."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from uuid import UUID

import asyncpg
from loguru import logger

from bot import constants, log, metrics
from bot.concurrency import gather_bounded
from bot.errors import CleanupFailed, ServiceUnavailable
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.lifecycle.heartbeat import Heartbeats
from bot.sandboxes.model import Actor, AuditEvent, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.nats import StreamStore
from bot.stores.postgres import Connection, Pool, in_transaction
from bot.stores.redis import RedisStore
from bot.stores.relay_records import RelayRecords

Failures = dict[str, Exception]
"""What went wrong by the step's name."""


class Teardown:
    """Two halves: `begin` in the transaction that decides it, then `finish`, which may be repeated.

    No store is asked while a row is locked: between the halves the sandbox is `destroying`, which nothing but `finish`
    ever leaves, and whoever dies there leaves it to the reaper.
    """

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        schemas: SchemaProvisioner,
        access: SandboxAccess,
        redis: RedisStore,
        streams: StreamStore,
        relay: RelayRecords,
    ) -> None:
        self._pool, self._records, self._schemas, self._access = pool, records, schemas, access
        self._redis, self._streams, self._relay = redis, streams, relay
        self.heartbeats = Heartbeats(pool, records)
        self.seconds = metrics.DESTROY_SECONDS.histogram("destroyed", "failed")

    async def begin(self, connection: Connection, sandbox: Sandbox, actor: Actor | None, reason: str) -> bool:
        """Cut it off: `destroying`, guilds freed, credentials revoked. False if that, or the end, has come already.

        The caller has locked it in this transaction, and announces the guilds after the commit.
        """
        status = sandbox.status
        if status is SandboxStatus.PENDING:
            await self._records.change_status(connection, sandbox.id, status, SandboxStatus.CREATING)
            status = SandboxStatus.CREATING
        if status in {SandboxStatus.DESTROYING, SandboxStatus.DESTROYED}:
            return False
        await self._records.unbind_all(connection, sandbox.id, actor)
        await self._access.revoke(connection, sandbox.id)
        wanted, details = SandboxStatus.DESTROYING, {"from": status, "reason": reason}
        await self._records.change_status(connection, sandbox.id, status, wanted, AuditEvent.DESTROYING, actor, details)
        return True

    async def finish(self, sandbox: Sandbox, actor: Actor | None = None) -> bool:
        """Remove what it has in every store, and only then call it destroyed.

        Every step is tried, whatever became of the others. `CleanupFailed` names those that failed and has the first
        one's error as its cause; the reaper repeats them. False if somebody else had finished it.
        """
        (outcome,) = await self.finish_all([sandbox], actor)
        if isinstance(outcome, BaseException):
            logger.warning("teardown left to the reaper", sandbox=str(sandbox.id), error=describe(outcome))
            raise outcome
        return outcome

    async def finish_all(
        self, sandboxes: Sequence[Sandbox], actor: Actor | None = None
    ) -> Sequence[bool | BaseException]:
        """`finish` for many: one pass over Redis's keys serves them all. What became of each, in order; who failed is
        left to anybody's next sweep."""
        if not sandboxes:
            return []
        began = monotonic()
        async with self.heartbeats.beating(sandbox.id for sandbox in sandboxes):
            outcomes = await self._finish_all(sandboxes, actor)
        self._observe(outcomes, monotonic() - began)
        outcome_of = zip(sandboxes, outcomes, strict=True)
        self.heartbeats.give_up(sandbox.id for sandbox, outcome in outcome_of if isinstance(outcome, BaseException))
        await self.heartbeats.release()
        return outcomes

    def _observe(self, outcomes: Sequence[bool | BaseException], seconds: float) -> None:
        """What somebody else has finished is theirs to count."""
        for outcome in outcomes:
            if outcome is not False:
                self.seconds.labels("destroyed" if outcome is True else "failed").observe(seconds)

    async def _finish_all(self, sandboxes: Sequence[Sandbox], actor: Actor | None) -> Sequence[bool | BaseException]:
        failed: dict[UUID, Failures] = {}

        async def disconnect(sandbox: Sandbox) -> None:
            with log.context(sandbox=str(sandbox.id)):
                failed[sandbox.id] = await self._disconnect(sandbox.id)

        async def complete(sandbox: Sandbox) -> bool:
            with log.context(sandbox=str(sandbox.id)):
                return await self._complete(sandbox, actor, failed[sandbox.id] | keys)

        limit = constants.MAX_CONCURRENT_TEARDOWNS
        await gather_bounded(sandboxes, disconnect, limit=limit)
        # After the connections, for a worker that is still there may write another key behind the pass; and before
        # PostgreSQL, for the row is what the reaper finds the sandbox by if this ends here.
        keys = await _failures(
            {
                "Redis keys": partial(self._delete_keys, sandboxes),
                "relay sessions": partial(self._relay.forget, *(sandbox.id for sandbox in sandboxes)),
            }
        )
        return await gather_bounded(sandboxes, complete, limit=limit)

    async def _disconnect(self, sandbox_id: UUID) -> Failures:
        return await _failures(
            {
                "live connections": partial(self._access.disconnect, sandbox_id),
                "NATS stream": partial(self._streams.delete, sandbox_id),
            }
        )

    async def _delete_keys(self, sandboxes: Sequence[Sandbox]) -> None:
        for sandbox in sandboxes:
            if sandbox.redis_database is not None:
                await self._redis.empty_database(sandbox.redis_database, sandbox.id, release=True)
        if by_prefix := [sandbox.id for sandbox in sandboxes if sandbox.redis_database is None]:
            await self._redis.delete_keys(*by_prefix)

    async def _complete(self, sandbox: Sandbox, actor: Actor | None, failed: Failures) -> bool:
        """PostgreSQL's part, if no other step has failed: a sandbox that is `destroyed` has nothing anywhere."""
        if failed:
            raise CleanupFailed(sandbox.name, failed) from next(iter(failed.values()))
        try:
            done = await self._drop_in_postgres(sandbox.id, actor)
        except (ServiceUnavailable, asyncpg.PostgresError) as error:
            raise CleanupFailed(sandbox.name, ["PostgreSQL schema"]) from error
        if done:
            logger.info("sandbox destroyed", sandbox=str(sandbox.id), name=sandbox.name)
        return done

    async def _drop_in_postgres(self, sandbox_id: UUID, actor: Actor | None) -> bool:
        """Again if a session that has got in before the revoke, or has borrowed the role, holds something of its."""
        finish = partial(self._finish_in_postgres, sandbox_id, actor)
        for attempt in range(1, constants.DROP_ATTEMPTS + 1):
            try:
                while (done := await in_transaction(self._pool, finish)) is None:
                    pass
            except (asyncpg.LockNotAvailableError, asyncpg.InternalServerError):
                if attempt == constants.DROP_ATTEMPTS:
                    raise
                await self._access.free_role(sandbox_id)
            else:
                return done
        raise AssertionError("the last attempt returns or raises")

    async def _finish_in_postgres(self, sandbox_id: UUID, actor: Actor | None, connection: Connection) -> bool | None:
        """None if there is so much in the schema that this has only dropped a part of it.

        Schema, role and status go together: a row that says `destroyed` has neither, whenever the process dies.
        """
        sandbox = await self._records.lock(connection, sandbox_id)
        if sandbox.status is not SandboxStatus.DESTROYING:
            return False
        if await self._schemas.drop_batch(connection, sandbox.schema_name):
            return None
        await self._schemas.drop_schema(sandbox_id, connection)
        await self._access.drop_role(connection, sandbox_id)
        wanted = SandboxStatus.DESTROYED
        await self._records.change_status(
            connection, sandbox_id, sandbox.status, wanted, AuditEvent.DESTROYED, actor, {}
        )
        return True


async def _failures(steps: Mapping[str, Callable[[], Awaitable[object]]]) -> Failures:
    """The steps that failed, with their errors: each is tried, one after the other."""
    failed: Failures = {}
    for name, step in steps.items():
        try:
            await step()
        except Exception as error:
            failed[name] = error
    return failed


def describe(failure: BaseException) -> str:
    """A failed teardown in a line for the operator: the steps, and why the first of them failed."""
    cause = failure.__cause__
    if not isinstance(failure, CleanupFailed) or cause is None:
        return repr(failure)
    why = cause.detail if isinstance(cause, ServiceUnavailable) else repr(cause)
    return f"{', '.join(failure.steps)}: {why}"
