"""Buttons that keep what they are about in their custom id, and so outlive a restart of the bot.

They carry no authority: the manager decides about whoever presses them. The ids stand in messages that were sent long
ago, so that their format may only be added to.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, ClassVar, Self
from uuid import UUID

import discord
from discord import ButtonStyle
from discord.ui import Button, DynamicItem, View

from bot.client import COMPONENT_PREFIX, Interaction, report
from bot.durations import format_duration
from bot.errors import NotAllowed
from bot.i18n import Translatable, activate_locale, gettext
from bot.ui import replies

CUSTOM_ID = COMPONENT_PREFIX + "v1:"
ASKER = r"(?P<asker>\d{17,20})"
_NO_CUSTOM_ID = r"(?!)"
"""The template of the base class, which discord.py wants too: it matches nothing."""

_SANDBOX = r"(?P<sandbox>[0-9a-f]{32})"


def _about_sandbox(action: str) -> str:
    return f"{CUSTOM_ID}{action}:{_SANDBOX}:{ASKER}$"


def require_asker(interaction: Interaction, asker_id: int) -> None:
    """`NotAllowed` if somebody else presses: a question in a channel is seen by more than its asker."""
    if interaction.user.id != asker_id:
        raise NotAllowed("Only the one who was asked may answer that.")


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


class ExtendButton(DynamicItem[Button[View]], template=CUSTOM_ID + "extend:" + _SANDBOX + r":(?P<seconds>\d{1,9})"):
    """Extends a sandbox by a fixed time, for whoever may: owner and admins get it in the notice of an expiry."""

    def __init__(self, sandbox_id: UUID, by: timedelta) -> None:
        self.sandbox_id, self.by = sandbox_id, by
        custom_id = f"{CUSTOM_ID}extend:{sandbox_id.hex}:{int(by.total_seconds())}"
        label = gettext("Extend by {duration}", duration=format_duration(by))
        super().__init__(Button(label=label, style=ButtonStyle.primary, custom_id=custom_id))

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction[Any], __: object, match: re.Match[str], /) -> Self:
        """The button that was pressed, from what its template has matched."""
        return cls(UUID(match["sandbox"]), timedelta(seconds=int(match["seconds"])))

    @report_errors
    async def callback(self, interaction: Interaction) -> None:
        """Leaves the notice as it is: the others who got it may press theirs."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        bot = interaction.client
        extension = await bot.manager.extend_ttl(bot.actor(interaction.user), self.sandbox_id, self.by)
        await interaction.followup.send(embed=replies.extended(extension), ephemeral=True)


class AskerButton(DynamicItem[Button[View]], template=_NO_CUSTOM_ID):
    """About one sandbox, and for the one who was asked about it alone."""

    action: ClassVar[str]
    label: ClassVar[Translatable]
    style: ClassVar[ButtonStyle] = ButtonStyle.danger

    def __init__(self, sandbox_id: UUID, asker_id: int) -> None:
        self.sandbox_id, self.asker_id = sandbox_id, asker_id
        custom_id = f"{CUSTOM_ID}{self.action}:{sandbox_id.hex}:{asker_id}"
        super().__init__(Button(label=gettext(self.label), style=self.style, custom_id=custom_id))

    @classmethod
    async def from_custom_id(cls, _: discord.Interaction[Any], __: object, match: re.Match[str], /) -> Self:
        """As of `ExtendButton`."""
        return cls(UUID(match["sandbox"]), int(match["asker"]))

    @report_errors
    async def callback(self, interaction: Interaction) -> None:
        """Presses it for the asker; `NotAllowed` for anybody else."""
        require_asker(interaction, self.asker_id)
        await self.press(interaction)

    async def press(self, interaction: Interaction) -> None:
        """What it does. The presser is the asker; whether they may do it is the manager's to decide."""
        raise NotImplementedError


class DestroyButton(AskerButton, template=_about_sandbox("destroy")):
    """Destroys a sandbox for good."""

    action, label = "destroy", Translatable("Destroy")

    async def press(self, interaction: Interaction) -> None:
        """Takes the buttons away first, so that a second press finds none; the outcome replaces the question."""
        bot = interaction.client
        name = (await bot.manager.get_by_id(self.sandbox_id)).name
        await interaction.response.edit_message(embed=replies.destroying(name), view=None)
        sandbox = await bot.manager.destroy(bot.actor(interaction.user), self.sandbox_id)
        await interaction.edit_original_response(embed=replies.destroyed(sandbox))


class ResetButton(AskerButton, template=_about_sandbox("reset")):
    """Puts a sandbox back to its template."""

    action, label = "reset", Translatable("Reset")

    async def press(self, interaction: Interaction) -> None:
        """As of `DestroyButton`."""
        bot = interaction.client
        name = (await bot.manager.get_by_id(self.sandbox_id)).name
        await interaction.response.edit_message(embed=replies.resetting(name), view=None)
        sandbox = await bot.manager.reset(bot.actor(interaction.user), self.sandbox_id)
        await interaction.edit_original_response(embed=replies.was_reset(sandbox))


class CancelButton(AskerButton, template=_about_sandbox("keep")):
    """Leaves a sandbox as it is. Its custom id says `keep`."""

    action, label, style = "keep", Translatable("Keep it"), ButtonStyle.secondary

    async def press(self, interaction: Interaction) -> None:
        """Replaces the question, with its buttons, by a sentence."""
        name = (await interaction.client.manager.get_by_id(self.sandbox_id)).name
        await interaction.response.edit_message(embed=replies.cancelled(name), view=None)


class RotateButton(AskerButton, template=_about_sandbox("rotate")):
    """Issues new credentials, which ends the old ones with their connections."""

    action, label = "rotate", Translatable("New credentials")

    async def press(self, interaction: Interaction) -> None:
        """The new credentials come in an answer of their own, which only the asker sees."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        bot = interaction.client
        details = await bot.manager.issue_credentials(bot.actor(interaction.user), self.sandbox_id, rotate=True)
        embed, file = replies.connection(details)
        await interaction.followup.send(embed=embed, file=file, ephemeral=True)


DYNAMIC_ITEMS = (ExtendButton, DestroyButton, ResetButton, CancelButton, RotateButton)


def extend_view(sandbox_id: UUID, by: timedelta) -> View:
    """For a notice: it has no asker, and never times out."""
    return View(timeout=None).add_item(ExtendButton(sandbox_id, by))


def rotate_view(sandbox_id: UUID, asker_id: int) -> View:
    """Beside an environment without credentials, which were shown before."""
    return View(timeout=None).add_item(RotateButton(sandbox_id, asker_id))


def destroy_view(sandbox_id: UUID, asker_id: int) -> View:
    """The answers to `replies.confirm_destroy`."""
    view = View(timeout=None)
    return view.add_item(DestroyButton(sandbox_id, asker_id)).add_item(CancelButton(sandbox_id, asker_id))


def reset_view(sandbox_id: UUID, asker_id: int) -> View:
    """The answers to `replies.confirm_reset`."""
    view = View(timeout=None)
    return view.add_item(ResetButton(sandbox_id, asker_id)).add_item(CancelButton(sandbox_id, asker_id))
