"""What is told of a store's error: that the store is away, or what it has no more of."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, MaxConnectionsError, OutOfMemoryError, RedisError

from bot.errors import Lack, ServiceUnavailable

_WORDS = {
    "no space left on device": Lack.DISK,
    "disk quota exceeded": Lack.DISK,
    "too many open files": Lack.DESCRIPTORS,
    "cannot allocate memory": Lack.MEMORY,
    "max number of clients reached": Lack.CONNECTIONS,
}
"""The system's own, which servers pass on, and Valkey's."""
POOLED = (
    "postgres.dsn: DATABASE_URL leads to a pooler that gives each transaction another session of PostgreSQL's, so that "
    "no NOTIFY comes back; set pool_mode = session for the bot's database, or name PostgreSQL itself."
)
MIXED_UP = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What comes of a statement that was prepared in another session than it is used in."""
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
    detail = _refused_certificate(error) or f"{type(error).__name__}: {error}"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched | asyncpg.ReadOnlySQLTransactionError):
        detail = "it takes no writes: it is a standby, or default_transaction_read_only is on"
    return ServiceUnavailable.because("PostgreSQL", error, detail, lack=lack)


def redis_failure(error: BaseException) -> ServiceUnavailable:
    """Of what a question to Valkey or Redis has ended in."""
    detail = _refused_certificate(error) or str(error) or type(error).__name__
    if isinstance(error, AuthenticationError):
        detail = "wrong user or password"
    elif isinstance(error, MasterNotFoundError):  # whose own text tells the clients' whole configuration
        detail = "no Sentinel names a master that is up"
    return ServiceUnavailable.because("Redis", error, detail, lack=_lack_of_redis(error))


@contextmanager
def asking_redis() -> Iterator[None]:
    """What a question in the block ends in is a `ServiceUnavailable`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise redis_failure(error) from error


def _refused_certificate(error: BaseException | None) -> str | None:
    """Whose it is, also where a library has wrapped the error; None if it isn't about one."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def _lack_of_redis(error: BaseException) -> Lack | None:
    """MISCONF is what it answers to every change while it cannot write to its disk."""
    if isinstance(error, OutOfMemoryError):
        return Lack.MEMORY
    if isinstance(error, MaxConnectionsError):
        return Lack.CONNECTIONS
    return Lack.DISK if str(error).startswith("MISCONF") else lack_in(str(error))
