"""`sandbox-bot sandbox status`: how a sandbox is, for people, scripts and monitoring."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bot.cli import json_data, rendering
from bot.cli.runtime import EX_FAILED, Config, Json, exit_with_error, operator, print_warning, run_with_manager
from bot.durations import parse_duration
from bot.sandboxes.health import Health, HealthLevel
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import SandboxStatus

cli = typer.Typer()


@cli.command()
def status(
    sandbox: Annotated[str, typer.Argument(metavar="SANDBOX", help="Its name, id or short id.")],
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, until Ctrl+C.")] = False,
    interval: Annotated[str, typer.Option("--interval", "-i", help="How often; at least 1s.")] = "2s",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Ask how a sandbox is: each store, its servers and routes, and, with a DISCORD_TOKEN, Discord.

    Healthy: exit code 0. Degraded, that is, it works with a loss: 0, with a warning on standard error.
    Unhealthy, that is, events or workers don't get through: 1.
    """
    from bot.health_sources import open_inspector

    async def show(manager: SandboxManager) -> Health:
        every = parse_duration(interval).total_seconds()
        found = await manager.find(operator(), sandbox)
        while True:
            health = await manager.get_health(found.id)
            _show(health, manager, as_json)
            if not watch or health.sandbox.status is SandboxStatus.DESTROYED:
                return health
            await asyncio.sleep(every)

    _exit(run_with_manager(show, config, as_json=as_json, open_inspector=open_inspector), as_json)


def _show(health: Health, manager: SandboxManager, as_json: bool) -> None:
    if as_json:
        rendering.show_json(json_data.health_data(health, manager.access.isolation))
    else:
        rendering.show_health(health, manager.access.isolation)


def _exit(health: Health, as_json: bool) -> None:
    said = f"{health.sandbox.name} is {health.level}: {' '.join(health.reasons)}"
    if health.level is HealthLevel.UNHEALTHY:
        exit_with_error(said, EX_FAILED, "UNHEALTHY" if as_json else None, as_json=as_json)
    if health.level is HealthLevel.DEGRADED:
        print_warning(said, as_json=as_json)
