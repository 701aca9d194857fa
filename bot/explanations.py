"""What a user is told of an error, in the active locale."""

from __future__ import annotations

import aiohttp
import discord
from discord import app_commands

from bot.errors import CleanupFailed, ProvisioningFailed, SandboxError, ServiceUnavailable
from bot.i18n import gettext

DISCORD_FAILURES = (discord.HTTPException, aiohttp.ClientError)
"""What Discord refuses or does not answer. It is no bug of ours, unless it does not understand what we send."""

_INVALID_FORM = 50035


def explain(error: BaseException) -> str | None:
    """A sentence about an expected failure; None for a bug."""
    error = cause(error)
    match error:
        case SandboxError():
            sentences = [gettext(each.sentence, **each.data) for each in (error, error.shortage) if each is not None]
            return f"{' '.join(sentences)} `{error.code}`"
        case app_commands.CommandNotFound() | app_commands.CommandSignatureMismatch():
            return gettext("The bot's commands have changed. Reload Discord (Ctrl+R) and try again.")
        case app_commands.CheckFailure():
            return gettext("You are not allowed to do that.")
        case _:
            return explain(ServiceUnavailable.because("Discord", error)) if is_of_discord(error) else None


def outcome(error: BaseException) -> str:
    """What is counted of it: the asker was `refused` something, a service was `unavailable`, or the bot has
    `failed`."""
    if isinstance(cause(error), ServiceUnavailable) or is_of_discord(cause(error)):
        return "unavailable"
    is_bug = explain(error) is None
    return "failed" if is_bug or isinstance(cause(error), ProvisioningFailed | CleanupFailed) else "refused"


def cause(error: BaseException) -> BaseException:
    """What has failed, without discord.py's wrapping."""
    if isinstance(error, app_commands.CommandInvokeError | app_commands.TransformerError | app_commands.CheckFailure):
        return error.__cause__ or error
    return error


def is_of_discord(error: BaseException) -> bool:
    """Whether Discord, or the way there, has failed, rather than the bot."""
    return isinstance(error, DISCORD_FAILURES) and getattr(error, "code", 0) != _INVALID_FORM
