"""What the commands print: JSON for scripts, tables for people."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table

from bot.cli.relay_rendering import relay_line
from bot.durations import format_duration
from bot.sandboxes.access.isolation import Isolation
from bot.sandboxes.health import GuildRouting, Health, RoutingHealth
from bot.sandboxes.lifecycle.orphans import Orphan, Proof
from bot.sandboxes.metadata import write_tags
from bot.sandboxes.model import OPERATOR, OPERATOR_DETAIL, AuditEntry, Extension, Sandbox
from sandbox_worker.text import plain, printable_json


def show_json(data: object) -> None:
    """One JSON value on standard output: on one line for a program, indented on a terminal."""
    ascii_only = codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"
    written = json.dumps(data, indent=2 if sys.stdout.isatty() else None, ensure_ascii=ascii_only, default=str)
    typer.echo(printable_json(written))


@contextmanager
def progress(doing: str | None, *, quiet: bool) -> Iterator[None]:
    """A spinner on a terminal's standard error, gone when it is done."""
    if doing is None or quiet or not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(f"{doing} …"):
        yield


def show_sandboxes(sandboxes: Sequence[Sandbox]) -> None:
    """A table with a line for each; a sentence if there is none."""
    if not sandboxes:
        typer.echo("There is no such sandbox.")
        return
    headings = ("name", "id", "status", "owner", "servers", "events", "expires")
    _table(headings, [_row(sandbox) for sandbox in sandboxes])


def _row(sandbox: Sandbox) -> tuple[str, ...]:
    return (
        sandbox.name,
        sandbox.short_id,
        sandbox.status,
        str(sandbox.owner_id),
        str(len(sandbox.guild_ids)),
        str(sandbox.event_count),
        _relative(sandbox.expires_at),
    )


def show_sandbox(sandbox: Sandbox) -> None:
    """A fact on each line."""
    _pairs(
        ("name", sandbox.name),
        ("id", str(sandbox.id)),
        ("owner", str(sandbox.owner_id)),
        ("description", sandbox.description or ""),
        ("tags", ", ".join(write_tags(sandbox.tags)) or "none"),
        ("made", ", ".join(_origin(sandbox)) or "before that was noted"),
        ("status", str(sandbox.status)),
        ("expires", f"{sandbox.expires_at:%Y-%m-%d %H:%M:%S} UTC, {_relative(sandbox.expires_at)}"),
        ("servers", ", ".join(map(str, sandbox.guild_ids)) or "none"),
        ("last activity", _relative(sandbox.last_activity_at) if sandbox.last_activity_at else "none yet"),
        ("events", f"{sandbox.event_count:,}"),
        ("schema", sandbox.schema_name),
        ("stream", sandbox.stream),
    )


def show_extension(extension: Extension) -> None:
    """The sandbox, and that it got less than was asked for, if so."""
    show_sandbox(extension.sandbox)
    if extension.capped:
        typer.echo("Capped: it gets no more, for it has reached the longest life of a sandbox then.")


def _origin(sandbox: Sandbox) -> list[str]:
    """From what it was made, as far as its metadata says so."""
    told = (("from", "created_from"), ("template", "template"))
    return [f"{word} {sandbox.metadata[key]}" for word, key in told if key in sandbox.metadata]


def show_health(health: Health, isolation: Isolation) -> None:
    """The sandbox, a line for each store and each server, then the level with its reasons."""
    show_sandbox(health.sandbox)
    stores = [
        (name, ("ok: " if store.ok else "NOT OK: ") + store.summary + f"; isolation {getattr(isolation, name)}")
        for name, store in health.stores.items()
    ]
    guilds = [(f"server {guild.guild_id}", _guild_line(guild)) for guild in health.routing.guilds]
    clients = (
        [("", f"{client.summary}, connected {_relative(client.connected_since)}") for client in health.relay.clients]
        if health.relay is not None
        else []
    )
    _pairs(*stores, ("routing", _routing_line(health.routing)), *guilds, ("relay", relay_line(health.relay)), *clients)
    _pairs(("health", str(health.level)), *(("", reason) for reason in health.reasons))


def _routing_line(routing: RoutingHealth) -> str:
    last = f"last event {_relative(routing.last_event_at)}" if routing.last_event_at else "no event yet"
    return ". ".join([f"{routing.summary}, {last}", *routing.unknown])


def _guild_line(guild: GuildRouting) -> str:
    presence = guild.presence
    route = {True: "a route is in force", False: "NO ROUTE", None: "whether a route is in force is not known"}
    has_bot = {True: "the bot is in it", False: "THE BOT IS NOT IN IT", None: "whether the bot is in it is not known"}
    facts = [route[guild.in_force], has_bot[presence.has_bot if presence else None]]
    if presence and presence.name:
        facts.insert(0, presence.name)
    if presence and presence.hidden_channels:
        facts.append(f"channels hidden from it: {len(presence.hidden_channels)}")
    return ", ".join(facts)


def show_audit(entries: Sequence[AuditEntry]) -> None:
    """A table in the order given, with times in UTC."""
    rows = [
        (
            f"{entry.created_at:%Y-%m-%d %H:%M:%S}",
            entry.event_type,
            _who(entry),
            json.dumps({key: value for key, value in entry.details.items() if key != OPERATOR_DETAIL}),
        )
        for entry in entries
    ]
    _table(("when (UTC)", "event", "who", "details"), rows)


def _who(entry: AuditEntry) -> str:
    if entry.actor_id == OPERATOR.id:
        return f"operator {entry.operator}" if entry.operator else "operator"
    return str(entry.actor_id) if entry.actor_id is not None else "the bot"


_PROOFS = {
    Proof.DESTROYED: "its sandbox is destroyed",
    Proof.MARK: "made by this database, which knows no such sandbox",
    Proof.DISCORD: "Discord has not let it go yet: a running bot tries again",
    Proof.NONE: "perhaps another installation's: never dropped",
}


def show_orphans(orphans: Sequence[Orphan], *, dropped: bool) -> None:
    """A table of what was found, or of what was `dropped`."""
    if not orphans:
        typer.echo("Nothing was dropped." if dropped else "There are no orphans.")
        return
    sizes = ("" if orphan.size is None else str(orphan.size) for orphan in orphans)
    rows = [
        (orphan.kind, orphan.name, size, _PROOFS[orphan.proof]) for orphan, size in zip(orphans, sizes, strict=True)
    ]
    _table(("dropped" if dropped else "kind", "name", "size", "why"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    _console().print(table, markup=False)


def _pairs(*pairs: tuple[str, str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, plain(value))
    _console().print(table)


def _console() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)


def _relative(moment: datetime) -> str:
    left = moment - datetime.now(UTC)
    return f"in {format_duration(left)}" if left.total_seconds() >= 1 else f"{format_duration(-left)} ago"
