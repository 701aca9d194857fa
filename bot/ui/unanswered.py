"""Tells a user that no worker answers; Discord would only say that the application did not respond."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import discord
from loguru import logger

from bot.client import SandboxBot
from bot.errors import ServiceUnavailable
from bot.explanations import DISCORD_FAILURES
from bot.i18n import activate_locale
from bot.routing.response_watchdog import Answer, Unanswered
from bot.sandboxes.model import Sandbox
from bot.ui import replies


class UnansweredReply:
    """Answers in a worker's place, unless one has answered after all."""

    def __init__(self, bot: SandboxBot, find: Callable[[UUID], Awaitable[Sandbox]]) -> None:
        self._bot, self._find = bot, find

    async def prepare(self, sandbox_id: UUID) -> Answer:
        """What answers for a sandbox. That nobody can be told whose it is is no error: it answers nothing then."""
        try:
            return partial(self._send, await self._find(sandbox_id))
        except ServiceUnavailable as error:
            logger.debug("nobody is told that no worker answers", error=str(error))
            return _say_nothing

    async def _send(self, sandbox: Sandbox, unanswered: Unanswered) -> None:
        """Only the user sees it. That Discord refuses it is no error: a worker has answered, or it is too late."""
        # discord.py makes interactions of those alone that it dispatches itself, by this constructor with its
        # private connection state; this one was forwarded and never dispatched. Should either move, this raises at the
        # first unanswered interaction, and tests/e2e/test_unanswered.py fails.
        interaction = discord.Interaction(data=unanswered.data, state=self._bot._connection)  # type: ignore[arg-type]
        activate_locale(interaction.locale.value)
        embed = replies.unanswered(sandbox, is_deserted=unanswered.is_deserted)
        try:
            await interaction.response.send_message(embed=embed, ephemeral=True)
        except (*DISCORD_FAILURES, OSError) as error:  # answered meanwhile, or too late for anybody
            logger.debug("an interaction needed no answer", sandbox=sandbox.name, error=str(error))


async def _say_nothing(_: Unanswered) -> None:
    """Discord itself says that the application did not respond."""
