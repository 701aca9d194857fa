"""What the bot says to its admins."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from bot.language import say, say_count
from bot.sandboxes.lifecycle.orphans import Orphan, Proof
from bot.sandboxes.lifecycle.reaper import Sweep

_MOST = 30


def orphans(found: Sequence[Orphan]) -> discord.Embed:
    """Found by a dry run. What may be another installation's is shown too, and never dropped."""
    if not found:
        return discord.Embed(description=say("Nothing is orphaned."), colour=discord.Colour.green())
    title = say_count(len(found), "{number} orphan found", "{number} orphans found")
    return discord.Embed(title=title, description=_named(found), colour=discord.Colour.orange())


def dropped(gone: Sequence[Orphan]) -> discord.Embed:
    title = say_count(len(gone), "{number} orphan dropped", "{number} orphans dropped")
    return discord.Embed(title=title, description=_named(gone), colour=discord.Colour.dark_grey())


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


def _named(found: Sequence[Orphan]) -> str:
    proofs = {
        Proof.DESTROYED: say("its sandbox is destroyed"),
        Proof.MARK: say("no such sandbox is known"),
        Proof.NONE: say("it may be another installation's and stays"),
    }
    lines = [f"{orphan.kind} `{orphan.name}` · {proofs[orphan.proof]}" for orphan in found[:_MOST]]
    return "\n".join([*lines, "…"] if len(found) > _MOST else lines)
