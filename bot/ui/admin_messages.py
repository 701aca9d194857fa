"""What admins are told beside any sandbox: by a direct message, else in the configured channel.

In English: nobody has just said what they speak.
"""

from __future__ import annotations

import secrets

import discord

from bot.client import SandboxBot
from bot.discord_away import FAILURES, unavailable
from bot.errors import ServiceUnavailable


class AdminMessages:
    """Sends a text to each admin once, as far as this process knows; Discord drops a repeat for minutes."""

    def __init__(self, bot: SandboxBot, *, channel_id: int | None) -> None:
        self._bot, self._channel_id = bot, channel_id
        self._told: tuple[str, str, set[int]] = ("", "", set())
        """The last text, what tells it from an earlier one of the same words, and whom it has reached."""

    async def tell(self, text: str) -> None:
        """`ServiceUnavailable` if Discord does not take it from all: whom it has reached is left out the next time."""
        if self._bot.user is None:
            raise ServiceUnavailable("Discord", "the bot is not logged in yet")
        if self._told[0] != text:
            self._told = text, secrets.token_hex(4), set()
        _, mark, reached = self._told
        try:
            for admin_id in sorted(self._bot.admins - reached):
                await self._send(admin_id, text, f"{mark}-{admin_id % 10**9}")
                reached.add(admin_id)
        except FAILURES as error:
            raise unavailable(error, "a message to the admins") from error
        self._told = "", "", set()

    async def _send(self, admin_id: int, text: str, nonce: str) -> None:
        try:
            channel = await (await self._bot.fetch_user(admin_id)).create_dm()
            await channel.send(text, nonce=nonce)
        except (discord.Forbidden, discord.NotFound):
            await self._send_to_channel(admin_id, text, nonce)

    async def _send_to_channel(self, admin_id: int, text: str, nonce: str) -> None:
        """What reaches nobody stands in the log."""
        if self._channel_id is None:
            return
        channel = self._bot.get_partial_messageable(self._channel_id)
        mentions = discord.AllowedMentions(users=True)
        try:
            await channel.send(f"<@{admin_id}> {text}", nonce=nonce, allowed_mentions=mentions)
        except (discord.Forbidden, discord.NotFound):
            return
