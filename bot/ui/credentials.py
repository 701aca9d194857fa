"""Shows the environment of a sandbox's workers, and a token exactly once."""

from __future__ import annotations

import asyncio
from uuid import UUID

from bot import answering, constants
from bot.client import Interaction
from bot.sandboxes.access.connection import ConnectionDetails
from bot.sandboxes.model import Sandbox
from bot.ui import replies
from bot.ui.buttons import pressed_sandbox, rotate_view
from bot.ui.signed_button import on_press
from sandbox_worker.standard_names import DatabaseForm


async def connect(
    interaction: Interaction, sandbox: Sandbox, *, rotate: bool = False, form: DatabaseForm | None = None
) -> None:
    """With a token if there was none before, or in the place of the old one. A repeat leaves what it has been shown.
    With a form, under the names that tools look for, too."""
    bot = interaction.client
    details = await bot.manager.issue_credentials(bot.actor(interaction.user), sandbox.id, rotate=rotate)
    if was_lost := details.is_repeat:
        fresh = await _replace_lost(interaction, sandbox.id)
        if fresh is None:
            return
        details = fresh
    if form is not None:
        details = details.with_standard_names(form)
    embed, file = replies.connection(details, replaces_lost=was_lost)
    view = None if details.has_token else await rotate_view(bot, sandbox, interaction.user.id, form)
    await answering.of(interaction).show(embed, view=view, file=file)


async def _replace_lost(interaction: Interaction, sandbox_id: UUID) -> ConnectionDetails | None:
    """None if the token was shown, or is now: whoever issued it may be on the way with it."""
    bot = interaction.client
    while True:
        shown = await answering.of(interaction).original()
        if shown is not None and shown.attachments:
            return None
        details = await bot.manager.reissue_credentials(bot.actor(interaction.user), sandbox_id)
        if details is not None:
            return details
        await asyncio.sleep(constants.SHOWN_CREDENTIALS_ASKED_EVERY_S)


@on_press("rotate")
async def _rotate(interaction: Interaction, arguments: str) -> None:
    """Ends the old credentials with their connections. The new ones come in an answer of their own."""
    reference, _, form = arguments.partition(":")
    sandbox = await pressed_sandbox(interaction, reference)
    await connect(interaction, sandbox, rotate=True, form=DatabaseForm(form) if form else None)
