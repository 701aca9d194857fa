"""How a session begins or goes on: IDENTIFY and RESUME, up to what a client is sent before the stream's events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from bot import constants, names
from bot.concurrency import gather_bounded, raise_first
from bot.errors import ServiceUnavailable
from bot.relay.gateway import intents
from bot.relay.gateway.connection import HangUp
from bot.relay.gateway.feed import StreamLost, Streams, StreamState
from bot.relay.gateway.numbering import READY_SEQUENCE, Numbering, dispatch
from bot.relay.gateway.sessions import Session, Sessions
from bot.relay.identity import Identity, IdentitySource
from bot.relay.snapshots import Snapshot, Snapshots
from bot.relay.tenants import Tenant

_LIBRARY_NAME = 60
_PRIVILEGED = sum(intents.PRIVILEGED.values())


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a client takes up its sandbox's stream."""

    session: Session
    identity: Identity
    after: int
    """The stream sequence that its events follow."""
    messages: list[bytes] = field(default_factory=list)
    """What it is sent first, in one write: a library takes a pause for the end of the list of guilds."""
    resumed_at: int | None = None
    """The stream sequence after which RESUMED is due; None if the session is new."""


class Handshake:
    """Of all clients. Nothing is sent here; `HangUp` for what Discord would hang up on."""

    def __init__(
        self,
        streams: Streams,
        sessions: Sessions,
        identity: IdentitySource,
        snapshots: Snapshots,
        allowed_intents: int,
        catch_up_s: float,
    ) -> None:
        """`allowed_intents`: the privileged ones that Discord has approved for the application."""
        self._streams, self._sessions, self._identity, self._snapshots = streams, sessions, identity, snapshots
        self._allowed_intents, self._catch_up_s = allowed_intents, catch_up_s
        self._identified_at: dict[UUID, float] = {}

    async def identify(
        self, tenant: Tenant, data: dict[str, Any], address: str, *, is_followed: Callable[[str], bool]
    ) -> Beginning:
        """A new session, saved. `address` is where the client is to resume; `is_followed` says of a position's key
        whether another client is there just now, so that nothing has to be caught up. What Discord's, NATS's and the
        stores' outages raise comes through."""
        shard, count = _shard(data.get("shard") or [0, 1])
        key = names.relay_position_key(tenant.sandbox_id, count, shard)
        catches_up = not is_followed(key)
        wanted = self._wanted(data.get("intents"))
        await self._pace(tenant)
        identity = await self._identity.get()
        heard = await self._sessions.position(key)
        state = await self._stream_of(tenant)
        last_heard = heard.sequence if heard is not None and heard.stream_created_at == state.created_at else None
        covered = {each: at for each, at in tenant.bound_at.items() if (each >> 22) % count == shard}
        # What is older the bot has had, or is not to hear: it must not come because a snapshot is older still.
        not_before = (last_heard or 0) if self._catch_up_s else state.last
        snapshots = await self._take_snapshots(tenant, sorted(covered), state.created_at, not_before=not_before)
        mark = min([state.last, *(snapshot.mark for snapshot in snapshots)])
        base = min(mark, last_heard) if last_heard is not None and catches_up and self._catch_up_s else mark
        known = [snapshot for snapshot in snapshots if snapshot.data is not None] if wanted & intents.GUILDS else []
        session = Session(
            tenant.sandbox_id,
            state.created_at,
            Numbering(max(base, state.first - 1), READY_SEQUENCE + len(known), mark),
            wanted,
            shard,
            count,
            covered,
            library=_library(data.get("properties")),
            catches_up_since=self._streams.now() - self._catch_up_s,
        )
        await self._sessions.save(session)
        messages = _ready(session, identity, known, address)
        return Beginning(session, identity, session.numbering.base, messages)

    async def resume(self, tenant: Tenant, data: dict[str, Any]) -> Beginning | None:
        """None if that session can't go on, and the client has to identify."""
        session = await self._sessions.load(str(data.get("session_id")))
        sequence = data.get("seq")
        if session is None or session.sandbox_id != tenant.sandbox_id or type(sequence) is not int:
            return None
        state = await self._stream_of(tenant)
        seen = session.numbering.stream_sequence(sequence)
        if seen is None or state.created_at != session.stream_created_at or not state.holds_all_after(seen):
            await self._sessions.end(session.id)
            return None
        return Beginning(session, await self._identity.get(), seen, resumed_at=state.last)

    def _wanted(self, wanted: Any) -> int:
        if type(wanted) is not int or wanted & ~intents.KNOWN:
            raise HangUp(4013, "Invalid intent(s).")
        if wanted & _PRIVILEGED & ~self._allowed_intents:
            raise HangUp(4014, "Disallowed intent(s).")
        return wanted

    async def _pace(self, tenant: Tenant) -> None:
        """One IDENTIFY in two seconds; who comes sooner waits for it here."""
        now, times = time.monotonic(), self._identified_at
        turn = max(now, times.get(tenant.sandbox_id, 0.0) + constants.RELAY_IDENTIFY_EVERY_S)
        if turn - now > constants.RELAY_IDENTIFY_WITHIN_S / 2:
            raise HangUp(4008, "Rate limited: too many IDENTIFYs.")
        times[tenant.sandbox_id] = turn
        for old in [each for each, at in times.items() if at < now - constants.RELAY_IDENTIFY_EVERY_S]:
            del times[old]
        await asyncio.sleep(turn - now)

    async def _stream_of(self, tenant: Tenant) -> StreamState:
        try:
            return await self._streams.state(tenant.sandbox_id)
        except StreamLost:
            raise ServiceUnavailable("NATS", "the sandbox's stream is not there; it is made again soon") from None

    async def _take_snapshots(
        self, tenant: Tenant, guild_ids: list[int], stream_created_at: datetime, *, not_before: int
    ) -> list[Snapshot]:
        async def last_sequence() -> int:
            return (await self._stream_of(tenant)).last

        async def take(guild_id: int) -> Snapshot:
            return await self._snapshots.take(
                tenant, guild_id, last_sequence, stream_created_at=stream_created_at, not_before=not_before
            )

        taken = await gather_bounded(guild_ids, take, limit=constants.RELAY_GUILDS_AT_ONCE)
        raise_first(taken)
        return [each for each in taken if isinstance(each, Snapshot)]


