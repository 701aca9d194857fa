"""The one kind of button that the bot has: it acts only if the bot has signed what stands in its custom id.

A press carries no authority: each action checks whether whoever pressed may do it. Buttons outlive a restart.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import discord
from discord import ButtonStyle
from discord.ui import Button, DynamicItem, View
from discord.utils import MISSING

from bot.client import Interaction, SandboxBot, report
from bot.custom_ids import COMPONENT_PREFIX, CustomId
from bot.errors import NotAllowed
from bot.i18n import activate_locale
from bot.ui import replies

Press = Callable[[Interaction, str], Awaitable[None]]
"""What a button does, with the arguments in its custom id."""

_presses: dict[str, Press] = {}
_OLD = re.compile(COMPONENT_PREFIX + r"v1:(?P<action>[a-z]+):(?:(?P<sandbox>[0-9a-f]{32}):(?P<seconds>\d{1,9})$)?")
"""A custom id of version 0.1, which was not signed; with sandbox and seconds that of a notice."""
_COMMANDS = {
    "destroy": "/sandbox destroy",
    "extend": "/sandbox extend",
    "keep": "/sandbox list",
    "orphans": "/sandbox-admin orphans",
    "page": "/sandbox list",
    "reset": "/sandbox reset",
    "rotate": "/sandbox connect",
}
"""By an action of version 0.1, what does the same."""


def on_press(action: str) -> Callable[[Press], Press]:
    """A decorator: the function is what buttons with that action do."""

    def register(press: Press) -> Press:
        _presses[action] = press
        return press

    return register


def report_errors[ItemT](
    callback: Callable[[ItemT, Interaction], Awaitable[None]],
) -> Callable[[ItemT, discord.Interaction[Any]], Coroutine[Any, Any, None]]:
    """Errors of a button reach its presser, as those of a command do: discord.py would only log them."""

    async def wrapped(item: ItemT, interaction: discord.Interaction[Any]) -> None:
        activate_locale(interaction.locale.value)
        interaction.client.track_current_task()
        try:
            await callback(item, interaction)
        except Exception as error:
            await report(interaction, error)

    return wrapped


class SignedButton(DynamicItem[Button[View]], template=COMPONENT_PREFIX + r"[\s\S]*"):
    """Also whatever only looks like one, of an older version or a worker's, so that its presser is told."""

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction[Any], item: Any, __: re.Match[str], /) -> Self:
        """What was pressed, as it stands in the message."""
        return cls(item)

    @report_errors
    async def callback(self, interaction: Interaction) -> None:
        """Does what was signed, for the asker if there is one; `NotAllowed` for anybody else."""
        custom_id = await interaction.client.custom_ids.read(self.custom_id, interaction.channel_id)
        if custom_id is None:
            await _press_unsigned(interaction, self.custom_id)
            return
        if custom_id.asker_id not in (None, interaction.user.id):
            raise NotAllowed("Only the one who was asked may answer that.")
        await _presses[custom_id.action](interaction, custom_id.arguments)


async def make_button(
    bot: SandboxBot,
    custom_id: CustomId,
    label: str,
    style: ButtonStyle = ButtonStyle.danger,
    *,
    channel_id: int | None = None,
) -> SignedButton:
    """`channel_id`: where it is going to stand, if it is for no asker alone."""
    signed = await bot.custom_ids.sign(custom_id, channel_id)
    return SignedButton(Button(label=label, style=style, custom_id=signed))


def make_view(*buttons: SignedButton) -> View:
    """Never times out."""
    view = View(timeout=None)
    for button in buttons:
        view.add_item(button)
    return view


async def answer(interaction: Interaction, embed: discord.Embed, view: View | None = None) -> None:
    """For the asker alone. If it has buttons, these may change it later."""
    if interaction.response.is_done():
        message = await interaction.followup.send(embed=embed, view=view or MISSING, ephemeral=True, wait=True)
        message_id: int | None = message.id
    else:
        response = await interaction.response.send_message(embed=embed, view=view or MISSING, ephemeral=True)
        message_id = response.message_id
    if view is not None and message_id is not None:
        await interaction.client.own_messages.add(message_id)


async def replace(interaction: Interaction, embed: discord.Embed, view: View | None = None) -> None:
    """In the place of the question, if that is the bot's own; a copy of its button may stand where others read it."""
    if await _is_own(interaction):
        await interaction.response.edit_message(embed=embed, view=view)
    else:
        await answer(interaction, embed, view)


async def defer_replacement(interaction: Interaction) -> None:
    """As `replace`, with `edit_original_response` afterwards."""
    if await _is_own(interaction):
        await interaction.response.defer()
    else:
        await interaction.response.defer(ephemeral=True, thinking=True)


async def extend(interaction: Interaction, sandbox_id: UUID, seconds: str) -> None:
    """Leaves the notice as it is: the others who got it may press theirs."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    bot, by = interaction.client, timedelta(seconds=int(seconds))
    extension = await bot.manager.extend_ttl(bot.actor(interaction.user), sandbox_id, by)
    await interaction.followup.send(embed=replies.extended(extension), ephemeral=True)


async def _is_own(interaction: Interaction) -> bool:
    message = interaction.message
    return message is not None and await interaction.client.own_messages.includes(message.id)


async def _press_unsigned(interaction: Interaction, text: str) -> None:
    """Only a notice of version 0.1 in a direct message still works, where nobody but the bot has written it."""
    old = _OLD.match(text)
    if old and old["sandbox"] and old["action"] == "extend" and await _is_old_notice(interaction):
        await extend(interaction, UUID(old["sandbox"]), old["seconds"])
        return
    command = _COMMANDS.get(old["action"], "/sandbox") if old else "/sandbox"
    raise NotAllowed(
        "This button is not the bot's own, or it is from before an update. Use `{command}`.", command=command
    )


async def _is_old_notice(interaction: Interaction) -> bool:
    message = interaction.message
    if interaction.guild_id is not None or message is None or message.author != interaction.client.user:
        return False
    return message.id < await interaction.client.custom_ids.get_since()
