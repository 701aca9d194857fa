"""What a sandbox is, and the states that it may go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from bot import names


class SandboxStatus(StrEnum):
    """Where in its life a sandbox is. An expired one keeps its data for the grace time, and can be extended."""

    PENDING = "pending"
    CREATING = "creating"
    RUNNING = "running"
    EXPIRED = "expired"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"


TRANSITIONS: dict[SandboxStatus, frozenset[SandboxStatus]] = {
    SandboxStatus.PENDING: frozenset({SandboxStatus.CREATING}),
    SandboxStatus.CREATING: frozenset({SandboxStatus.RUNNING, SandboxStatus.DESTROYING}),
    SandboxStatus.RUNNING: frozenset({SandboxStatus.EXPIRED, SandboxStatus.DESTROYING}),
    SandboxStatus.EXPIRED: frozenset({SandboxStatus.RUNNING, SandboxStatus.DESTROYING}),
    SandboxStatus.DESTROYING: frozenset({SandboxStatus.DESTROYED}),
    SandboxStatus.DESTROYED: frozenset(),
}


class AuditEvent(StrEnum):
    """What the audit log may tell of: each change once, in the transaction that makes it."""

    CREATED = "sandbox_created"
    STATUS_CHANGED = "status_changed"
    TTL_EXTENDED = "ttl_extended"
    RESET = "sandbox_reset"
    GUILD_REGISTERED = "guild_registered"
    GUILD_UNREGISTERED = "guild_unregistered"
    DESTROYING = "sandbox_destroying"
    DESTROYED = "sandbox_destroyed"
    CREDENTIALS_ISSUED = "credentials_issued"
    SESSIONS_ENDED = "sessions_ended"
    SCRIPTS_WITHDRAWN = "scripts_withdrawn"
    STORE_RESTARTED = "store_restarted"
    RESTORE_SETTLED = "restore_settled"
    NOTICE_UNDELIVERED = "notice_undelivered"


def may_become(current: SandboxStatus, wanted: SandboxStatus) -> bool:
    """Whether there is such a transition; none leads from a status to itself."""
    return wanted in TRANSITIONS[current]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change. Admins may change every sandbox, others their own.

    `account`: where `OPERATOR` stands for several people, whose account of the system it is, for the audit log.
    """

    id: int
    name: str
    is_admin: bool = False
    account: str | None = None
    idempotency_key: int | None = None
    """By which they ask: with the same one the same change is made once. None: each time that it is asked for."""


OPERATOR = Actor(0, "operator", is_admin=True)
"""Who uses the command line: whoever may run it there may do everything, and Discord does not know them."""

OPERATOR_DETAIL = "operator"
"""The key of an audit row's details that holds the operator's account."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One row of `sandboxes`, with the guilds bound to it. Times are timezone-aware.

    `last_activity_at` and `event_count`, how many events it was sent, lag behind by a few seconds. `metadata` is JSON
    as `bot.sandboxes.metadata.Metadata` checks it; one that was made before there was any has none of its keys.
    """

    id: UUID
    name: str
    owner_id: int
    description: str | None
    status: SandboxStatus
    schema_name: str
    created_at: datetime
    expires_at: datetime
    last_activity_at: datetime | None
    guild_ids: tuple[int, ...]
    event_count: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    reference: int = 0
    """What it is called where others may read it: a number that says nothing, and never another's."""
    redis_database: int | None = None
    """The database of Valkey's that it has alone; None: its keys are among others', by their prefix."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Names to short texts, from the metadata."""
        tags: Mapping[str, str] = self.metadata.get("tags", {})
        return tags

    @property
    def short_id(self) -> str:
        """The first eight hexadecimal digits of the id, unique among sandboxes that are not destroyed."""
        return names.short_id(self.id)

    @property
    def handle(self) -> str:
        """What a program passes on to have it found: its name, or its short id where the name looks like an id."""
        return self.short_id if names.looks_like_id(self.name) else self.name

    @property
    def redis_prefix(self) -> str:
        """What its keys and channels begin with, colon included."""
        return names.redis_prefix(self.id)

    @property
    def nats_prefix(self) -> str:
        """What its subjects begin with, full stop included."""
        return names.nats_prefix(self.id)

    @property
    def stream(self) -> str:
        """The name of its JetStream stream."""
        return names.stream_name(self.id)

    def belongs_to(self, actor: Actor) -> bool:
        """Whether the actor may see and change it."""
        return actor.is_admin or actor.id == self.owner_id


@dataclass(frozen=True, slots=True)
class Extension:
    """What an extension came to. `capped` says that the longest life cut it short."""

    sandbox: Sandbox
    capped: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of `sandbox_audit_log`. `actor_id` is None for what the bot did by itself."""

    id: int
    sandbox_id: UUID
    event_type: str
    actor_id: int | None
    details: dict[str, object]
    created_at: datetime

    @property
    def operator(self) -> str | None:
        """The account of the operator who did it; None if it was somebody else, or the bot that noted it is older."""
        account = self.details.get(OPERATOR_DETAIL)
        return str(account) if self.actor_id == OPERATOR.id and account is not None else None
