"""`sandbox-bot`: what an operator types."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Annotated

import typer

from bot.cli import bot_commands, relay_commands, sandbox_commands
from bot.cli.runtime import EXIT_CODES
from bot.shutdown import leave

cli = typer.Typer(
    name="sandbox-bot",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cli.add_typer(bot_commands.cli)
cli.add_typer(relay_commands.cli)
cli.add_typer(sandbox_commands.cli, name="sandbox")


def _print_version(wanted: bool) -> None:
    if wanted:
        libraries = f"Python {platform.python_version()}, discord.py {version('discord.py')}"
        typer.echo(f"sandbox-bot {version('discord-sandboxes')} ({libraries})")
        raise typer.Exit


@cli.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the versions and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A Discord bot that gives each developer an isolated, expiring slice of PostgreSQL, Valkey and NATS."""


def main() -> None:
    """The entry point of `sandbox-bot` and of `python -m bot`."""
    try:
        cli(prog_name="sandbox-bot")
    except SystemExit as ending:
        leave(ending.code)
        raise
