"""The PostgreSQL schema of a sandbox: made, measured and dropped by functions of the database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from loguru import logger

from bot import constants, names
from bot.errors import CleanupRefused
from bot.sandboxes.template import Statement, TemplateError, read_template
from bot.sandboxes.template_rights import explain_refusal
from bot.stores.migrations import trial
from bot.stores.postgres import UNREACHABLE, Connection, Pool, connected, load_queries, sql_folder, transaction

_SCHEMA_NAME = re.compile(names.SCHEMA_PREFIX + r"([0-9a-f]{8})")


def default_template() -> Path:
    """The folder of the bot's own one."""
    return sql_folder() / "template"


@dataclass(frozen=True, slots=True)
class TableStats:
    """One table of a sandbox: rows as the server estimates them, and bytes with indexes and toast.

    One that lies in another schema than the sandbox's own has that one's name and a dot before its own.
    """

    name: str
    rows: int
    bytes: int


class SchemaProvisioner:
    """Every method is one transaction of its own, or part of the caller's if a connection is given."""

    def __init__(self, pool: Pool, template: Sequence[Statement] | None = None) -> None:
        """Without a template, the bot's own."""
        self._pool = pool
        self._template = template if template is not None else read_template(default_template())
        self._sql = load_queries("schemas")

    @staticmethod
    def generate_schema_name(sandbox_id: UUID) -> str:
        """`sandbox_` and the first eight hexadecimal digits of the id."""
        return names.schema_name(sandbox_id)

    @staticmethod
    def extract_sandbox_id(schema_name: str) -> str | None:
        """The short id in a sandbox's schema name; None for any other schema, however alike its name."""
        found = _SCHEMA_NAME.fullmatch(schema_name)
        return found[1] if found else None

    async def create_schema(self, sandbox_id: UUID, connection: Connection | None = None) -> str:
        """Make the schema with what its template contains unless it is there, and return its name.

        The template is applied as the sandbox's role, if that is there already: it owns what is made.
        `TemplateError`: it does not apply, and the transaction is over.
        """
        if connection is None:
            async with transaction(self._pool) as own:
                return await self.create_schema(sandbox_id, own)
        if await self._value("create_empty_schema", connection, sandbox_id):
            await self._apply_template(sandbox_id, connection)
        return names.schema_name(sandbox_id)

    async def try_template(self, *, migrating: bool = False) -> None:
        """Make a schema by the template, as a role if sandboxes get one, and take it back; `TemplateError` if it does
        not apply. `migrating`: in a database that is still to be migrated."""
        sandbox_id = uuid4()
        async with trial(self._pool, migrating=migrating) as connection:
            await connection.execute(self._sql["create_trial_role"], sandbox_id)
            await self.create_schema(sandbox_id, connection)

    async def drop_schema(self, sandbox_id: UUID, connection: Connection | None = None) -> bool:
        """True if there was one; what else of schemas the sandbox has goes with it. One of that name that is not ours
        is an error.

        With a connection, `drop_batch` has to have made it small before.
        """
        while connection is None and await self.drop_batch(None, names.schema_name(sandbox_id)):
            pass
        return bool(await self._value("drop_schema", connection, sandbox_id))

    async def drop_batch(self, connection: Connection | None, schema_name: str) -> bool:
        """Drop `SCHEMA_DROP_BATCH` objects of a large schema; False if it is not large (any more).

        To be a transaction of its own: dropping a large schema whole needs more locks than the server has.
        """
        return bool(await self._value("drop_batch", connection, schema_name, constants.SCHEMA_DROP_BATCH))

    async def schema_exists(self, sandbox_id: UUID) -> bool:
        """Whether there is one with our mark."""
        return bool(await self._value("schema_exists", None, sandbox_id))

    async def get_schema_stats(self, sandbox_id: UUID) -> list[TableStats]:
        """By table name, those of the own schema first; empty if there is no schema."""
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["schema_stats"], sandbox_id)
        return [TableStats(row["table_name"], row["row_count"], row["total_bytes"]) for row in rows]

    async def list_schemas(self) -> list[str]:
        """The sandboxes' own schemas, which carry our mark, whether their sandbox lives or not."""
        async with connected(self._pool) as connection:
            return [row["schema_name"] for row in await connection.fetch(self._sql["list_schemas"])]

    async def list_orphans(self, min_age: timedelta) -> dict[str, bool]:
        """The schemas older than that which no living sandbox has; true: its sandbox is known to be destroyed."""
        async with connected(self._pool) as connection:
            rows = await connection.fetch(self._sql["list_orphans"], min_age)
        return {row["schema_name"]: row["was_destroyed"] for row in rows}

    async def cleanup_orphaned_schemas(
        self, *, dry_run: bool = True, min_age: timedelta = timedelta(hours=1), force: bool = False
    ) -> list[str]:
        """Drop schemas of ours older than `min_age` that no living sandbox has, and return their names.

        A dry run only names them. When nothing would be left, `CleanupRefused`, unless forced: rather than
        everything being an orphan, the bot may look at the wrong database.
        """
        orphans = list(await self.list_orphans(min_age))
        if dry_run or not orphans:
            return orphans
        if not force and set(await self.list_schemas()) <= set(orphans):
            raise CleanupRefused(len(orphans))
        return [name for name in orphans if await self.drop_orphan(name, min_age)]

    async def drop_orphan(self, schema_name: str, min_age: timedelta) -> bool:
        """False if it is no orphan any more."""
        while await self._value("drop_orphan_batch", None, schema_name, min_age, constants.SCHEMA_DROP_BATCH):
            pass
        dropped = bool(await self._value("drop_orphan", None, schema_name, min_age))
        if dropped:
            logger.warning("orphaned schema dropped", schema=schema_name)
        return dropped

    async def _apply_template(self, sandbox_id: UUID, connection: Connection) -> None:
        """All of it at once; one statement after another only to find the place that does not apply."""
        whole = ";\n".join(statement.text for statement in self._template)
        await self._limit_template(connection)
        try:
            await connection.execute(self._sql["apply_template"], sandbox_id, whole)
        except UNREACHABLE:
            raise
        except asyncpg.PostgresError:
            await connection.execute("ROLLBACK TO template")
            await self._apply_statements(sandbox_id, connection)
        await connection.execute("RELEASE template;" + connection.get_reset_query())

    async def _limit_template(self, connection: Connection) -> None:
        """It waits for no lock for long, and ends.

        After it, applied or not, all that it has set, also for the session, is set back: a session's locks outlive even
        the transaction's end.
        """
        seconds = {"lock_s": constants.TEMPLATE_LOCK_TIMEOUT_S, "statement_s": constants.TEMPLATE_STATEMENT_TIMEOUT_S}
        await connection.execute(self._sql["limit_template"] % seconds + "; SAVEPOINT template")

    async def _apply_statements(self, sandbox_id: UUID, connection: Connection) -> None:
        for statement in self._template:
            try:
                await connection.execute(self._sql["apply_template"], sandbox_id, statement.text)
            except UNREACHABLE:
                raise
            except asyncpg.PostgresError as error:
                await connection.execute("ROLLBACK TO template;" + connection.get_reset_query())
                raise _template_error(error, statement) from error

    async def _value(self, query: str, connection: Connection | None, *arguments: object) -> object:
        if connection is not None:
            return await connection.fetchval(self._sql[query], *arguments)
        async with connected(self._pool) as own:
            return await own.fetchval(self._sql[query], *arguments)


def _template_error(error: asyncpg.PostgresError, statement: Statement) -> TemplateError:
    place, message = statement.place(_position(error, statement)), error.message or repr(error)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return TemplateError(place, explain_refusal(message, statement.text), is_refusal=True)
    return TemplateError(place, message)


def _position(error: asyncpg.PostgresError, statement: Statement) -> int | None:
    """Where in the statement it went wrong; None if PostgreSQL does not say, or it is inside a function's body."""
    position = error.internal_position if error.internal_query == statement.text else None
    return int(position) if position else None
