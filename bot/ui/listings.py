"""What the bot says of many sandboxes, or of what was done with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import discord
from discord.utils import format_dt

from bot import constants
from bot.i18n import gettext, ngettext
from bot.sandboxes.model import OPERATOR, AuditEntry, Sandbox, SandboxStatus
from bot.ui.plain_text import as_written

_MARKS = {
    SandboxStatus.RUNNING: "🟢",
    SandboxStatus.EXPIRED: "🟠",
    SandboxStatus.PENDING: "⚪",
    SandboxStatus.CREATING: "⚪",
    SandboxStatus.DESTROYING: "⚫",
    SandboxStatus.DESTROYED: "⚫",
}


def sandboxes(shown: Sequence[Sandbox], total: int, *, own: bool, filtered: bool) -> discord.Embed:
    """One page of `total`. `own`: they are the reader's, so that no owner is shown; `filtered`: not all."""
    if not shown:
        if own and not filtered:
            return discord.Embed(description=gettext("You have no sandboxes. `/sandbox create` makes one."))
        return discord.Embed(description=gettext("There is no such sandbox."))
    title = gettext("Your sandboxes") if own else gettext("Sandboxes")
    embed = discord.Embed(title=f"{title} ({total})", colour=discord.Colour.blurple())
    for sandbox in shown:
        name = f"{_MARKS[sandbox.status]} {sandbox.name}"
        embed.add_field(name=name, value=_facts(sandbox, own), inline=False)
    return embed


def _facts(sandbox: Sandbox, own: bool) -> str:
    facts = [f"`{sandbox.short_id}`", gettext(sandbox.status), _expiry(sandbox), count_servers(sandbox)]
    if sandbox.event_count:
        facts.append(count_events(sandbox))
    if not own:
        facts.insert(1, f"<@{sandbox.owner_id}>")
    return " · ".join(facts)


def audit(sandbox: Sandbox, entries: Sequence[AuditEntry]) -> discord.Embed:
    """The newest first, as many as fit."""
    lines: list[str] = []
    for entry in entries:
        line = _line(entry)
        if sum(map(len, lines)) + len(lines) + len(line) > constants.DESCRIPTION_CHARS:
            break
        lines.append(line)
    title = gettext("What was done with “{name}”", name=sandbox.name)
    return discord.Embed(title=title, description="\n".join(lines), colour=discord.Colour.blurple())


def _expiry(sandbox: Sandbox) -> str:
    when = format_dt(sandbox.expires_at, "R")
    if sandbox.status is SandboxStatus.RUNNING:
        return gettext("expires {when}", when=when)
    return gettext("expired {when}", when=when)


def count_servers(sandbox: Sandbox) -> str:
    """Such as “2 servers”, in the active locale."""
    count = len(sandbox.guild_ids)
    return ngettext(count, "{number} server", "{number} servers") if count else gettext("no servers")


def count_events(sandbox: Sandbox) -> str:
    """Such as “1,200 events”: how many have been routed to it, ever."""
    return ngettext(sandbox.event_count, "{number:,} event", "{number:,} events")


def _line(entry: AuditEntry) -> str:
    who = {None: gettext("the bot"), OPERATOR.id: gettext("the operator")}.get(entry.actor_id, f"<@{entry.actor_id}>")
    details = ", ".join(f"{name}: {_plain(value)}" for name, value in entry.details.items())
    return f"{format_dt(entry.created_at, 'R')} `{entry.event_type}` · {who}" + (f" · {details}" if details else "")


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name}={text}" for name, text in sorted(value.items()))
    return as_written(str(value)[:100])
