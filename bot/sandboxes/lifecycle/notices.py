"""The outbox of direct messages: written with the change that they tell of, delivered once to each recipient."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from loguru import logger

from bot import constants, log
from bot.sandboxes.model import AuditEvent, Sandbox
from bot.sandboxes.records import SandboxRecords
from bot.stores.postgres import Connection, Pool, connected, load_queries, transaction


class NoticeKind(StrEnum):
    """What a notice tells of."""

    EXPIRY_WARNING = "expiry_warning"
    EXPIRED = "expired"
    GUILD_REMOVED = "guild_removed"
    TOO_LARGE = "too_large"
    SCRIPTS_WITHDRAWN = "scripts_withdrawn"


class Unbinding(StrEnum):
    """Why a guild was unbound, where the bot was not removed from it."""

    RIGHT_LOST = "right_lost"
    BY_MANAGER = "unbound_by_manager"


class Outcome(StrEnum):
    """How a delivery ended."""

    SENT = "sent"
    SENT_TO_CHANNEL = "sent_to_channel"
    UNDELIVERABLE = "undeliverable"
    OBSOLETE = "obsolete"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice to one recipient. `key` is the same at every attempt, so that Discord can drop a repeat. `person_id`:
    who has unbound the guild, or on whose account it was."""

    notice_id: int
    recipient_id: int
    attempts: int
    kind: NoticeKind
    sandbox_id: UUID
    expires_at: datetime
    guild_id: int | None = None
    guild_name: str | None = None
    unbinding: Unbinding | None = None
    person_id: int | None = None

    @property
    def is_of_expiry(self) -> bool:
        """Whether an extension makes it obsolete."""
        return self.kind in (NoticeKind.EXPIRY_WARNING, NoticeKind.EXPIRED)

    @property
    def key(self) -> str:
        """At most 25 characters, as Discord's nonce."""
        return f"{self.notice_id}-{self.recipient_id % 10**9}"


class NoticeOutbox:
    """The rows of the outbox. Any number of processes may fan out and claim at the same time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries("notices")
        self._records = SandboxRecords()

    async def write(self, connection: Connection, sandbox: Sandbox, kind: NoticeKind) -> None:
        """In the caller's transaction; at most once per kind and expiry."""
        await connection.execute(self._sql["write_notice"], sandbox.id, kind, sandbox.expires_at)

    async def write_removal(
        self, connection: Connection, sandbox: Sandbox, guild_id: int, guild_name: str | None
    ) -> None:
        """In the transaction that frees the guild, for the sandbox's owner."""
        await connection.execute(self._sql["write_removal"], sandbox.id, sandbox.expires_at, guild_id, guild_name)

    async def write_unbinding(
        self,
        connection: Connection,
        sandbox: Sandbox,
        guild_id: int,
        guild_name: str | None,
        why: Unbinding,
        person_id: int,
    ) -> None:
        """In the transaction that frees the guild: for the owner, and for a binder whose right is lost."""
        recipients = {sandbox.owner_id, person_id} if why is Unbinding.RIGHT_LOST else {sandbox.owner_id}
        facts = sandbox.id, sandbox.expires_at, guild_id, guild_name, why, person_id, sorted(recipients)
        await connection.execute(self._sql["write_unbinding"], *facts)

    async def write_warnings(self, warn_before: timedelta) -> int:
        """Warn of what expires within that time, or, of a short life, of what has begun its second half.

        How many warnings that were; each is written once, whoever asks.
        """
        async with connected(self._pool) as connection:
            return len(await connection.fetch(self._sql["write_warnings"], warn_before))

    async def fan_out(self, admins: Iterable[int], *, limit: int = 100) -> int:
        """Make one delivery of each new notice for its owner and, but of a guild, for every admin; how many notices."""
        async with transaction(self._pool) as connection:
            notices = await connection.fetch(self._sql["lock_new"], limit)
            for notice in notices:
                others = () if notice["kind"] == NoticeKind.GUILD_REMOVED else admins
                recipients = sorted({int(notice["owner_id"]), *others})
                await connection.execute(self._sql["fan_out"], notice["id"], recipients)
        return len(notices)

    async def claim(self) -> Delivery | None:
        """The next delivery that is due, kept from others for `NOTICE_LEASE_S`; None if there is none.

        Whoever dies with a claim leaves it to the next. It may be sent twice then: `Delivery.key` makes that harmless.
        """
        async with connected(self._pool) as connection:
            lease = timedelta(seconds=constants.NOTICE_LEASE_S)
            row = await connection.fetchrow(self._sql["claim_delivery"], lease)
        if row is None:
            return None
        why = Unbinding(row["unbinding"]) if row["unbinding"] else None
        return Delivery(**{**row, "kind": NoticeKind(row["kind"]), "unbinding": why})

    async def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        """Never to be sent again. What could be delivered nowhere stands in the audit log."""
        async with transaction(self._pool) as connection:
            settled = await connection.fetchval(
                self._sql["settle_delivery"], delivery.notice_id, delivery.recipient_id, outcome
            )
            if settled is not None and outcome is Outcome.UNDELIVERABLE:
                details = {"kind": delivery.kind, "recipient_id": str(delivery.recipient_id)}
                await self._records.audit(connection, delivery.sandbox_id, AuditEvent.NOTICE_UNDELIVERED, None, details)

    async def last_outcome(self, sandbox: Sandbox) -> Outcome | None:
        """How the latest notice of the sandbox that was attempted ended for its owner; None if there is none."""
        async with connected(self._pool) as connection:
            outcome = await connection.fetchval(self._sql["last_outcome"], sandbox.id, sandbox.owner_id)
        return Outcome(outcome) if outcome else None

    async def postpone(self, delivery: Delivery) -> None:
        """Try again later, each time twice as late."""
        pause = timedelta(seconds=min(2.0**delivery.attempts, constants.NOTICE_MAX_BACKOFF_S))
        async with connected(self._pool) as connection:
            await connection.execute(self._sql["postpone_delivery"], delivery.notice_id, delivery.recipient_id, pause)


