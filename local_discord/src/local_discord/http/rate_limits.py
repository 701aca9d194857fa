"""Rate limits as Discord has them: a bucket for each operation on each guild, channel or webhook, and one for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from local_discord.clock import Clock
from local_discord.http.operations import Asked
from local_discord.world.core import RateLimit, Settings

_MAJOR = ("guild_id", "channel_id", "webhook_id", "webhook_token", "interaction_id")
_MOST_BUCKETS = 10_000


@dataclass(slots=True)
class Bucket:
    """Holds `limit.requests`, and is full again `limit.per_s` after the first that is taken; times are monotonic."""

    name: str
    limit: RateLimit
    clock: Clock
    left: int = 0
    resets_at: float = 0.0
    scope: str = field(default="user")

    def take(self) -> bool:
        """False if it is empty."""
        now = self.clock.monotonic()
        if now >= self.resets_at:
            self.left, self.resets_at = self.limit.requests, now + self.limit.per_s
        self.left -= 1
        return self.left >= 0

    @property
    def reset_after(self) -> float:
        """In seconds."""
        return max(self.resets_at - self.clock.monotonic(), 0.0)

    def headers(self) -> dict[str, str]:
        """What each answer says of it."""
        return {
            "X-RateLimit-Limit": str(self.limit.requests),
            "X-RateLimit-Remaining": str(max(self.left, 0)),
            "X-RateLimit-Reset": f"{self.clock.time() + self.reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{self.reset_after:.3f}",
            "X-RateLimit-Bucket": self.name,
        }


class RateLimits:
    """Those of `Settings`, which may change while it serves: a bucket learns of it when it is full again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buckets: dict[tuple[str | None, ...], Bucket] = {}
        self._all = Bucket("global", settings.global_rate_limit, settings.clock, scope="global")

    def bucket(self, asked: Asked) -> Bucket:
        """Which one the request takes from."""
        name, settings = asked.operation.name, self._settings
        key = (name, *(asked.places.get(major) for major in _MAJOR))
        if key not in self._buckets:
            self._forget_full()
            digest = sha256(name.encode()).hexdigest()[:32]
            self._buckets[key] = Bucket(digest, settings.rate_limit, settings.clock)
        bucket = self._buckets[key]
        bucket.limit = settings.rate_limits.get(name, settings.rate_limit)
        return bucket

    def exceeded(self, bucket: Bucket) -> Bucket | None:
        """Take from it, and from the one for all; the one that is empty, if one is."""
        self._all.limit = self._settings.global_rate_limit
        if not self._all.take():
            return self._all
        return None if bucket.take() else bucket

    def _forget_full(self) -> None:
        if len(self._buckets) >= _MOST_BUCKETS:
            now = self._settings.clock.monotonic()
            self._buckets = {key: one for key, one in self._buckets.items() if one.resets_at > now}


def too_many(retry_after: float, scope: str = "user") -> tuple[Mapping[str, object], Mapping[str, str]]:
    """Body and headers of a 429; the time is in seconds."""
    is_global = scope == "global"
    body = {"message": "You are being rate limited.", "retry_after": round(retry_after, 3), "global": is_global}
    # discord.py takes a 429 without `Via` for a ban by Cloudflare, and gives up.
    headers = {"Retry-After": str(retry_after), "Via": "1.1 local-discord", "X-RateLimit-Scope": scope}
    return body, headers | ({"X-RateLimit-Global": "true"} if is_global else {})
