"""How notices reach people: by a direct message, else in the configured channel, else in the audit log alone."""

from __future__ import annotations

from datetime import timedelta

import discord

from bot import constants
from bot.client import SandboxBot
from bot.discord_away import is_refusal
from bot.sandboxes.lifecycle.notices import Delivery, Outcome
from bot.sandboxes.model import Sandbox
from bot.ui.buttons import extend_view
from bot.ui.notice_texts import notice_embed, notice_footer


class Messenger:
    """Delivers a notice once: Discord drops a repeat by its nonce for minutes, after that the history tells."""

    def __init__(
        self,
        bot: SandboxBot,
        *,
        channel_id: int | None,
        grace: timedelta,
        extend_by: timedelta,
        max_megabytes: int = 4096,
    ) -> None:
        """`max_megabytes` that a sandbox may take of PostgreSQL's disk, for who is told that it takes much."""
        self._bot, self._channel_id = bot, channel_id
        self._grace, self._extend_by, self._max_megabytes = grace, extend_by, max_megabytes

    async def deliver(self, delivery: Delivery, sandbox: Sandbox) -> Outcome:
        """How it ended, if for good. Any exception means that a later attempt may succeed."""
        try:
            user = await self._bot.fetch_user(delivery.recipient_id)
            await self._send(await user.create_dm(), delivery, sandbox)
        except (discord.Forbidden, discord.NotFound) as error:
            if not is_refusal(error):
                raise
            return await self._deliver_to_channel(delivery, sandbox)
        return Outcome.SENT

    async def _deliver_to_channel(self, delivery: Delivery, sandbox: Sandbox) -> Outcome:
        if self._channel_id is None:
            return Outcome.UNDELIVERABLE
        channel = self._bot.get_partial_messageable(self._channel_id)
        try:
            await self._send(channel, delivery, sandbox, mention=f"<@{delivery.recipient_id}>")
        except (discord.Forbidden, discord.NotFound) as error:
            if not is_refusal(error):
                raise
            return Outcome.UNDELIVERABLE
        return Outcome.SENT_TO_CHANNEL

    async def _send(
        self,
        channel: discord.DMChannel | discord.PartialMessageable,
        delivery: Delivery,
        sandbox: Sandbox,
        mention: str | None = None,
    ) -> None:
        if delivery.attempts > 1 and await self._was_sent(channel, delivery, mention):
            return
        view = discord.utils.MISSING
        if delivery.is_of_expiry:
            is_public = mention is not None
            view = await extend_view(self._bot, sandbox, self._extend_by, channel.id, is_public=is_public)
        await channel.send(
            mention,
            embed=notice_embed(delivery, sandbox, self._grace, max_megabytes=self._max_megabytes),
            view=view,
            nonce=delivery.key,
            allowed_mentions=discord.AllowedMentions(users=True),
        )

    async def _was_sent(
        self, channel: discord.DMChannel | discord.PartialMessageable, delivery: Delivery, mention: str | None
    ) -> bool:
        footer = notice_footer(delivery)
        async for message in channel.history(limit=constants.NOTICE_HISTORY):
            found = any(embed.footer.text == footer for embed in message.embeds)
            if found and (message.content or None) == mention and message.author == self._bot.user:
                return True
        return False
