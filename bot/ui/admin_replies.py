"""What the bot says to its admins."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from bot import constants
from bot.i18n import gettext, ngettext
from bot.sandboxes.lifecycle.orphans import Orphan, Proof
from bot.sandboxes.lifecycle.reaper import Sweep


def orphans(found: Sequence[Orphan]) -> discord.Embed:
    """Found by a dry run. What may be another installation's is shown too, and never dropped."""
    if not found:
        return discord.Embed(description=gettext("Nothing is orphaned."), colour=discord.Colour.green())
    title = ngettext(len(found), "{number} orphan found", "{number} orphans found")
    return discord.Embed(title=title, description=_named(found), colour=discord.Colour.orange())


def dropped(gone: Sequence[Orphan]) -> discord.Embed:
    """What is gone, which may be more or less than what the dry run had shown."""
    title = ngettext(len(gone), "{number} orphan dropped", "{number} orphans dropped")
    return discord.Embed(title=title, description=_named(gone), colour=discord.Colour.dark_grey())


def swept(sweep: Sweep) -> discord.Embed:
    """How many sandboxes a sweep has changed, by what it did."""
    embed = discord.Embed(title=gettext("Swept"), colour=discord.Colour.green())
    for name, number in (
        (gettext("Warned"), sweep.warned),
        (gettext("Expired"), sweep.expired),
        (gettext("Destroyed"), sweep.destroyed),
        (gettext("Recovered"), sweep.recovered),
    ):
        embed.add_field(name=name, value=str(number))
    return embed


def _named(found: Sequence[Orphan]) -> str:
    proofs = {
        Proof.DESTROYED: gettext("its sandbox is destroyed"),
        Proof.MARK: gettext("no such sandbox is known"),
        Proof.DISCORD: gettext("Discord has not let it go yet, the bot tries again"),
        Proof.NONE: gettext("it may be another installation's and stays"),
    }
    lines = [f"{orphan.kind} `{orphan.name}` · {proofs[orphan.proof]}" for orphan in found[: constants.LISTED_ORPHANS]]
    return "\n".join([*lines, "…"] if len(found) > constants.LISTED_ORPHANS else lines)
