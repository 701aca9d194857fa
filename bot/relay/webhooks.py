"""The webhooks that sandboxes' own bots have made: noted, for their addresses work without the relay, and deleted in
Discord when the sandbox has not got the server any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from loguru import logger

from bot import constants
from bot.relay.identity import IdentitySource
from bot.relay.upstream import DiscordAway, Refused, Upstream
from bot.routing.dispatch import made_at
from bot.stores.postgres import Pool, fetch, fetch_value, load_queries

_ANSWERED_WITHIN = timedelta(seconds=constants.RELAY_WEBHOOK_ANSWER_WITHIN_S)
_SPARED = timedelta(seconds=constants.RELAY_WEBHOOKS_SPARED_S)
_CLOCKS_DIFFER_S = 5
_UNKNOWN_CHANNEL, _UNKNOWN_WEBHOOK = 10003, 10015


class MadeWebhooks:
    """Each is noted before Discord is asked for it. `reconcile` is one turn over those that are to go."""

    def __init__(self, pool: Pool, upstream: Upstream, identity: IdentitySource) -> None:
        self._pool, self._upstream, self._identity = pool, upstream, identity
        self._sql = load_queries("relay_webhooks")

    async def begin(self, sandbox_id: UUID, guild_id: int, channel_id: int) -> int:
        """The note's id. `ServiceUnavailable` without PostgreSQL: then none is to be made."""
        return int(await fetch_value(self._pool, self._sql["begin"], sandbox_id, guild_id, channel_id))

    async def settle(self, note: int, webhook_id: int) -> None:
        """Discord has made it."""
        await fetch(self._pool, self._sql["settle"], note, webhook_id)

    async def forget(self, note: int) -> None:
        """There is none."""
        await fetch(self._pool, self._sql["forget"], note)

    async def forget_webhook(self, webhook_id: int) -> None:
        """Its own bot has deleted it."""
        await fetch(self._pool, self._sql["forget_webhook"], webhook_id)

    async def reconcile(self) -> None:
        """After unbinding and ends, and what failed before. `ServiceUnavailable` without PostgreSQL."""
        for row in await fetch(self._pool, self._sql["take_unanswered"], _ANSWERED_WITHIN, _SPARED):
            await self._find(row)
        for row in await fetch(self._pool, self._sql["take_left"], _SPARED):
            await self._delete(row)

    async def _delete(self, row: asyncpg.Record) -> None:
        webhook_id = int(row["webhook_id"])
        try:
            answer = await self._upstream.request("DELETE", f"/webhooks/{webhook_id}")
        except DiscordAway as error:
            logger.warning("a sandbox's webhook is not deleted yet", webhook=webhook_id, error=str(error))
            return
        if answer.status < 300 or (answer.status == 404 and answer.code == _UNKNOWN_WEBHOOK):
            await self.forget(row["id"])
            logger.info("a sandbox's webhook is deleted", sandbox=str(row["sandbox_id"]), webhook=webhook_id)
        else:
            logger.warning(
                "Discord does not let the bot delete a sandbox's webhook: give it Manage Webhooks there, or delete it",
                webhook=webhook_id,
                guild=int(row["guild_id"]),
                status=answer.status,
            )

    async def _find(self, row: asyncpg.Record) -> None:
        """Whether Discord has made what it never answered about."""
        try:
            shown = await self._upstream.get(f"/channels/{row['channel_id']}/webhooks")
        except DiscordAway:
            return
        except Refused as refused:
            if refused.answer.code == _UNKNOWN_CHANNEL:
                await self.forget(row["id"])
            return
        made = [each for each in shown if await self._may_be(each, row["begun_at"])]
        known = {
            int(each["webhook_id"])
            for each in await fetch(self._pool, self._sql["known"], [int(each["id"]) for each in made])
        }
        found = [int(each["id"]) for each in made if int(each["id"]) not in known]
        if len(found) == 1:
            await self.settle(row["id"], found[0])
        elif not found:
            await self.forget(row["id"])
        else:
            logger.warning("it is not known which webhook is a sandbox's", channel=int(row["channel_id"]), found=found)

    async def _may_be(self, webhook: dict[str, Any], begun_at: datetime) -> bool:
        """Made by the application's user, in the time in which that one was."""
        after_s = made_at(int(webhook["id"])) - begun_at.timestamp()
        is_own = str((webhook.get("user") or {}).get("id")) == (await self._identity.get()).user_id
        return is_own and -_CLOCKS_DIFFER_S <= after_s <= constants.RELAY_WEBHOOK_ANSWER_WITHIN_S + _CLOCKS_DIFFER_S
