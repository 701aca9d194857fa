"""What was left behind in the stores: finds it, says whose it is, and drops it on positive proof alone.

A teardown removes everything that a sandbox has. Something stays behind only if somebody wrote it at the very moment,
if the database was restored from a backup, or if schemas were made by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import asyncpg
from loguru import logger

from bot import constants, fence, names, request
from bot.errors import CleanupRefused, SandboxError
from bot.sandboxes.restores.gate import RestoreGate
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, connected, load_queries
from bot.stores.redis import RedisStore


class OrphanKind(StrEnum):
    """What was left behind."""

    SCHEMA = "schema"
    ROLE = "role"
    STREAM = "stream"
    USER = "user"
    KEYS = "keys"
    DATABASE = "database"
    COMMAND = "command"
    WEBHOOK = "webhook"
    """Both in Discord, made by the sandbox's own bot."""


class Proof(StrEnum):
    """Why something is an orphan of this installation."""

    DESTROYED = "destroyed"
    """This database knows its sandbox as destroyed."""
    MARK = "mark"
    """This database made it, and knows no such sandbox."""
    DISCORD = "discord"
    """It is ours, and in Discord, which has not let it go yet. It is only listed: a running bot tries again."""
    NONE = "none"
    """It may be another installation's. It is only listed."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """`sandbox_id` is None where the store names only its first digits. `size` counts keys or messages."""

    kind: OrphanKind
    name: str
    proof: Proof
    sandbox_id: UUID | None = None
    size: int | None = None


class OrphanCollector:
    """What is younger than the grace time is spared, and so is what a sandbox has that ended within it."""

    def __init__(
        self, pool: Pool, schemas: SchemaProvisioner, redis: RedisStore, streams: StreamStore, grace: timedelta
    ) -> None:
        self._pool, self._schemas, self._redis, self._streams = pool, schemas, redis, streams
        self._grace = grace
        self._sql = load_queries("orphans")
        self.dropped: Counter[OrphanKind] = Counter()
        self.left: Counter[OrphanKind] = Counter()
        """What the last turn has found and may not drop by itself."""

    async def find(self) -> list[Orphan]:
        """What belongs to no living sandbox, also what may be another installation's. One pass over Redis's keys."""
        return [*await self._find_except_keys(), *await self._scan_keys(unlink=False)]

    async def drop(self, *, force: bool = False) -> list[Orphan]:
        """Drop what is proved to be ours, each after another look, and return it.

        `CleanupRefused` if nothing seems to belong to a living sandbox, unless forced: the bot may look at the wrong
        database. `RestoreUnsettled` after a restore.
        """
        async with connected(self._pool) as connection:
            await RestoreGate(self._pool).require_settled(connection)
        found = await self._find_except_keys()
        if not force and not await self._any_live() and (count := len(_ours(await self.find()))):
            raise CleanupRefused(count)
        request.begin_change()
        return await self._drop(_ours(found)) + _ours(await self._scan_keys(unlink=True))

    async def collect(self, every: timedelta) -> list[Orphan]:
        """One turn of what the bot does by itself: drop what destroyed sandboxes have left, and tell of the rest.

        Of several processes one does it, once in that time; the others return an empty list. `ServiceUnavailable` if a
        store is away: then the turn is not over, and is taken again in some minutes.
        """
        claimed_for = timedelta(seconds=constants.ORPHANS_CLAIMED_FOR_S)
        async with connected(self._pool) as connection:
            if not await connection.fetchval(self._sql["claim_turn"], every, claimed_for):
                return []
        collected = await self._collect()
        async with connected(self._pool) as connection:
            await connection.execute(self._sql["finish_turn"])
        return collected

    async def _collect(self) -> list[Orphan]:
        found = await self._find_except_keys()
        dropped = await self._drop([orphan for orphan in found if orphan.proof is Proof.DESTROYED])
        keys = await self._scan_keys(unlink=True)
        self.dropped.update(orphan.kind for orphan in keys if orphan.proof is Proof.DESTROYED)
        self.left = Counter(orphan.kind for orphan in (*found, *keys) if orphan.proof is not Proof.DESTROYED)
        if others := self.left.total():
            logger.warning("there may be orphans: see `sandbox-bot sandbox orphans`", count=others)
        return dropped + _ours(keys)

    async def _find_except_keys(self) -> list[Orphan]:
        return [
            *await self._find_schemas(),
            *await self._find_roles(),
            *await self._find_streams(),
            *await self._find_users(),
            *await self._find_databases(),
            *await self._find_in_discord(),
        ]

    async def _find_schemas(self) -> list[Orphan]:
        found = await self._schemas.list_orphans(self._grace)
        return [Orphan(OrphanKind.SCHEMA, name, _proof(True, destroyed)) for name, destroyed in found.items()]

    async def _find_roles(self) -> list[Orphan]:
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["list_roles"], self._grace)
        return [Orphan(OrphanKind.ROLE, row["role_name"], _proof(row["is_ours"], row["was_destroyed"])) for row in rows]

    async def _find_streams(self) -> list[Orphan]:
        old = await self._streams.list_streams(older_than=self._grace)
        proofs = await self._classify(old)
        return [
            Orphan(OrphanKind.STREAM, names.stream_name(sandbox_id), proof, sandbox_id, old[sandbox_id])
            for sandbox_id, proof in proofs.items()
        ]

    async def _find_users(self) -> list[Orphan]:
        proofs = await self._classify(await self._redis.list_users())
        return [
            Orphan(OrphanKind.USER, names.redis_user(sandbox_id), proof, sandbox_id)
            for sandbox_id, proof in proofs.items()
        ]

    async def _find_databases(self) -> list[Orphan]:
        """By the registry, which is the only proof of whose they are."""
        registered, filled = await self._redis.list_databases()
        proofs = await self._classify(set(registered.values()))
        return [
            Orphan(OrphanKind.DATABASE, f"database {number}", proofs[owner], owner, filled.get(number, 0))
            for number, owner in sorted(registered.items())
            if owner in proofs
        ]

    async def _find_in_discord(self) -> list[Orphan]:
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["list_in_discord"], self._grace)
        return [Orphan(OrphanKind(row["kind"]), row["name"], Proof.DISCORD, row["sandbox_id"]) for row in rows]

    async def _scan_keys(self, *, unlink: bool) -> list[Orphan]:
        """The orphans' keys, counted by their sandbox. With `unlink`, ours go in the same pass."""
        found: dict[UUID, Orphan] = {}
        async for page in self._redis.pages():
            for sandbox_id, proof in (await self._classify(page)).items():
                keys = page[sandbox_id]
                if unlink and proof is Proof.DESTROYED:
                    fence.require()
                    await self._redis.unlink(keys)
                before = found[sandbox_id].size or 0 if sandbox_id in found else 0
                name = names.redis_prefix(sandbox_id)
                found[sandbox_id] = Orphan(OrphanKind.KEYS, name, proof, sandbox_id, before + len(keys))
        return list(found.values())

    async def _classify(self, sandbox_ids: Iterable[UUID]) -> dict[UUID, Proof]:
        """Of those that are no living sandbox, nor one that ended within the grace time."""
        ids = list(sandbox_ids)
        async with connected(self._pool) as connection:
            rows = {row["id"]: row for row in await connection.fetch(self._sql["classify"], ids, self._grace)}
        unknown = {sandbox_id: Proof.NONE for sandbox_id in ids if sandbox_id not in rows}
        return unknown | {sandbox_id: Proof.DESTROYED for sandbox_id, row in rows.items() if row["is_over"]}

    async def _any_live(self) -> bool:
        orphans = await self._schemas.list_orphans(timedelta(0))
        return any(name not in orphans for name in await self._schemas.list_schemas())

    async def _drop(self, orphans: Iterable[Orphan]) -> list[Orphan]:
        """Those that are dropped. What fails is logged, and found again next time."""
        dropped = []
        for orphan in orphans:
            try:
                if await self._drop_one(orphan):
                    dropped.append(orphan)
                    self.dropped[orphan.kind] += 1
                    logger.warning("orphan dropped", kind=orphan.kind, name=orphan.name)
            except (SandboxError, asyncpg.PostgresError) as error:
                logger.warning("orphan not dropped", kind=orphan.kind, name=orphan.name, error=repr(error))
        return dropped

    async def _drop_one(self, orphan: Orphan) -> bool:
        """After another look; false if it is no orphan any more."""
        fence.require()
        if orphan.kind is OrphanKind.SCHEMA:
            return await self._schemas.drop_orphan(orphan.name, self._grace)
        if orphan.kind is OrphanKind.ROLE:
            async with connected(self._pool) as connection:
                await connection.execute(self._sql["shut_out_role"], orphan.name, self._grace)
                return bool(await connection.fetchval(self._sql["drop_role"], orphan.name, self._grace))
        assert orphan.sandbox_id is not None
        if await self._classify([orphan.sandbox_id]) != {orphan.sandbox_id: Proof.DESTROYED}:
            return False
        if orphan.kind is OrphanKind.STREAM:
            return await self._streams.delete(orphan.sandbox_id)
        if orphan.kind is OrphanKind.DATABASE:
            return await self._release_databases(orphan.sandbox_id)
        await self._redis.delete_user(orphan.sandbox_id)
        return True

    async def _release_databases(self, sandbox_id: UUID) -> bool:
        registered, _ = await self._redis.list_databases()
        numbers = [number for number, owner in registered.items() if owner == sandbox_id]
        for number in numbers:
            await self._redis.empty_database(number, sandbox_id, release=True)
        return bool(numbers)


def _proof(is_ours: bool, was_destroyed: bool) -> Proof:
    if not is_ours:
        return Proof.NONE
    return Proof.DESTROYED if was_destroyed else Proof.MARK


def is_ours(orphan: Orphan) -> bool:
    """Whether it may be dropped."""
    return orphan.proof in (Proof.DESTROYED, Proof.MARK)


def _ours(orphans: Iterable[Orphan]) -> list[Orphan]:
    return list(filter(is_ours, orphans))
