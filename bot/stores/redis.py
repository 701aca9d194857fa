"""Redis: the sandboxes' own keys. Losing it loses no fact of ours."""

from __future__ import annotations

from uuid import UUID

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, RedisError

from bot import names
from bot.errors import ServiceUnavailable

_BATCH = 1000


class RedisStore:
    """What the control plane asks of Redis; `ServiceUnavailable` from any method that gets no answer."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def ping(self) -> None:
        try:
            await self._client.ping()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error

    async def delete_keys(self, sandbox_id: UUID) -> int:
        """Unlink every key of the sandbox, in batches, and return how many there were."""
        deleted = 0
        try:
            batch: list[bytes] = []
            async for key in self._client.scan_iter(match=_pattern(sandbox_id), count=_BATCH):
                batch.append(key)
                if len(batch) >= _BATCH:
                    deleted += await self._client.unlink(*batch)
                    batch.clear()
            if batch:
                deleted += await self._client.unlink(*batch)
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return deleted

    async def count_keys(self, sandbox_id: UUID) -> int:
        try:
            return sum([1 async for _ in self._client.scan_iter(match=_pattern(sandbox_id), count=_BATCH)])
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error


async def open_redis(url: str) -> redis.asyncio.Redis:
    """A client that has reached its server, or `ServiceUnavailable` with the reason, never the password."""
    try:
        client = redis.asyncio.from_url(
            url,
            socket_timeout=5,
            socket_connect_timeout=5,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=2),
        )
    except ValueError as error:
        raise ServiceUnavailable("Redis", "REDIS_URL is not a redis:// address") from error
    try:
        await RedisStore(client).ping()
    except ServiceUnavailable:
        await client.aclose()
        raise
    return client


def _pattern(sandbox_id: UUID) -> str:
    return names.redis_prefix(sandbox_id) + "*"


def _unavailable(error: Exception) -> ServiceUnavailable:
    detail = "wrong user or password" if isinstance(error, AuthenticationError) else str(error)
    return ServiceUnavailable("Redis", detail or type(error).__name__)
