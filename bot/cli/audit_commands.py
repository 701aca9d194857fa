"""`sandbox-bot sandbox audit` and `export-audit`: what was done, and by whom."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bot import constants
from bot.cli import json_data, rendering
from bot.cli.runtime import Config, Json, operator, read_settings, run_on_stores, run_with_manager
from bot.durations import parse_duration
from bot.sandboxes.audit_log import AuditLog
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import AuditEntry
from bot.stores.opening import Stores

cli = typer.Typer()

_WHICH = "Its name, its id or the first eight digits of that; of a destroyed one the whole id."


@cli.command()
def audit(
    sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help=_WHICH)],
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=constants.COMMAND_LINE_ROWS, help="At most so many, the newest.")
    ] = 50,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show what was done with a sandbox, newest first; of a destroyed one by its id."""

    async def work(manager: SandboxManager) -> list[AuditEntry]:
        found = await manager.find(operator(), sandbox, destroyed=True)
        return list(await manager.get_audit(operator(), found.id, limit=limit))

    entries = run_with_manager(work, config, "reading", as_json=as_json)
    if as_json:
        rendering.show_json([json_data.audit_data(entry) for entry in entries])
    else:
        rendering.show_audit(entries)


@cli.command("export-audit")
def export_audit(
    sandbox: Annotated[str | None, typer.Option("--sandbox", help=f"Only of this one. {_WHICH}")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only of the last time, like 25h or 7d.")] = None,
    config: Config = None,
) -> None:
    """Write out the audit log of all sandboxes, oldest first: a JSON object a line, each as in `audit --json`.

    It is kept as long as audit_retention in config.toml says. An entry is known by its id, also where exports overlap.
    """

    async def work(stores: Stores, manager: SandboxManager) -> None:
        found = await manager.find(operator(), sandbox, destroyed=True) if sandbox is not None else None
        age = parse_duration(since) if since is not None else None
        async for entries in AuditLog(stores.pool).read(found.id if found else None, age):
            typer.echo("\n".join(json.dumps(json_data.audit_data(entry)) for entry in entries))

    run_on_stores(read_settings(config, quiet=True), work, None, as_json=False)
