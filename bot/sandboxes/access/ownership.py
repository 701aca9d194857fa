"""What stands in a sandbox's schema and belongs to somebody else, as what an administrator has made there by hand."""

from __future__ import annotations

from uuid import UUID

from bot import constants
from bot.stores.postgres import Connection, load_queries


async def describe_foreign(connection: Connection, sandbox_id: UUID) -> tuple[str, ...]:
    """A line for each table or view that the sandbox's role may not use: whose it is, and how that is mended.

    The bot cannot: of what is not its own it can give nothing away.
    """
    query = load_queries("access")["list_foreign"]
    rows = await connection.fetch(query, sandbox_id, constants.FOREIGN_TABLES_NAMED)
    return tuple(
        f"{row['name']} belongs to {row['owner']}, and the sandbox may not use it. A superuser gives it over by: "
        f"{row['command']}"
        for row in rows
    )
