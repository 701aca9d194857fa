"""The buttons about one sandbox: to extend it, and the answers to what a command asks."""

from __future__ import annotations

from datetime import timedelta

from discord import ButtonStyle
from discord.ui import View

from bot import answering
from bot.client import Interaction, SandboxBot
from bot.custom_ids import CustomId
from bot.durations import format_duration
from bot.i18n import gettext
from bot.sandboxes.model import Sandbox
from bot.ui import replies
from bot.ui.signed_button import SignedButton, extend, make_button, make_view, on_press
from sandbox_worker.standard_names import DatabaseForm

_EXTEND, _OFFER = "extend", "offer"


async def extend_view(bot: SandboxBot, sandbox: Sandbox, by: timedelta, channel_id: int, *, is_public: bool) -> View:
    """For a notice: it is for whoever may. Where others write, too, it only asks: somebody may copy it there."""
    action = _OFFER if is_public else _EXTEND
    return make_view(await _extend_button(bot, action, sandbox, by, channel_id=channel_id))


async def rotate_view(bot: SandboxBot, sandbox: Sandbox, asker_id: int, form: DatabaseForm | None = None) -> View:
    """Beside an environment without credentials, which were shown before. `form`: of the standard names, if they were
    wanted."""
    arguments = f"{sandbox.reference}:{form}" if form else str(sandbox.reference)
    custom_id = CustomId("rotate", arguments, asker_id)
    return make_view(await make_button(bot, custom_id, gettext("New credentials")))


async def destroy_view(bot: SandboxBot, sandbox: Sandbox, asker_id: int) -> View:
    """The answers to `replies.confirm_destroy`."""
    destroy = await _asker_button(bot, "destroy", gettext("Destroy"), sandbox, asker_id)
    return make_view(destroy, await _keep_button(bot, sandbox, asker_id))


async def reset_view(bot: SandboxBot, sandbox: Sandbox, asker_id: int) -> View:
    """The answers to `replies.confirm_reset`."""
    reset = await _asker_button(bot, "reset", gettext("Reset"), sandbox, asker_id)
    return make_view(reset, await _keep_button(bot, sandbox, asker_id))


@on_press(_EXTEND)
async def _extend(interaction: Interaction, arguments: str) -> None:
    reference, seconds = arguments.split(":")
    await extend(interaction, (await pressed_sandbox(interaction, reference)).id, seconds)


@on_press(_OFFER)
async def _offer(interaction: Interaction, arguments: str) -> None:
    """The question, which only the presser sees, says what the button is about, whatever stands beside it."""
    reference, seconds = arguments.split(":")
    sandbox, by = await pressed_sandbox(interaction, reference), timedelta(seconds=int(seconds))
    button = await _extend_button(interaction.client, _EXTEND, sandbox, by, asker_id=interaction.user.id)
    await answering.of(interaction).show(replies.confirm_extend(sandbox, by), view=make_view(button))


@on_press("destroy", in_place=True)
async def _destroy(interaction: Interaction, reference: str) -> None:
    """Takes the buttons away first, so that a second press finds none; the outcome replaces the question."""
    answer, bot, sandbox = answering.of(interaction), interaction.client, await pressed_sandbox(interaction, reference)
    await answer.progress(replies.destroying(sandbox.name))
    sandbox = await bot.manager.destroy(bot.actor(interaction.user), sandbox.id)
    await answer.show(replies.destroyed(sandbox))


@on_press("reset", in_place=True)
async def _reset(interaction: Interaction, reference: str) -> None:
    """As of `_destroy`."""
    answer, bot, sandbox = answering.of(interaction), interaction.client, await pressed_sandbox(interaction, reference)
    await answer.progress(replies.resetting(sandbox.name))
    sandbox = await bot.manager.reset(bot.actor(interaction.user), sandbox.id)
    await answer.show(replies.was_reset(sandbox))


@on_press("keep", in_place=True)
async def _keep(interaction: Interaction, reference: str) -> None:
    """Replaces the question, with its buttons, by a sentence."""
    sandbox = await pressed_sandbox(interaction, reference)
    await answering.of(interaction).show(replies.cancelled(sandbox.name))


async def pressed_sandbox(interaction: Interaction, reference: str) -> Sandbox:
    """`NotAllowed` if the presser may not see it (any more)."""
    bot = interaction.client
    return await bot.manager.get_by_reference(bot.actor(interaction.user), int(reference))


async def _extend_button(
    bot: SandboxBot,
    action: str,
    sandbox: Sandbox,
    by: timedelta,
    *,
    asker_id: int | None = None,
    channel_id: int | None = None,
) -> SignedButton:
    custom_id = CustomId(action, f"{sandbox.reference}:{int(by.total_seconds())}", asker_id)
    label = gettext("Extend by {duration}", duration=format_duration(by))
    return await make_button(bot, custom_id, label, ButtonStyle.primary, channel_id=channel_id)


async def _asker_button(
    bot: SandboxBot,
    action: str,
    label: str,
    sandbox: Sandbox,
    asker_id: int,
    style: ButtonStyle = ButtonStyle.danger,
) -> SignedButton:
    return await make_button(bot, CustomId(action, str(sandbox.reference), asker_id), label, style)


async def _keep_button(bot: SandboxBot, sandbox: Sandbox, asker_id: int) -> SignedButton:
    return await _asker_button(bot, "keep", gettext("Keep it"), sandbox, asker_id, ButtonStyle.secondary)
