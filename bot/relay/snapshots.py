"""The state of a guild, read over HTTP at a known place of the sandbox's stream: what follows in the stream is newer.

Voice states, presences and stage instances cannot be read that way, and are empty at first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from bot import constants
from bot.relay.identity import IdentitySource
from bot.relay.tenants import Tenant
from bot.relay.upstream import Refused, Upstream

_NOT_READABLE: dict[str, list[Any]] = {"voice_states": [], "presences": [], "stage_instances": []}
_LARGE = 250

_Key = tuple[UUID, int, float, datetime]
"""Sandbox, guild, when that was bound, and the stream that the mark is of, by its creation."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A GUILD_CREATE's data as for a guild that is new, without `unavailable`; None if the bot isn't in that guild.

    `mark` is the stream's last sequence before it was read."""

    guild_id: int
    mark: int
    data: dict[str, Any] | None = field(repr=False)


class Snapshots:
    """Each guild is read once for all that ask at the same time, and for some seconds after it."""

    def __init__(self, upstream: Upstream, identity: IdentitySource) -> None:
        self._upstream, self._identity = upstream, identity
        self._taken: dict[_Key, tuple[float, asyncio.Task[Snapshot]]] = {}

    async def take(
        self,
        tenant: Tenant,
        guild_id: int,
        last_sequence: Callable[[], Awaitable[int]],
        *,
        stream_created_at: datetime,
        not_before: int = 0,
    ) -> Snapshot:
        """One since the guild was bound, whose mark is of that stream, and `not_before` at least. `last_sequence` is
        asked before Discord is. `DiscordAway` as it says, and what `last_sequence` raises."""
        self._forget_old()
        key = tenant.sandbox_id, guild_id, tenant.bound_at.get(guild_id, 0.0), stream_created_at
        snapshot = await self._shared(key, last_sequence)
        if snapshot.mark < not_before:
            self._drop(key, snapshot)
            snapshot = await self._shared(key, last_sequence)
        return snapshot

    async def _shared(self, key: _Key, last_sequence: Callable[[], Awaitable[int]]) -> Snapshot:
        if key not in self._taken:
            self._taken[key] = time.monotonic(), asyncio.create_task(self._take(key[0], key[1], last_sequence))
        taking = self._taken[key][1]
        try:
            return await asyncio.shield(taking)
        except Exception:
            if self._taken.get(key, (0, None))[1] is taking:  # the next one asks again
                del self._taken[key]
            raise

    def _drop(self, key: _Key, snapshot: Snapshot) -> None:
        """Unless somebody has done so before, whose new one serves all."""
        _, taking = self._taken.get(key, (0, None))
        if taking is not None and taking.done() and not taking.exception() and taking.result() is snapshot:
            del self._taken[key]

    async def _take(self, sandbox_id: UUID, guild_id: int, last_sequence: Callable[[], Awaitable[int]]) -> Snapshot:
        mark = await last_sequence()
        try:
            return Snapshot(guild_id, mark, await self._read(sandbox_id, guild_id))
        except Refused as refused:
            if refused.answer.status in (403, 404):
                return Snapshot(guild_id, mark, None)
            raise

    async def _read(self, sandbox_id: UUID, guild_id: int) -> dict[str, Any]:
        me = (await self._identity.get()).user_id
        get, path = partial(self._upstream.get, sandbox_id=sandbox_id), f"/guilds/{guild_id}"
        guild, channels, threads, events, sounds, member = await asyncio.gather(
            get(path, "with_counts=true"),
            get(f"{path}/channels"),
            get(f"{path}/threads/active"),
            get(f"{path}/scheduled-events"),
            get(f"{path}/soundboard-sounds"),
            get(f"{path}/members/{me}"),
        )
        count = guild.get("approximate_member_count") or 1
        return {
            **guild,
            **_NOT_READABLE,
            "joined_at": member.get("joined_at"),
            "member_count": count,
            "large": count > _LARGE,
            "members": [member],
            "channels": channels,
            "threads": threads.get("threads", []),
            "guild_scheduled_events": events,
            "soundboard_sounds": sounds.get("items", []),
        }

    def _forget_old(self) -> None:
        since = time.monotonic() - constants.RELAY_SNAPSHOT_SHARED_S
        for key, (taken_at, taking) in list(self._taken.items()):
            if taken_at < since and taking.done():
                del self._taken[key]
