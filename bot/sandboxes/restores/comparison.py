"""What PostgreSQL says after a restore, compared with what the other stores have. Nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from bot.errors import ServiceUnavailable
from bot.sandboxes.model import SandboxStatus
from bot.stores.last_changes import LastChange, LastChangeCopies
from bot.stores.nats import StreamStore
from bot.stores.postgres import Pool, Record, fetch, fetch_value, load_queries
from bot.stores.redis import RedisStore


class MismatchKind(StrEnum):
    """What does not match of a sandbox that PostgreSQL knows."""

    CREDENTIALS = "credentials"
    """They may have been replaced or revoked since the backup."""
    GONE = "gone"
    """Neither Redis nor NATS has anything of it: it was destroyed since, or both have lost it."""
    STREAM = "stream"
    """NATS has none."""
    ROLE = "role"
    """PostgreSQL has none: it was restored without its roles."""
    DATABASE = "database"
    """Its database of Valkey's is another sandbox's since."""
    UNFINISHED = "unfinished"
    """It was being made when the backup was taken."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Of the sandbox with that name."""

    kind: MismatchKind
    sandbox_id: UUID
    name: str
    redis_database: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """`newest`: the last change in PostgreSQL, None if there is none. `copies`: by store, what that knows; `missing`:
    the last one of those that PostgreSQL lacks."""

    installation: UUID
    newest: LastChange | None
    copies: dict[str, LastChange]
    missing: LastChange | None
    is_unsettled: bool


class RestoreComparison:
    """`ServiceUnavailable` from any method if a store that it has to ask is away."""

    def __init__(
        self, pool: Pool, redis: RedisStore, streams: StreamStore, copies: LastChangeCopies, kept: timedelta
    ) -> None:
        """`kept`: how long the audit log is."""
        self._pool, self._redis, self._streams = pool, redis, streams
        self.copies, self.kept = copies, kept
        self._sql = load_queries("restores")

    async def read_known(self, *more: LastChange) -> Known:
        """`more`: what this process knows itself."""
        (row,) = await fetch(self._pool, self._sql["get_newest"])
        newest = LastChange(row["change_id"], row["made_at"]) if row["change_id"] is not None else None
        copies = await self.copies.read(row["installation"])
        missing = [each for each in {*copies.values(), *more} if await self._is_missing(each)]
        last = max(missing, key=lambda each: each.made_at, default=None)
        return Known(row["installation"], newest, copies, last, row["is_unsettled"])

    async def list_doubtful(self, known: Known) -> list[UUID]:
        """The sandboxes whose tokens may have been replaced or revoked since. Redis proves that one was not if it lets
        just that one in, and knows of the last change that there was; otherwise nothing does."""
        rows = await fetch(self._pool, self._sql["list_tokens"])
        let_in: dict[UUID, frozenset[str]] = {}
        if known.missing is not None and known.copies.get("redis") == known.missing:
            let_in = await self._read_tokens([row["id"] for row in rows])
        return sorted(row["id"] for row in rows if row["token_sha256"] not in let_in.get(row["id"], ()))

    async def find(self, known: Known) -> list[Mismatch]:
        """By the sandboxes' names."""
        rows = await fetch(self._pool, self._sql["list_sandboxes"])
        doubtful = {row["id"] for row in rows if row["is_held"]}
        if not known.is_unsettled and known.missing is not None:
            doubtful |= set(await self.list_doubtful(known))
        streams = await self._streams.list_streams()
        users, (databases, _) = await self._redis.list_users(), await self._redis.list_databases()
        return [
            Mismatch(kind, row["id"], row["name"], row["redis_database"])
            for row in rows
            for kind in _compare(row, doubtful, streams, users, databases)
        ]

    async def _is_missing(self, change: LastChange) -> bool:
        return bool(await fetch_value(self._pool, self._sql["is_missing"], change.id, change.made_at, self.kept))

    async def _read_tokens(self, sandbox_ids: Iterable[UUID]) -> dict[UUID, frozenset[str]]:
        try:
            return await self._redis.read_tokens(list(sandbox_ids))
        except ServiceUnavailable:  # or it may not be asked that: then it proves nothing
            return {}


def _compare(
    row: Record,
    doubtful: Collection[UUID],
    streams: Collection[UUID],
    users: Collection[UUID],
    databases: Mapping[int, UUID],
) -> Iterator[MismatchKind]:
    sandbox_id = row["id"]
    if row["status"] in (SandboxStatus.PENDING, SandboxStatus.CREATING):
        yield MismatchKind.UNFINISHED
    if row["status"] not in (SandboxStatus.RUNNING, SandboxStatus.EXPIRED):
        return
    if sandbox_id in doubtful:
        yield MismatchKind.CREDENTIALS
    if sandbox_id not in streams:
        yield MismatchKind.STREAM if sandbox_id in users else MismatchKind.GONE
    if row["has_token"] and not row["has_role"]:
        yield MismatchKind.ROLE
    if databases.get(row["redis_database"], sandbox_id) != sandbox_id:
        yield MismatchKind.DATABASE
