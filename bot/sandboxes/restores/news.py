"""Tells the admins of a restore, in English: nobody has just said what they speak."""

from __future__ import annotations

from bot.sandboxes.access.store_restarts import TellAdmins
from bot.stores.postgres import Pool, Record, connected, load_queries

_SETTLED = "The restore of the bot's database is settled, and everything goes on. Tokens that were held are replaced."


class RestoreNews:
    """What the admins are told: that a restore was noticed, with what to do, and that it is settled."""

    def __init__(self, pool: Pool, tell_admins: TellAdmins) -> None:
        self._pool, self._tell_admins, self._sql = pool, tell_admins, load_queries("restores")

    async def tell(self) -> None:
        """What they have not been told yet. `ServiceUnavailable` if somebody does not take it."""
        async with connected(self._pool) as connection:
            restore = await connection.fetchrow(self._sql["get_untold"])
        if restore is None:
            return
        await self._tell_admins(_SETTLED if restore["settled_at"] else _noticed(restore))
        async with connected(self._pool) as connection:
            await connection.execute(self._sql["note_told"], restore["id"], restore["settled_at"] is not None)


def _noticed(restore: Record) -> str:
    newest = f"{restore['newest_at']:%Y-%m-%d %H:%M} UTC" if restore["newest_at"] else "before its first change"
    return (
        f"The bot's database was restored from a backup: it ends at {newest}, and changes until "
        f"{restore['known_at']:%Y-%m-%d %H:%M} UTC are known. Nothing is handed out, and tokens that may have ended "
        "since let nobody in. Look at `sandbox-bot check --restore`, then run `sandbox-bot settle-restore`."
    )
