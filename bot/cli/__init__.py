"""`sandbox-bot`: what an operator types."""

from __future__ import annotations

import typer

from bot.cli import bot_commands, sandbox_commands, worker
from bot.cli.runtime import EXIT_CODES

cli = typer.Typer(
    name="sandbox-bot",
    help="A Discord bot that gives each developer an isolated, expiring slice of PostgreSQL, Redis and NATS.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(bot_commands.cli)
cli.add_typer(sandbox_commands.cli, name="sandbox")
cli.add_typer(worker.cli, name="worker")


def main() -> None:
    """The entry point."""
    cli()
