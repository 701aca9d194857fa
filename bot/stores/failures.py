"""What is told of a store's error: that the store is away, or what it has no more of."""

from __future__ import annotations

import asyncpg
from redis.exceptions import AuthenticationError, MaxConnectionsError, OutOfMemoryError

from bot.errors import Lack, ServiceUnavailable

_WORDS = {
    "no space left on device": Lack.DISK,
    "disk quota exceeded": Lack.DISK,
    "too many open files": Lack.DESCRIPTORS,
    "cannot allocate memory": Lack.MEMORY,
    "max number of clients reached": Lack.CONNECTIONS,
}
"""The system's own, which servers pass on, and Valkey's."""
_OF_POSTGRES: dict[type[BaseException], Lack] = {
    asyncpg.DiskFullError: Lack.DISK,
    asyncpg.OutOfMemoryError: Lack.MEMORY,
    asyncpg.TooManyConnectionsError: Lack.CONNECTIONS,
}


def lack_in(text: str) -> Lack | None:
    """What a server has no more of, by its own words; None if they say no such thing."""
    lowered = text.lower()
    return next((lack for words, lack in _WORDS.items() if words in lowered), None)


def postgres_failure(error: BaseException) -> ServiceUnavailable:
    """Of what a question to PostgreSQL has ended in."""
    lack = _OF_POSTGRES.get(type(error)) or (lack_in(str(error)) if isinstance(error, asyncpg.PostgresError) else None)
    return ServiceUnavailable.because("PostgreSQL", error, f"{type(error).__name__}: {error}", lack=lack)


def redis_failure(error: BaseException) -> ServiceUnavailable:
    """Of what a question to Valkey or Redis has ended in."""
    detail = "wrong user or password" if isinstance(error, AuthenticationError) else str(error) or type(error).__name__
    return ServiceUnavailable.because("Redis", error, detail, lack=_lack_of_redis(error))


def _lack_of_redis(error: BaseException) -> Lack | None:
    """MISCONF is what it answers to every change while it cannot write to its disk."""
    if isinstance(error, OutOfMemoryError):
        return Lack.MEMORY
    if isinstance(error, MaxConnectionsError):
        return Lack.CONNECTIONS
    return Lack.DISK if str(error).startswith("MISCONF") else lack_in(str(error))
