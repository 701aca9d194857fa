"""Tells a user that no worker answers; Discord would only say that the application did not respond."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import discord
from loguru import logger

from bot.client import SandboxBot
from bot.language import speak
from bot.routing.response_watchdog import Unanswered
from bot.sandboxes.model import Sandbox
from bot.ui import replies


class UnansweredReply:
    """Answers in a worker's place, unless one has answered after all."""

    def __init__(self, bot: SandboxBot, find: Callable[[UUID], Awaitable[Sandbox]]) -> None:
        self._bot, self._find = bot, find

    async def send(self, unanswered: Unanswered) -> None:
        sandbox = await self._find(unanswered.sandbox_id)
        # discord.py has not parsed it, and its own constructor wants the client's state, which is private.
        interaction = discord.Interaction(data=unanswered.data, state=self._bot._connection)  # type: ignore[arg-type]
        speak(interaction.locale.value)
        embed = replies.unanswered(sandbox, is_deserted=unanswered.is_deserted)
        try:
            await interaction.response.send_message(embed=embed, ephemeral=True)
        except discord.HTTPException as error:  # answered meanwhile, or too late for anybody
            logger.debug("an interaction needed no answer", sandbox=sandbox.name, error=str(error))
