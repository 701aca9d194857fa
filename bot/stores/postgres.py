"""PostgreSQL: the pool, the migrations and the named queries. Every fact lives here."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableSet
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import orjson
from loguru import logger

from bot import constants, request
from bot.errors import ServiceUnavailable
from bot.settings import SettingsError
from bot.stores.failures import MIXED_UP, POOLED, postgres_failure
from bot.stores.postgres_hosts import connect

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    RawConnection = asyncpg.Connection[asyncpg.Record]
    Transaction = asyncpg.transaction.Transaction
else:
    Pool = asyncpg.Pool
    Connection = RawConnection = asyncpg.Connection
    Transaction = asyncpg.transaction.Transaction
Record = asyncpg.Record

_HEADING = re.compile(r"^-- (\w+|\{\w+\}) --\n", re.MULTILINE)
_COMMENTS = re.compile(r"\A(--.*\n)*")
UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # of disk, connections, or room in its table of locks
    asyncpg.PostgresSystemError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.InternalClientError,  # what asyncpg makes of a server that ended in the middle of an answer
)
"""The server does not answer or cannot go on, whatever it was asked."""
LOST = (*UNREACHABLE, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What ends the work on a connection of one's own, which may be closed meanwhile."""
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
_TROUBLE = (
    *UNREACHABLE,
    *_REFUSED,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby that has taken the server's place
    asyncpg.InterfaceError,
)
"""Besides, what others than the bot are to mend. Within a template a statement that was cancelled is the template's."""


def sql_folder() -> Path:
    """The SQL files: inside the package when it is installed from a wheel, beside it in a checkout."""
    package = Path(__file__).parent.parent
    return next(folder for folder in (package / "sql", package.parent / "sql") if folder.is_dir())


