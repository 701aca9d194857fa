"""What a sandbox may be and how long it may live: pure rules, each refusal with its number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot import constants, names
from bot.durations import format_duration
from bot.errors import InvalidInput
from bot.sandboxes.metadata import UNSTORABLE
from bot.sandboxes.model import Sandbox


@dataclass(frozen=True, slots=True)
class Limits:
    """`InvalidInput` from any method names the limit that was hit."""

    max_per_owner: int = 5
    max_guilds: int = 10
    default_ttl: timedelta = timedelta(hours=24)
    max_ttl: timedelta = timedelta(hours=168)
    min_name_length: int = names.SHORTEST_NAME
    max_name_length: int = names.LONGEST_NAME

    def check_name(self, name: str) -> str:
        """The name as it is stored."""
        return names.check_name(name, self.min_name_length, self.max_name_length)

    def default_name(self, owner: str) -> str:
        """For a sandbox without one: the owner's, as far as it fits, and six random characters."""
        return names.default_name(owner, self.min_name_length, self.max_name_length)

    def check_ttl(self, ttl: timedelta | None) -> timedelta:
        """The time to live of a new sandbox."""
        if ttl is None:
            return self.default_ttl
        if ttl <= timedelta(0):
            raise InvalidInput("A sandbox lives longer than nothing. Write its time like 45m, 24h or 7d.")
        if ttl > self.max_ttl:
            raise InvalidInput(
                "A sandbox lives at most {longest}; {wanted} is more.",
                longest=format_duration(self.max_ttl),
                wanted=format_duration(ttl),
            )
        return ttl

    def check_guilds(self, guild_ids: Iterable[int]) -> list[int]:
        """The guilds of one sandbox, each once, in their order."""
        guilds = list(dict.fromkeys(names.check_snowflake(guild_id, "server id") for guild_id in guild_ids))
        if len(guilds) > self.max_guilds:
            raise InvalidInput("A sandbox has at most {most} servers. Unbind one of them first.", most=self.max_guilds)
        return guilds

    def check_description(self, description: str | None) -> str | None:
        """The description on one line; None for an empty one."""
        cleaned = " ".join(UNSTORABLE.sub("", description or "").split())
        if len(cleaned) > constants.MAX_DESCRIPTION_LENGTH:
            raise InvalidInput(
                "A description has at most {most} characters, not {length}.",
                most=constants.MAX_DESCRIPTION_LENGTH,
                length=len(cleaned),
            )
        return cleaned or None

    def extended(self, sandbox: Sandbox, by: timedelta, now: datetime) -> tuple[datetime, bool]:
        """The expiry after an extension, and whether the longest life cut it short. It never moves backwards."""
        if by <= timedelta(0):
            raise InvalidInput("An extension is longer than nothing. Write it like 45m, 2h or 1d.")
        latest = sandbox.created_at + self.max_ttl
        wanted = max(sandbox.expires_at, now) + by
        if latest <= max(sandbox.expires_at, now):
            raise InvalidInput(
                "Sandbox “{name}” has reached the longest life of {longest} and cannot be extended. Create a new one.",
                name=sandbox.name,
                longest=format_duration(self.max_ttl),
            )
        return min(wanted, latest), wanted > latest
