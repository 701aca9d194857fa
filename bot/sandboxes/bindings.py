"""Which guild is bound to which sandbox, by whom, and whether whoever bound it still may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from loguru import logger

from bot import constants, log
from bot.errors import GuildNotBound, InvalidTransition, NotAllowed
from bot.sandboxes.directory import require_access
from bot.sandboxes.idempotency import Idempotency, Result
from bot.sandboxes.lifecycle.notices import NoticeOutbox, Unbinding
from bot.sandboxes.limits import Limits
from bot.sandboxes.model import OPERATOR, Actor, Sandbox, SandboxStatus
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Connection, Pool, connected, transaction

_RIGHT_LOST = "who bound it does not manage it any more"
_BY_MANAGER = "unbound by somebody who manages it"
_BOT_REMOVED = "the bot was removed from it"


@dataclass(frozen=True, slots=True)
class Binding:
    """A guild with who bound it; the operator's is none of these."""

    guild_id: int
    sandbox_id: UUID
    binder_id: int


class GuildBindings:
    """Binds and unbinds, each in a transaction that locks the sandbox, and says when a binding is to be looked at.

    Routing in this process has followed by the time a method returns.
    """

    def __init__(
        self,
        pool: Pool,
        records: SandboxRecords,
        outbox: NoticeOutbox,
        limits: Limits,
        idempotency: Idempotency,
        announce: Callable[[Collection[int]], Awaitable[None]],
    ) -> None:
        self._pool, self._records, self._outbox, self._limits = pool, records, outbox, limits
        self._idempotency, self._announce = idempotency, announce

    async def bind(self, actor: Actor, sandbox_id: UUID, guild_id: int) -> None:
        """To a running sandbox that the actor may change; nothing if it is bound to that one already."""
        async with transaction(self._pool) as connection:
            earlier = await self._idempotency.begin(connection, actor, "bind", {})
            sandbox = require_access(await self._records.lock(connection, sandbox_id), actor)
            if earlier is None and guild_id not in sandbox.guild_ids:
                if sandbox.status is not SandboxStatus.RUNNING:
                    raise InvalidTransition(sandbox.name, sandbox.status, "bound to a server")
                self._limits.check_guilds([*sandbox.guild_ids, guild_id])
                await self._records.bind(connection, sandbox_id, guild_id, actor)
        await self._announce([guild_id])

    async def unbind(
        self, actor: Actor, guild_id: int, *, manages_guild: bool = False, guild_name: str | None = None
    ) -> UUID:
        """For who may change the sandbox that has it, or with `manages_guild`; then with a notice to the owner.

        The sandbox's id; `GuildNotBound` if none has it.
        """
        async with transaction(self._pool) as connection:
            earlier = await self._idempotency.begin(connection, actor, "unbind")
            sandbox = await self._lock_holder(connection, guild_id, earlier)
            log.note(sandbox=str(sandbox.id))
            if not sandbox.belongs_to(actor) and not manages_guild:
                raise NotAllowed(
                    "Server {guild_id} is bound to a sandbox that is not yours. Its owner or an admin may unbind it, "
                    "and in the server itself whoever has “Manage Server” there.",
                    guild_id=guild_id,
                )
            if earlier is None:
                await self._unbind(connection, actor, sandbox, guild_id, guild_name)
                await self._idempotency.finish(connection, actor, "unbind", {"sandbox_id": str(sandbox.id)})
        await self._announce([guild_id])
        return sandbox.id

    async def release(self, holder: Sandbox, guild_id: int, guild_name: str | None) -> None:
        """As the bot was removed from it, with a notice to the owner."""
        async with transaction(self._pool) as connection:
            sandbox = await self._records.lock(connection, holder.id)
            await self._records.unbind(connection, holder.id, guild_id, None, reason=_BOT_REMOVED)
            await self._outbox.write_removal(connection, sandbox, guild_id, guild_name)
        await self._announce([guild_id])
        logger.info("the bot was removed from a bound server", sandbox=str(holder.id), guild=guild_id)

    async def revoke(self, binding: Binding, guild_name: str | None) -> bool:
        """As its binder has lost the right, with a notice to owner and binder; False if it is another's by now."""
        guild_id, binder_id = binding.guild_id, binding.binder_id
        async with transaction(self._pool) as connection:
            sandbox = await self._records.lock(connection, binding.sandbox_id)
            if not await self._records.value(connection, "is_bound_by", guild_id, sandbox.id, binder_id):
                return False
            details = {"reason": _RIGHT_LOST, "binder_id": str(binder_id)}
            await self._records.unbind(connection, sandbox.id, guild_id, None, **details)
            why = Unbinding.RIGHT_LOST, binder_id
            await self._outbox.write_unbinding(connection, sandbox, guild_id, guild_name, *why)
        await self._announce([guild_id])
        logger.info("a binder has lost the right", sandbox=str(sandbox.id), guild=guild_id, binder=binder_id)
        return True

    async def _lock_holder(self, connection: Connection, guild_id: int, earlier: Result | None) -> Sandbox:
        """Who has the guild, or had it before an earlier run with the same key."""
        if earlier is not None:
            return await self._records.lock(connection, UUID(earlier["sandbox_id"]))
        holder = await self._records.one(connection, "get_sandbox_by_guild_id", guild_id)
        if holder is None:
            raise GuildNotBound(guild_id)
        return await self._records.lock(connection, holder.id)

    async def _unbind(
        self, connection: Connection, actor: Actor, sandbox: Sandbox, guild_id: int, guild_name: str | None
    ) -> None:
        if sandbox.belongs_to(actor):
            await self._records.unbind(connection, sandbox.id, guild_id, actor)
            return
        await self._records.unbind(connection, sandbox.id, guild_id, actor, reason=_BY_MANAGER)
        why = Unbinding.BY_MANAGER, actor.id
        await self._outbox.write_unbinding(connection, sandbox, guild_id, guild_name, *why)

    async def list_of(self, guild_ids: Iterable[int]) -> list[Binding]:
        """Those of these guilds that are bound."""
        return await self._list("list_bindings_of", list(guild_ids), OPERATOR.id)

    async def list_due(self, shard_count: int, shards: Iterable[int]) -> list[Binding]:
        """Some of those, of guilds on these shards, whose binder's right is to be looked at, the longest due first."""
        first, most = constants.BINDING_CHECK_SOON, constants.BINDINGS_PER_TURN
        return await self._list("list_due_bindings", first, OPERATOR.id, shard_count, list(shards), most)

    async def check_again(self, binding: Binding, after: timedelta) -> None:
        """Look at it then; for all processes, and over their restarts."""
        async with connected(self._pool) as connection:
            await self._records.value(connection, "schedule_check", binding.guild_id, binding.binder_id, after)

    async def _list(self, query: str, *arguments: object) -> list[Binding]:
        async with connected(self._pool) as connection:
            rows = await self._records.rows(connection, query, *arguments)
        return [Binding(int(row["guild_id"]), row["sandbox_id"], int(row["binder_id"])) for row in rows]
