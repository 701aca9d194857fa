"""The one kind of button that the bot has: it acts only if the bot has signed what stands in its custom id.

A press carries no authority: each action checks whether whoever pressed may do it. Buttons outlive a restart.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import discord
from discord import ButtonStyle
from discord.ui import Button, DynamicItem, View

from bot import answering
from bot.client import Interaction, SandboxBot, report
from bot.custom_ids import COMPONENT_PREFIX, CustomId, claimed_action
from bot.errors import NotAllowed
from bot.ui import replies

Press = Callable[[Interaction, str], Awaitable[None]]
"""What a button does, with the arguments in its custom id."""

_presses: dict[str, Press] = {}
_in_place: set[str] = set()
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


def on_press(action: str, *, in_place: bool = False) -> Callable[[Press], Press]:
    """A decorator: the function is what buttons with that action do. `in_place`: the answer replaces the message, if
    that is the bot's own; a copy of its button may stand where others read it."""

    def register(press: Press) -> Press:
        _presses[action] = press
        if in_place:
            _in_place.add(action)
        return press

    return register


class SignedButton(DynamicItem[Button[View]], template=COMPONENT_PREFIX + r"[\s\S]*"):
    """Also whatever only looks like one, of an older version or a worker's, so that its presser is told."""

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction[Any], item: Any, __: re.Match[str], /) -> Self:
        """What was pressed, as it stands in the message."""
        return cls(item)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Does what was signed. Errors reach its presser, as those of a command do: discord.py would only log them."""
        answer = interaction.client.begin_answer(interaction)
        if answer is None:
            return
        try:
            answer.in_place = await self._is_to_be_replaced(interaction)
            if await answer.is_wanted():
                await self._press(interaction)
        except Exception as error:
            await report(interaction, error)

    async def _press(self, interaction: Interaction) -> None:
        """For the asker if there is one; `NotAllowed` for anybody else."""
        custom_id = await interaction.client.custom_ids.read(self.custom_id, interaction.channel_id)
        if custom_id is None:
            await _press_unsigned(interaction, self.custom_id)
            return
        if custom_id.asker_id not in (None, interaction.user.id):
            raise NotAllowed("Only the one who was asked may answer that.")
        await _presses[custom_id.action](interaction, custom_id.arguments)

    async def _is_to_be_replaced(self, interaction: Interaction) -> bool:
        """Asked before PostgreSQL, which may be slow: it decides how the answer is promised, and permits nothing."""
        message = interaction.message
        if message is None or claimed_action(self.custom_id) not in _in_place:
            return False
        return await interaction.client.own_messages.includes(message.id)


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
    """discord.py does not keep it: a press is known by its custom id."""
    view = View(timeout=None)
    for button in buttons:
        view.add_item(button)
    view.stop()
    return view


async def extend(interaction: Interaction, sandbox_id: UUID, seconds: str) -> None:
    """Leaves the notice as it is: the others who got it may press theirs."""
    bot, by = interaction.client, timedelta(seconds=int(seconds))
    extension = await bot.manager.extend_ttl(bot.actor(interaction.user), sandbox_id, by)
    await answering.of(interaction).show(replies.extended(extension))


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
