"""Why a connection to Discord's gateway ends, and what then is of use: to resume, to begin anew, or only a mend."""

from __future__ import annotations

from http import HTTPStatus

import aiohttp
import discord
import discord.gateway

from bot import constants
from bot.settings import SettingsError

SESSION_ENDED = frozenset({4007, 4009})
"""Discord refuses the sequence, or the session is over: to resume would be refused again, for ever."""

AUTHENTICATION_FAILED = 4004

_FINAL = {
    AUTHENTICATION_FAILED: "discord.token: Discord refuses it; set DISCORD_TOKEN to the bot's token.",
    4010: (
        "discord.shard_count: Discord knows no such shard; give every process the same shard_count, and shard_ids "
        "below it, or leave out both."
    ),
    4011: (
        "discord.shard_count: the bot is in too many servers for so few shards; raise it in every process, or set it "
        "to 0 for as many as Discord recommends."
    ),
    4012: (
        "discord.api_base: Discord no longer takes the gateway's protocol that this version of the bot speaks; "
        "install a newer version."
    ),
    4013: (
        "discord.privileged_intents: Discord knows none such; take those out of config.toml that the developer portal "
        "doesn't list under “Bot”, or install a newer version of the bot."
    ),
    4014: (
        "discord.privileged_intents: Discord refuses them; switch them on under “Bot” in the developer portal, or take "
        "them out of config.toml."
    ),
}
FINAL = frozenset(_FINAL)
"""After which every other connection would end in the same way, until somebody has changed a setting."""


def explain(code: int) -> SettingsError:
    """The setting for which Discord has closed a connection for good, and the mend."""
    return SettingsError(_FINAL[code])


PASSING = (
    discord.gateway.ReconnectWebSocket,
    discord.GatewayNotFound,
    discord.HTTPException,
    aiohttp.ClientError,
    OSError,
)
"""Why an attempt to connect may fail, so that a later one is worth it."""


def final_code(error: Exception) -> int | None:
    """None if a later attempt may succeed."""
    if isinstance(error, discord.ConnectionClosed):
        return error.code if error.code in FINAL else None
    cause = error.__cause__
    is_unauthorized = isinstance(cause, discord.HTTPException) and cause.status == HTTPStatus.UNAUTHORIZED
    return AUTHENTICATION_FAILED if is_unauthorized else None


def describe(error: Exception) -> str:
    """In one line, for the log."""
    if isinstance(error, discord.gateway.ReconnectWebSocket):
        return "closed before Discord has greeted"
    return f"{type(error).__name__}: {error.__cause__ or error}".strip(": ")[: constants.ERROR_DETAIL_CHARS]
