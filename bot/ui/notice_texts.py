"""The words of the direct messages about expiries, removals, sizes and scripts, for owner and admins.

In English: nobody has just said what they speak.
"""

from __future__ import annotations

from datetime import timedelta

import discord
from discord.utils import format_dt

from bot.sandboxes.lifecycle.notices import Delivery, NoticeKind, Unbinding
from bot.sandboxes.model import Sandbox
from bot.ui.plain_text import as_written


def notice_embed(delivery: Delivery, sandbox: Sandbox, grace: timedelta, *, max_megabytes: int = 4096) -> discord.Embed:
    """Told in advance: `grace`, how long the data stays after the expiry, and `max_megabytes`, how large it may be."""
    own = delivery.recipient_id == sandbox.owner_id
    which = f"Your sandbox “{sandbox.name}”" if own else f"Sandbox “{sandbox.name}” of <@{sandbox.owner_id}>"
    if delivery.kind is NoticeKind.TOO_LARGE:
        title, text = _size_words(which, max_megabytes)
    else:
        title, text = _words(delivery, sandbox, grace, which)
    embed = discord.Embed(title=title, description=text, colour=discord.Colour.orange())
    return embed.set_footer(text=notice_footer(delivery))


def notice_footer(delivery: Delivery) -> str:
    """By which the bot finds its own notice again when it does not know whether it was sent."""
    return f"Notice {delivery.notice_id}"


def _words(delivery: Delivery, sandbox: Sandbox, grace: timedelta, which: str) -> tuple[str, str]:
    """Title and text; `which` begins a sentence about the sandbox."""
    when = format_dt(sandbox.expires_at, "R")
    if delivery.kind is NoticeKind.EXPIRY_WARNING:
        return "A sandbox is about to expire", f"{which} expires {when}."
    if delivery.kind is NoticeKind.SCRIPTS_WITHDRAWN:
        return "A sandbox may run no more scripts in Valkey", (
            f"{which} ran a script that did not end, and kept all others from the server. It was stopped. EVAL is "
            "refused to the sandbox from now on; everything else works."
        )
    if delivery.unbinding is not None:
        return "A server was unbound", f"{which} gets no events of {_server(delivery)} any more: {_reason(delivery)}"
    if delivery.kind is NoticeKind.GUILD_REMOVED:
        server = _server(delivery)
        return "The bot was removed from a server", (
            f"{which} gets no events of {server} any more. Invite the bot again and bind the server to get them back."
        )
    deleted = format_dt(sandbox.expires_at + grace, "R")
    return "A sandbox has expired", (
        f"{which} expired {when} and gets no events any more. Its data is deleted {deleted}."
    )


def _size_words(which: str, max_megabytes: int) -> tuple[str, str]:
    return "A sandbox takes much of the disk", (
        f"{which} has become large in PostgreSQL. Above {max_megabytes} MB its sessions are ended. Drop or truncate "
        "what is not needed, or reset it; `/sandbox status` says how large it is."
    )


def _server(delivery: Delivery) -> str:
    return f"**{as_written(delivery.guild_name)}**" if delivery.guild_name else f"server {delivery.guild_id}"


def _reason(delivery: Delivery) -> str:
    if delivery.unbinding is Unbinding.BY_MANAGER:
        return f"<@{delivery.person_id}>, who manages the server, has unbound it."
    lost = (
        "you bound it and do"
        if delivery.person_id == delivery.recipient_id
        else f"<@{delivery.person_id}> bound it and does"
    )
    return f"{lost} not have “Manage Server” there any more. Whoever has it may bind the server again."
