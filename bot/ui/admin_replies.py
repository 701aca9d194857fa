"""What the bot says to its admins."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from bot.language import say, say_count
from bot.sandboxes.reaper import Sweep

_MOST_NAMES = 50


def orphans(schemas: Sequence[str]) -> discord.Embed:
    """Found by a dry run."""
    if not schemas:
        return discord.Embed(description=say("Nothing is orphaned."), colour=discord.Colour.green())
    title = say_count(len(schemas), "{number} schema is orphaned", "{number} schemas are orphaned")
    return discord.Embed(title=title, description=_names(schemas), colour=discord.Colour.orange())


def dropped(schemas: Sequence[str]) -> discord.Embed:
    title = say_count(len(schemas), "{number} orphaned schema dropped", "{number} orphaned schemas dropped")
    return discord.Embed(title=title, description=_names(schemas), colour=discord.Colour.dark_grey())


def swept(sweep: Sweep) -> discord.Embed:
    embed = discord.Embed(title=say("Swept"), colour=discord.Colour.green())
    for name, number in (
        (say("Warned"), sweep.warned),
        (say("Expired"), sweep.expired),
        (say("Destroyed"), sweep.destroyed),
        (say("Recovered"), sweep.recovered),
    ):
        embed.add_field(name=name, value=str(number))
    return embed


def _names(schemas: Sequence[str]) -> str:
    shown = "\n".join(f"`{name}`" for name in schemas[:_MOST_NAMES])
    return shown + ("\n…" if len(schemas) > _MOST_NAMES else "")