def _ready(session: Session, identity: Identity, known: list[Snapshot], address: str) -> list[bytes]:
    """READY and its guilds."""
    ready = {
        "v": 10,
        "user": identity.user,
        "session_id": session.id,
        "resume_gateway_url": address,
        "shard": [session.shard, session.shard_count],
        "application": {"id": identity.application_id, "flags": identity.application.get("flags", 0)},
        "guilds": [{"id": str(each.guild_id), "unavailable": True} for each in known],
        "private_channels": [],
        "relationships": [],
        "presences": [],
        "guild_join_requests": [],
        "user_settings": {},
        "session_type": "normal",
        "geo_ordered_rtc_regions": [],
        "_trace": ["relay"],
    }
    guilds = [
        dispatch("GUILD_CREATE", READY_SEQUENCE + number, {**(snapshot.data or {}), "unavailable": False})
        for number, snapshot in enumerate(known, start=1)
    ]
    return [dispatch("READY", READY_SEQUENCE, ready), *guilds]


def _library(properties: Any) -> str:
    """As IDENTIFY's properties name it; empty if they don't."""
    named = properties if isinstance(properties, dict) else {}
    return str(named.get("browser") or named.get("$browser") or "")[:_LIBRARY_NAME]


def _shard(shard: Any) -> tuple[int, int]:
    match shard:
        case [int(number), int(count)] if 0 <= number < count:
            return number, count
        case _:
            raise HangUp(4010, "Invalid shard.")
