"""The steps of the client's start, each of which may be tried again while Discord fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import discord

from bot import constants
from bot.client import SandboxBot
from bot.discord_away import FAILURES, DiscordUnavailable, refuses_token, unavailable
from bot.routing.shards import serve
from bot.settings import Settings, SettingsError
from bot.supervisor import Part, backoff


async def log_in(bot: SandboxBot, settings: Settings) -> None:
    """`DiscordUnavailable`: it may be tried again; `SettingsError`: Discord refuses the token."""
    try:
        await bot.login(settings.require_token())
    except (discord.LoginFailure, *FAILURES) as error:
        await bot.reset_http()
        raise _explained(error, settings) from error


async def find_shards(bot: SandboxBot, settings: Settings) -> None:
    """Ask Discord how many there are, where the settings don't say; errors as of `log_in`."""
    try:
        await bot.find_shards()
    except FAILURES as error:
        raise _explained(error, settings) from error


async def connect(bot: SandboxBot, settings: Settings) -> None:
    """Until the client is closed. What fails with one of `log_in`'s errors has launched no shard yet: later each shard
    connects again by itself, until Discord refuses it for good (`SettingsError`)."""
    try:
        if bot.shard_count is not None:  # otherwise it is asked for anyway; a shard would ask for ever
            await bot.http.get_bot_gateway()
        await serve(bot)
    except FAILURES as error:
        raise _explained(error, settings) from error


def lift_when_connected(bot: SandboxBot, part: Part) -> None:
    """From the first session on, new or resumed, the part runs and no silence of Discord's ends it."""

    async def connected() -> None:
        bot.silence.lift()
        part.running()

    for event in ("on_connect", "on_resumed"):
        bot.add_listener(connected, event)


async def try_until_done(part: Part, step: Callable[[], Awaitable[None]]) -> None:
    """Again and again, with back-off, as long as it is Discord that fails."""
    for pause_s in backoff(constants.DISCORD_RETRY_S, constants.DISCORD_RETRY_LONGEST_S):
        try:
            await step()
            break
        except DiscordUnavailable as error:
            part.failing(error)
            await asyncio.sleep(max(pause_s, error.retry_after_s))


def _explained(error: Exception, settings: Settings) -> Exception:
    if isinstance(error, discord.LoginFailure) or refuses_token(error):
        return SettingsError("discord.token: Discord refuses it; set DISCORD_TOKEN to the bot's token.")
    return unavailable(error, settings.discord.api_base)
