"""How a sandbox comes to be: reserved in one transaction, then provisioned step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from loguru import logger

from bot import constants, log, metrics
from bot.errors import (
    CleanupFailed,
    NameTaken,
    ProvisioningFailed,
    QuotaReached,
    SandboxError,
    ServiceUnavailable,
)
from bot.sandboxes.access.control import SandboxAccess
from bot.sandboxes.idempotency import Idempotency
from bot.sandboxes.lifecycle.teardown import Teardown
from bot.sandboxes.limits import Limits
from bot.sandboxes.metadata import too_large
from bot.sandboxes.model import Actor, AuditEvent, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.sandboxes.schema import SchemaProvisioner
from bot.sandboxes.template import TemplateError
from bot.stores.nats import StreamStore
from bot.stores.postgres import Connection, Pool, connected, transaction


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What is asked for, checked. Without a name the sandbox gets one."""

    actor: Actor
    owner_id: int
    name: str | None
    ttl: timedelta
    description: str | None
    guild_ids: list[int]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reservation:
    """The sandbox as it is. `is_repeat`: an earlier run with the same idempotency key has reserved it."""

    sandbox: Sandbox
    is_repeat: bool


class _IdTaken(Exception):
    """The first eight digits of the id are another sandbox's, or the random name is: another try helps."""


