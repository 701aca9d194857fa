"""The button that follows a dry run: it drops what is orphaned when it is pressed, not what was shown."""

from __future__ import annotations

import re
from typing import Any, Self

import discord
from discord import ButtonStyle
from discord.ui import Button, DynamicItem, View

from bot.client import Interaction
from bot.errors import NotAllowed
from bot.i18n import gettext
from bot.ui import admin_replies
from bot.ui.buttons import ASKER, CUSTOM_ID, report_errors, require_asker


class DropOrphansButton(DynamicItem[Button[View]], template=CUSTOM_ID + "orphans:" + ASKER + "$"):
    """Drops what is proved to be ours among the orphans there are by then."""

    def __init__(self, asker_id: int) -> None:
        self.asker_id = asker_id
        super().__init__(
            Button(label=gettext("Drop them"), style=ButtonStyle.danger, custom_id=f"{CUSTOM_ID}orphans:{asker_id}")
        )

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction[Any], __: object, match: re.Match[str], /) -> Self:
        return cls(int(match["asker"]))

    @report_errors
    async def callback(self, interaction: Interaction) -> None:
        """For the asker, if still an admin; `CleanupRefused` where nothing seems to belong to a living sandbox."""
        require_asker(interaction, self.asker_id)
        bot = interaction.client
        if not bot.actor(interaction.user).is_admin:
            raise NotAllowed("Only the bot's admins may do that.")
        await interaction.response.defer()
        dropped = await bot.orphans.drop()
        await interaction.edit_original_response(embed=admin_replies.dropped(dropped), view=None)


def orphans_view(asker_id: int) -> View:
    """Goes with `admin_replies.orphans`, if any of them is ours to drop."""
    return View(timeout=None).add_item(DropOrphansButton(asker_id))
