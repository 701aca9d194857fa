"""`sandbox-bot settle-restore`: the end of a restore from a backup."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.rendering import show_json
from bot.cli.runtime import Config, Json, Yes, confirm_or_exit, operator, read_settings, run_on_stores
from bot.control_plane import make_restore_settlement
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.restores.settlement import Settled
from bot.stores.opening import Stores

cli = typer.Typer()


@cli.command()
def settle_restore(
    replace_all: Annotated[
        bool,
        typer.Option(
            "--replace-all",
            help="Replace the credentials of all sandboxes: where all three stores were restored, nothing tells which "
            "of them were revoked since.",
        ),
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """After PostgreSQL was restored from a backup: replace the credentials that may have ended since, and let the bots
    go on. `check --restore` lists what does not match, and what becomes of it."""
    settings = read_settings(config, quiet=True, as_json=as_json)
    question = "Replace the credentials of all sandboxes?" if replace_all else "Replace the credentials that are held?"
    confirm_or_exit(f"{question} Their workers need new ones then.", yes=yes, as_json=as_json)

    async def work(stores: Stores, manager: SandboxManager) -> Settled:
        settlement = make_restore_settlement(settings, stores, manager.access)
        return await settlement.settle(operator(), replace_all=replace_all)

    settled = run_on_stores(settings, work, "settling", as_json=as_json)
    if as_json:
        show_json(settled._asdict())
    else:
        state = "settled, and the bots go on" if settled.was_unsettled else "no restore was unsettled"
        typer.echo(f"{state}; credentials replaced: {settled.replaced}")
