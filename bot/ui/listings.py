"""What the bot says of many sandboxes, or of what was done with one."""

from __future__ import annotations

from collections.abc import Sequence

import discord
from discord.utils import escape_markdown, format_dt

from bot.i18n import gettext, ngettext
from bot.sandboxes.model import OPERATOR, AuditEntry, Sandbox, SandboxStatus

_MARKS = {
    SandboxStatus.RUNNING: "🟢",
    SandboxStatus.EXPIRED: "🟠",
    SandboxStatus.PENDING: "⚪",
    SandboxStatus.CREATING: "⚪",
    SandboxStatus.DESTROYING: "⚫",
    SandboxStatus.DESTROYED: "⚫",
}
_LONGEST = 4000


def sandboxes(shown: Sequence[Sandbox], total: int, *, own: bool, filtered: bool) -> discord.Embed:
    """One page of them; `own`: they are the reader's, so whose they are need not be said."""
    if not shown:
        nothing = gettext("There is no such sandbox.")
        return discord.Embed(
            description=nothing
            if filtered or not own
            else gettext("You have no sandboxes. `/sandbox create` makes one.")
        )
    title = gettext("Your sandboxes") if own else gettext("Sandboxes")
    embed = discord.Embed(title=f"{title} ({total})", colour=discord.Colour.blurple())
    for sandbox in shown:
        facts = [f"`{sandbox.short_id}`", gettext(sandbox.status), until(sandbox), count_servers(sandbox)]
        if sandbox.event_count:
            facts.append(count_events(sandbox))
        if not own:
            facts.insert(1, f"<@{sandbox.owner_id}>")
        embed.add_field(name=f"{_MARKS[sandbox.status]} {sandbox.name}", value=" · ".join(facts), inline=False)
    return embed


def audit(sandbox: Sandbox, entries: Sequence[AuditEntry]) -> discord.Embed:
    """The newest first, as many as fit."""
    lines: list[str] = []
    for entry in entries:
        line = _line(entry)
        if sum(map(len, lines)) + len(lines) + len(line) > _LONGEST:
            break
        lines.append(line)
    title = gettext("What was done with “{name}”", name=sandbox.name)
    return discord.Embed(title=title, description="\n".join(lines), colour=discord.Colour.blurple())


def until(sandbox: Sandbox) -> str:
    when = format_dt(sandbox.expires_at, "R")
    if sandbox.status is SandboxStatus.RUNNING:
        return gettext("expires {when}", when=when)
    return gettext("expired {when}", when=when)


def count_servers(sandbox: Sandbox) -> str:
    count = len(sandbox.guild_ids)
    return ngettext(count, "{number} server", "{number} servers") if count else gettext("no servers")


def count_events(sandbox: Sandbox) -> str:
    return ngettext(sandbox.event_count, "{number:,} event", "{number:,} events")


def _line(entry: AuditEntry) -> str:
    who = {None: gettext("the bot"), OPERATOR.id: gettext("the operator")}.get(entry.actor_id, f"<@{entry.actor_id}>")
    details = ", ".join(f"{name}: {_plain(value)}" for name, value in entry.details.items())
    return f"{format_dt(entry.created_at, 'R')} `{entry.event_type}` · {who}" + (f" · {details}" if details else "")


def _plain(value: object) -> str:
    return escape_markdown(str(value)[:100])