Deliver = Callable[[Delivery, Sandbox], Awaitable[Outcome]]
"""Sends one notice and says what became of it; an exception means that another attempt may help."""


class NoticeDispatcher:
    """Brings notices from the outbox to people."""

    def __init__(
        self, outbox: NoticeOutbox, get_sandbox: Callable[[UUID], Awaitable[Sandbox]], deliver: Deliver
    ) -> None:
        self._outbox, self._get_sandbox, self._deliver = outbox, get_sandbox, deliver
        self.counts: Counter[str] = Counter()
        """What became of the attempts: by `Outcome`, or `postponed`."""

    async def dispatch(self, admins: Iterable[int]) -> int:
        """One turn: fan out what is new, attempt all that is due, and return how many attempts that were."""
        await self._outbox.fan_out(admins)
        attempts = 0
        while (delivery := await self._outbox.claim()) is not None:
            with log.context(sandbox=str(delivery.sandbox_id)):
                await self._attempt(delivery)
            attempts += 1
        return attempts

    async def _attempt(self, delivery: Delivery) -> None:
        sandbox = await self._get_sandbox(delivery.sandbox_id)
        if delivery.is_of_expiry and sandbox.expires_at != delivery.expires_at:
            await self._settle(delivery, Outcome.OBSOLETE)
            return
        try:
            outcome = await self._deliver(delivery, sandbox)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._failed(delivery, error)
            return
        await self._settle(delivery, outcome)
        logger.info("notice delivered", notice=delivery.notice_id, kind=delivery.kind, outcome=outcome)

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        await self._outbox.settle(delivery, outcome)
        self.counts[outcome] += 1

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        given_up = delivery.attempts >= constants.NOTICE_MAX_ATTEMPTS
        level = "WARNING" if given_up or delivery.attempts == 1 else "DEBUG"  # the attempts between say nothing new
        logger.log(
            level, "notice not delivered", notice=delivery.notice_id, attempt=delivery.attempts, error=repr(error)
        )
        if given_up:
            await self._settle(delivery, Outcome.UNDELIVERABLE)
        else:
            await self._outbox.postpone(delivery)
            self.counts["postponed"] += 1
