"""`sandbox-bot`: what an operator types."""

from __future__ import annotations

import typer

from bot.cli import sandbox, service
from bot.cli.invocation import EXIT_CODES

cli = typer.Typer(
    name="sandbox-bot",
    help="A Discord bot that gives each developer an isolated, expiring slice of PostgreSQL, Redis and NATS.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(service.cli)
cli.add_typer(sandbox.cli, name="sandbox")


def main() -> None:
    """The entry point."""
    cli()
