"""PostgreSQL: how the database comes to what this version needs."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.stores.postgres import Connection, Pool, connected, sql_folder


async def migrate(pool: Pool) -> list[str]:
    """Apply what is not applied yet, in order, and return the names of it.

    Safe to run twice and from several processes at once: the ledger table's lock lets one through at a time.
    It is a table's lock because, unlike an advisory one, no other role of the database can hold it. What waits too long
    for a lock of a running bot's gives way and is done again. `ServiceUnavailable` if the role of the pool may not do
    it, or somebody keeps a table locked or has a schema of the bot's name.
    """
    give_up_at = time.monotonic() + constants.MIGRATION_TRIED_FOR_S
    while True:
        try:
            async with connected(pool) as connection:
                return await _migrate(connection)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if time.monotonic() > give_up_at:
                detail = f"{error}; end the session that holds a lock on the bot's tables (see pg_stat_activity)"
                raise ServiceUnavailable("PostgreSQL", detail) from error
        await asyncio.sleep(constants.MIGRATION_TRIED_AGAIN_AFTER_S)


async def list_missing_migrations(pool: Pool) -> tuple[list[str], bool]:
    """What `migrate` would apply, in order, and whether nobody has ever migrated."""
    async with connected(pool) as connection:
        has_ledger = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        rows = await connection.fetch("SELECT name FROM schema_migrations") if has_ledger else []
    applied = {row["name"] for row in rows}
    return [name for name, _ in _migrations() if name not in applied], not has_ledger


@asynccontextmanager
async def trial(pool: Pool, *, migrating: bool = False) -> AsyncIterator[Connection]:
    """A transaction that is rolled back in any case. `migrating`: as if `migrate` had been there; its locks would hold
    up whoever uses the database."""
    async with connected(pool) as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            if migrating:
                await _migrate(connection)
            yield connection
        finally:
            await transaction.rollback()


async def _migrate(connection: Connection) -> list[str]:
    try:
        await _ensure_ledger(connection)
        return await _apply_missing(connection)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
        detail = f"{error}; the role of DATABASE_URL has to own the database"
        raise ServiceUnavailable("PostgreSQL", detail) from error
    except asyncpg.DuplicateSchemaError as error:
        raise ServiceUnavailable("PostgreSQL", f"{error}, and is to be the bot's own: rename it") from error


async def _apply_missing(connection: Connection) -> list[str]:
    async with connection.transaction():
        await connection.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
        applied = {row["name"]: row["checksum"] for row in rows}
        await connection.execute(f"SET LOCAL lock_timeout = '{constants.MIGRATION_WAITS_FOR_LOCK_S}s'")
        missing = [name for name, text in _migrations() if await _apply(connection, name, text, applied.get(name))]
        await _store_template(connection)
        return missing


async def _ensure_ledger(connection: Connection) -> None:
    """Made in `public`, where all began; a migration takes it to `sandbox_control` with the rest."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.schema_migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
        logger.debug("another process made the ledger at the same moment")


async def _store_template(connection: Connection) -> None:
    """A copy of the bot's own template, for `create_sandbox_schema()`."""
    paths = (sql_folder() / "template").glob("*.sql")
    template = {path.name: path.read_text(encoding="utf-8") for path in paths}
    rows = await connection.fetch("SELECT file, body FROM sandbox_template")
    if template != {row["file"]: row["body"] for row in rows}:
        await connection.execute("DELETE FROM sandbox_template")
        await connection.executemany("INSERT INTO sandbox_template (file, body) VALUES ($1, $2)", template.items())


def _migrations() -> list[tuple[str, str]]:
    paths = sorted((sql_folder() / "migrations").glob("*.sql"))
    return [(path.stem, path.read_text(encoding="utf-8")) for path in paths]


async def _apply(connection: Connection, name: str, text: str, applied_checksum: str | None) -> bool:
    checksum = hashlib.sha256(text.encode()).hexdigest()
    if applied_checksum is not None:
        if applied_checksum != checksum:
            raise RuntimeError(f"migration {name} was changed after it had been applied; add a new one")
        return False
    await connection.execute(text)
    await connection.execute("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", name, checksum)
    logger.info("migration applied", migration=name)
    return True
