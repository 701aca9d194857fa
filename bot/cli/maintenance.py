"""`sandbox-bot sandbox sweep` and `orphans`: what a running bot also does by itself."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from bot.cli import json_data, rendering
from bot.cli.runtime import Config, DryRun, Json, Yes, confirm_or_exit, read_settings, run_on_stores
from bot.control_plane import make_orphan_collector, make_reaper
from bot.sandboxes.lifecycle.orphans import Orphan
from bot.sandboxes.lifecycle.reaper import Sweep
from bot.sandboxes.manager import SandboxManager
from bot.stores.opening import Stores

cli = typer.Typer()


@cli.command()
def sweep(dry_run: DryRun = False, as_json: Json = False, config: Config = None) -> None:
    """Do what is due now: warn, expire, and take down what is over or stuck. A running bot does it by itself."""
    settings = read_settings(config, quiet=True, as_json=as_json)

    async def work(_: Stores, manager: SandboxManager) -> Sweep:
        reaper = make_reaper(settings, manager)
        return await (reaper.due() if dry_run else reaper.sweep())

    counts = dataclasses.asdict(run_on_stores(settings, work, "sweeping", as_json=as_json))
    if as_json:
        rendering.show_json(counts)
    else:
        typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


@cli.command()
def orphans(
    drop: Annotated[
        bool, typer.Option("--drop", help="Drop what is proved to be ours; otherwise it is only shown.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even if nothing seems to belong to a living sandbox.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show what no living sandbox owns: schemas, roles, streams, Redis users and keys, which --drop removes; and what
    its bot has left in Discord, which a running bot takes back."""
    settings = read_settings(config, quiet=True, as_json=as_json)
    if drop:
        confirm_or_exit("Drop everything that is proved to be left behind?", yes=yes, as_json=as_json)

    async def work(stores: Stores, manager: SandboxManager) -> list[Orphan]:
        collector = make_orphan_collector(settings, stores, manager)
        return await (collector.drop(force=force) if drop else collector.find())

    found = run_on_stores(settings, work, "looking", as_json=as_json)
    if as_json:
        rendering.show_json([json_data.orphan_data(orphan) for orphan in found])
    else:
        rendering.show_orphans(found, dropped=drop)