class Creation:
    """Two halves: `reserve` is one transaction that settles who gets what; `provision` asks the stores, none of them
    under a lock. Whoever dies or fails between or in the second half leaves a sandbox without a heartbeat: to a repeat,
    which goes on with it, or else to the reaper."""

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        schemas: SchemaProvisioner,
        access: SandboxAccess,
        streams: StreamStore,
        teardown: Teardown,
        limits: Limits,
        idempotency: Idempotency,
    ) -> None:
        self._pool, self._records, self._schemas, self._access = pool, records, schemas, access
        self._streams, self._teardown, self._limits = streams, teardown, limits
        self._idempotency = idempotency
        self.seconds = metrics.CREATE_SECONDS.histogram("created", "refused", "failed")

    async def create(self, request: CreateRequest, actor: Actor) -> Sandbox:
        """Both halves; errors as theirs."""
        with metrics.timed(self.seconds, "created", _outcome_of):
            return await self.complete(await self.reserve(request), actor)

    async def reserve(self, request: CreateRequest) -> Reservation:
        """Quota, name, guilds and audit in one transaction; the sandbox is `pending` then.

        `QuotaReached`, `NameTaken` or `GuildTaken` if another one is in the way; then nothing has changed.
        """
        for _ in range(constants.CREATE_ATTEMPTS):
            sandbox_id = uuid4()
            try:
                return await self._reserve_once(sandbox_id, request)
            except _IdTaken:
                continue
            except (ServiceUnavailable, asyncio.CancelledError):
                self._teardown.heartbeats.give_up([sandbox_id])  # its commit may have come through nevertheless
                raise
        raise RuntimeError(f"no free id in {constants.CREATE_ATTEMPTS} attempts")

    async def complete(self, reservation: Reservation, actor: Actor) -> Sandbox:
        """`provision` what is new. What was reserved before is returned as whoever did that has made it, or may have
        ended it since; if they have died on the way, this goes on with it. `ProvisioningFailed` if it has never run."""
        sandbox = reservation.sandbox
        log.note(sandbox=str(sandbox.id))
        if not reservation.is_repeat:
            return await self.provision(sandbox, actor)
        while sandbox.status in {SandboxStatus.PENDING, SandboxStatus.CREATING}:
            if await self._claim(sandbox.id):
                return await self.provision(sandbox, actor)
            await asyncio.sleep(constants.FIRST_RUN_ASKED_EVERY_S)
            async with connected(self._pool) as connection:
                sandbox = await self._records.get(connection, sandbox.id)
        async with connected(self._pool) as connection:
            if not await self._records.value(connection, "has_run", sandbox.id):
                raise ProvisioningFailed(sandbox.name, "start")
        return sandbox

    async def provision(self, sandbox: Sandbox, actor: Actor) -> Sandbox:
        """Give an unfinished sandbox its share of every store, and let it run, as which it is returned.

        Two processes may do that to the same one. If a step fails, it is taken down again, by the reaper if need be,
        and `ProvisioningFailed` names the step.
        """
        async with self._teardown.heartbeats.beating([sandbox.id]):
            return await self._provision(sandbox, actor)

    async def _provision(self, sandbox: Sandbox, actor: Actor) -> Sandbox:
        step = "start"
        try:
            for name, outcome in (await self._provision_stores(sandbox)).items():
                if outcome is not None:
                    step = name
                    raise outcome
            return await self._start(sandbox.id)
        except Exception as error:
            detail = error.detail if isinstance(error, ServiceUnavailable) else repr(error)
            if isinstance(error, TemplateError):
                step, detail = error.step, str(error)
            logger.error("provisioning failed", step=step, sandbox=str(sandbox.id), error=detail)
            await self._abort(sandbox, actor, step)
            raise ProvisioningFailed(sandbox.name, step) from error

    async def _provision_stores(self, sandbox: Sandbox) -> dict[str, BaseException | None]:
        """Together, and all to their end: what is made after the teardown would be left behind."""
        steps = {
            "PostgreSQL schema": self._make_schema(sandbox),
            "NATS stream": self._streams.create(sandbox.id),
            "Valkey database": self._access.databases.settle(sandbox),
        }
        outcomes = await asyncio.gather(*steps.values(), return_exceptions=True)
        return dict(zip(steps, outcomes, strict=True))

    async def _reserve_once(self, sandbox_id: UUID, request: CreateRequest) -> Reservation:
        async with transaction(self._pool) as connection:
            made = {"sandbox_id": str(sandbox_id)}
            earlier = await self._idempotency.begin(connection, request.actor, "create", made)
            if earlier is None:
                await self._access.restores.require_settled(connection)
                await self._reserve(connection, sandbox_id, request)
            else:
                sandbox_id = UUID(earlier["sandbox_id"])
            return Reservation(await self._records.get(connection, sandbox_id), earlier is not None)

    async def _reserve(self, connection: Connection, sandbox_id: UUID, request: CreateRequest) -> None:
        # The owner's row first: creates of one owner wait here for each other, so that the count is true until the
        # insert. The new sandbox's row needs no lock, for nobody else sees it before the commit.
        owner_id = request.owner_id
        await self._records.value(connection, "lock_owner", owner_id)
        if await self._records.count_living(connection, owner_id) >= self._limits.max_per_owner:
            raise QuotaReached(self._limits.max_per_owner)
        name = await self._insert(connection, sandbox_id, request)
        details: dict[str, object] = {"name": name, "ttl_seconds": request.ttl.total_seconds()}
        if tags := request.metadata["tags"]:
            details["tags"] = tags
        await self._records.audit(connection, sandbox_id, AuditEvent.CREATED, request.actor, details)
        for guild_id in sorted(request.guild_ids):  # whoever binds several at once takes them in the same order
            await self._records.bind(connection, sandbox_id, guild_id, request.actor)

    async def _insert(self, connection: Connection, sandbox_id: UUID, request: CreateRequest) -> str:
        """The name that it has got."""
        name = request.name or self._limits.default_name(request.actor.name)
        facts = (name, request.owner_id, request.description, request.ttl, request.metadata)
        try:
            inserted = await self._records.value(connection, "insert_sandbox", sandbox_id, *facts)
            if databases := self._access.databases.candidates():
                await self._records.value(connection, "take_database", sandbox_id, databases)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "sandboxes_name_key" and request.name is not None:
                raise NameTaken(name) from error
            raise _IdTaken from error
        except asyncpg.CheckViolationError as error:
            if error.constraint_name == "sandboxes_metadata_size_check":
                raise too_large() from error
            raise
        if inserted is None:
            raise _IdTaken
        return name

    async def _make_schema(self, sandbox: Sandbox) -> None:
        pending, creating = SandboxStatus.PENDING, SandboxStatus.CREATING
        async with transaction(self._pool) as connection:
            if not await self._records.change_status(connection, sandbox.id, pending, creating):
                return  # it has one already, or is being taken down, which `_start` finds out
            await self._access.create_role(connection, sandbox.id, sandbox.expires_at)
            await self._schemas.create_schema(sandbox.id, connection)

    async def _start(self, sandbox_id: UUID) -> Sandbox:
        """It may run already: whoever was taken for dead has been faster."""
        creating, running = SandboxStatus.CREATING, SandboxStatus.RUNNING
        async with connected(self._pool) as connection:
            changed = await self._records.change_status(connection, sandbox_id, creating, running)
            sandbox = await self._records.get(connection, sandbox_id)
        if not changed and sandbox.status is not running:
            raise RuntimeError(f"it is {sandbox.status} by now")
        return sandbox

    async def _claim(self, sandbox_id: UUID) -> bool:
        """Whether whoever works on it is taken for dead; of several who ask, one gets it."""
        patience = timedelta(seconds=constants.TAKEN_OVER_AFTER_S)
        async with connected(self._pool) as connection:
            return await self._records.value(connection, "claim_stuck", sandbox_id, patience) is not None

    async def _abort(self, sandbox: Sandbox, actor: Actor, step: str) -> None:
        try:
            async with transaction(self._pool) as connection:
                current = await self._records.lock(connection, sandbox.id)
                await self._teardown.begin(connection, current, actor, f"{step} failed")
            await self._teardown.finish(sandbox, actor)
        except SandboxError as error:
            if not isinstance(error, CleanupFailed):  # which the teardown has told
                logger.warning("teardown left to the reaper", sandbox=str(sandbox.id), error=str(error))


def _outcome_of(error: BaseException) -> str:
    """Whether the asker was refused it, or the bot could not do it."""
    is_failure = isinstance(error, ProvisioningFailed | ServiceUnavailable) or not isinstance(error, SandboxError)
    return "failed" if is_failure else "refused"
