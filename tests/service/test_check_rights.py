"""`sandbox-bot check` names what was taken from the bot in its own database."""

from __future__ import annotations

from types import SimpleNamespace

from bot.cli.check.of_postgres import migrations
from bot.findings import Level


async def test_tables_that_the_bot_may_not_use_any_more_are_named(pool):
    async def get():
        return pool

    async def look():
        return [
            (one.level, one.message) async for one in migrations(SimpleNamespace(postgres=SimpleNamespace(get=get)))
        ]

    fine = (Level.OK, "The database is what this version needs.")
    assert await look() == [fine]
    await pool.execute("REVOKE SELECT ON sandbox_control.sandbox_notices FROM CURRENT_USER")
    named = (Level.FAILURE, "The bot may not use tables of its own any more: sandbox_notices.")
    assert await look() == [fine, named]
