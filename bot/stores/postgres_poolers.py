"""A pooler before PostgreSQL, such as PgBouncer: each session of the bot's has to be one of the server's."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

from bot import constants
from bot.settings import SettingsError
from bot.stores.failures import MIXED_UP, POOLED
from bot.stores.postgres import Pool, connected


async def require_sessions(pool: Pool) -> None:
    """Has one connection notify another one; `SettingsError` if the latter never hears of it."""
    channel, heard = f"sandbox_probe_{secrets.token_hex(8)}", asyncio.Event()

    def note(*_: object) -> None:
        heard.set()

    try:
        async with connected(pool) as listener, connected(pool) as notifier:
            await listener.add_listener(channel, note)
            await notifier.execute("SELECT pg_notify($1, '')", channel)
            # Meanwhile nothing is asked of the listener: what comes for others to the session that answers, a pooler
            # would hand on to it.
            with suppress(TimeoutError):
                async with asyncio.timeout(constants.POSTGRES_NOTIFIED_WITHIN_S):
                    await heard.wait()
            await listener.execute("SELECT")  # it has not been lost
            await listener.remove_listener(channel, note)
    except MIXED_UP as error:
        raise SettingsError(POOLED) from error
    if not heard.is_set():
        raise SettingsError(POOLED)
