"""Whose a channel, a webhook and an interaction's token are: what a request may be about."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

import redis.asyncio
from redis.exceptions import RedisError

from bot import constants, names
from bot.relay.upstream import Refused, Upstream
from bot.stores.failures import asking_redis

STRANGERS = UUID(int=0)
"""Stands for the sandbox of those who do not say which is theirs."""


class GuildsOf:
    """The guild of each channel or webhook, from what Discord has said of it once: it never changes."""

    def __init__(self, upstream: Upstream, path: str) -> None:
        """`path` with the id behind it shows one."""
        self._upstream, self._path = upstream, path
        self._known: dict[int, int | None] = {}
        self._unknown_until: dict[int, float] = {}

    def learn(self, snowflake: int, guild_id: int | None) -> None:
        """None: it is in no guild."""
        if len(self._known) >= constants.RELAY_REMEMBERED_CHANNELS:
            del self._known[next(iter(self._known))]  # a dict keeps its order: learned longest ago
        self._known[snowflake] = guild_id

    async def find(self, snowflake: int, sandbox_id: UUID | None = None) -> int | None:
        """None if it is in no guild, or not there for the bot. Asked in that sandbox's turn, and refused as that is."""
        if snowflake in self._known:
            return self._known[snowflake]
        if time.monotonic() < self._unknown_until.get(snowflake, 0.0):
            return None
        try:
            shown = await self._upstream.get(f"{self._path}/{snowflake}", sandbox_id=sandbox_id)
        except Refused:
            if len(self._unknown_until) >= constants.RELAY_REMEMBERED_CHANNELS:
                self._unknown_until.clear()
            self._unknown_until[snowflake] = time.monotonic() + constants.RELAY_UNKNOWN_KEPT_S
            return None
        guild_id = shown.get("guild_id")
        self.learn(snowflake, int(guild_id) if guild_id is not None else None)
        return self._known[snowflake]

    async def learn_guild(self, guild_id: int, snowflakes: Collection[int], sandbox_id: UUID) -> None:
        """All of a guild's channels in one request, if there are more of these than one that are not known."""
        if sum(each not in self._known for each in snowflakes) < 2:
            return
        with suppress(Refused):
            for channel in await self._upstream.get(f"/guilds/{guild_id}/channels", sandbox_id=sandbox_id):
                self.learn(int(channel["id"]), guild_id)


class WebhookTokens:
    """The guild of each webhook with a token, which Discord tells to whoever has that: it needs no other login."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._known: dict[str, int] = {}
        self._unknown_until: dict[str, float] = {}

    def learn(self, webhook_id: int, token: str, guild_id: int) -> None:
        """It was made just now."""
        if len(self._known) >= constants.RELAY_REMEMBERED_CHANNELS:
            del self._known[next(iter(self._known))]
        self._known[_digest(f"{webhook_id}/{token}")] = guild_id

    async def find(self, webhook_id: int, token: str, sandbox_id: UUID = STRANGERS) -> int | None:
        """None if there is no such webhook, or it has another token. Asked in that sandbox's turn, and refused as that
        is: who says not who he is shares turns and refusals with all others who don't."""
        key = _digest(f"{webhook_id}/{token}")
        if key in self._known or time.monotonic() < self._unknown_until.get(key, 0.0):
            return self._known.get(key)
        path = f"/webhooks/{webhook_id}/{token}"
        try:
            shown = await self._upstream.get(path, authorized=False, sandbox_id=sandbox_id)
        except Refused:
            shown = {}
        guild_id = shown.get("guild_id")
        if guild_id is None:
            if len(self._unknown_until) >= constants.RELAY_REMEMBERED_CHANNELS:
                self._unknown_until.clear()
            self._unknown_until[key] = time.monotonic() + constants.RELAY_UNKNOWN_KEPT_S
            return None
        self.learn(webhook_id, token, int(guild_id))
        return int(guild_id)


class InteractionTokens:
    """Which sandbox was sent each interaction: its token alone says so afterwards."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._known: dict[str, tuple[UUID, float]] = {}

    async def record(self, token: str, sandbox_id: UUID) -> None:
        """Before the sandbox's bot is sent it. Without Redis only this process knows."""
        key, now = _digest(token), time.monotonic()
        while self._known and next(iter(self._known.values()))[1] < now:
            del self._known[next(iter(self._known))]
        self._known[key] = sandbox_id, now + constants.FORWARDED_TTL_S
        try:
            await self._client.set(names.relay_interaction_key(key), str(sandbox_id), ex=constants.FORWARDED_TTL_S)
        except (RedisError, OSError):
            return

    async def owner(self, token: str) -> UUID | None:
        """None if it was sent to nobody, or is over. `ServiceUnavailable` without Redis, if it isn't known here."""
        key = _digest(token)
        known = self._known.get(key)
        if known is not None:
            return known[0] if known[1] > time.monotonic() else None
        with asking_redis():
            saved = await self._client.get(names.relay_interaction_key(key))
        return UUID(saved.decode() if isinstance(saved, bytes) else saved) if saved else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