def load_queries(module: str) -> Mapping[str, str]:
    """The statements of `sql/queries/<module>.sql` by their names.

    A part whose name is in braces is no statement: it stands for that name in the statements of its file.
    """
    text = (sql_folder() / "queries" / f"{module}.sql").read_text(encoding="utf-8")
    parts = _HEADING.split(text)[1:]
    bodies = {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
    shared = {name: _COMMENTS.sub("", body) for name, body in bodies.items() if name.startswith("{")}
    for part, columns in shared.items():
        bodies = {name: body.replace(part, columns) for name, body in bodies.items() if name != part}
    return bodies


async def prepare_connection(connection: Connection) -> None:
    """jsonb comes and goes as Python objects, and Discord ids, which are numeric(20), as integers."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
    )
    await connection.set_type_codec("numeric", schema="pg_catalog", format="text", encoder=str, decoder=int)


async def _nothing_to_reset(_: object) -> None:
    """Whoever borrows a connection leaves the session as it was: what it sets ends with its transaction."""


async def open_pool(
    dsn: str, *, max_size: int = 10, whole: bool = False, opened: MutableSet[RawConnection] | None = None
) -> Pool:
    """A pool that has reached its server, or `ServiceUnavailable` with the reason, never the password.

    A `whole` one has all its connections from the start and keeps them: whoever has one needs no slot of a server whose
    slots others have taken. Each is added to those `opened`.
    """

    async def prepare(connection: RawConnection) -> None:
        if opened is not None:
            opened.add(connection)
        await prepare_connection(connection)

    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=max_size if whole else 2,
            max_size=max_size,
            max_inactive_connection_lifetime=0,
            max_queries=sys.maxsize,
            connect=cast("Any", connect),  # as if there could be no address
            init=prepare,
            reset=_nothing_to_reset,
            timeout=constants.POSTGRES_CONNECT_WITHIN_S,
            command_timeout=constants.POSTGRES_ANSWER_WITHIN_S,
        )
    except (*UNREACHABLE, *_REFUSED) as error:
        raise postgres_failure(error) from error
    except MIXED_UP as error:
        raise SettingsError(POOLED) from error
    except asyncpg.ClientConfigurationError as error:
        raise ServiceUnavailable("PostgreSQL", f"DATABASE_URL cannot be used: {error}") from error
    except ValueError as error:  # whose text may hold a part of the address
        raise ServiceUnavailable("PostgreSQL", "DATABASE_URL is not a PostgreSQL address") from error


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection, on which each statement takes effect by itself; `ServiceUnavailable` when PostgreSQL is away."""
    try:
        with request.waiting_for("PostgreSQL"):
            connection = await pool.acquire(timeout=constants.POSTGRES_WAIT_FOR_CONNECTION_S)
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                connection.terminate()  # what is opened in its place finds the server that takes writes
                raise
            finally:
                await _give_back(pool, connection)
    except _TROUBLE as error:
        raise postgres_failure(error) from error


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """The same, but the statements take effect together or not at all.

    Once it has begun, a request that it is part of is carried through, however long somebody waits for it.
    """
    async with connected(pool) as connection:
        block = connection.transaction()
        await block.__aenter__()
        request.begin_change()
        try:
            yield connection
        except BaseException:
            await _roll_back(connection, block)
            raise
        await block.__aexit__(None, None, None)


async def _roll_back(connection: Connection, block: Transaction) -> None:
    """Without a connection the server does so by itself."""
    try:
        async with asyncio.timeout(constants.POSTGRES_GIVEN_BACK_WITHIN_S):
            await block.__aexit__(*sys.exc_info())
    except (*_TROUBLE, asyncpg.PostgresError) as error:
        logger.debug("a transaction was left to the server", error=repr(error))
        connection.terminate()


async def _give_back(pool: Pool, connection: Connection) -> None:
    """Also if the caller is broken off meanwhile."""
    await asyncio.shield(asyncio.create_task(_release(pool, connection)))


async def _release(pool: Pool, connection: Connection) -> None:
    """The server says of a connection on which a statement was broken off that it is; where no word comes, the line is
    dead, and others of the pool may be."""
    try:
        await pool.release(connection, timeout=constants.POSTGRES_GIVEN_BACK_WITHIN_S)  # type: ignore[arg-type]
    except TimeoutError:
        logger.debug("a connection to PostgreSQL was dead")
        idle = range(pool.get_idle_size())
        await asyncio.gather(*(_drop_if_dead(pool) for _ in idle), return_exceptions=True)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        logger.debug("a connection to PostgreSQL was lost", error=repr(error))


async def _drop_if_dead(pool: Pool) -> None:
    """One that nobody uses: it would cost its next user a long wait."""
    connection = await pool.acquire(timeout=constants.POSTGRES_GIVEN_BACK_WITHIN_S)
    try:
        await connection.fetchval("SELECT true", timeout=constants.POSTGRES_GIVEN_BACK_WITHIN_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
    finally:
        await pool.release(connection)


async def until_locks_are_free[T](work: Callable[[], Awaitable[T]]) -> T:
    """The work's result; it is done again, for a short time, if the server's table of locks was full.

    It has to be one transaction, or safe to repeat.
    """
    give_up_at = time.monotonic() + constants.LOCKS_FREE_WITHIN_S
    while True:
        try:
            return await work()
        except ServiceUnavailable as error:
            if not isinstance(error.__cause__, asyncpg.OutOfMemoryError) or time.monotonic() > give_up_at:
                raise
        await asyncio.sleep(constants.LOCKS_SEEN_AGAIN_EVERY_S)


async def in_transaction[T](pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """The work's result, done in a transaction of its own; done again as `until_locks_are_free` says."""

    async def attempt() -> T:
        async with transaction(pool) as connection:
            return await work(connection)

    return await until_locks_are_free(attempt)


async def fetch(pool: Pool, query: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of one statement by itself; asked again as `until_locks_are_free` says."""

    async def attempt() -> list[asyncpg.Record]:
        async with connected(pool) as connection:
            return await connection.fetch(query, *arguments)

    return await until_locks_are_free(attempt)


async def fetch_value(pool: Pool, query: str, *arguments: object) -> Any:
    """The first column of its first row, None if there is none; otherwise as `fetch`."""
    rows = await fetch(pool, query, *arguments)
    return rows[0][0] if rows else None


async def database_id(pool: Pool) -> str:
    """What tells this database's bots apart in stores that they may share with others'."""
    return str(await fetch_value(pool, "SELECT oid::text FROM pg_database WHERE datname = current_database()"))
