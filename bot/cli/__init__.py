"""`sandbox-bot`: what an operator types."""

from __future__ import annotations

import errno
import platform
import sys
from importlib.metadata import version
from itertools import pairwise, takewhile
from typing import Annotated, cast

import typer

from bot.cli import bot_commands, discord_command, relay_commands, sandbox_commands
from bot.cli.runtime import EX_FAILED, EX_USAGE, EXIT_CODES, exit_with_error
from bot.shutdown import leave

cli = typer.Typer(
    name="sandbox-bot",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cli.add_typer(bot_commands.cli)
cli.add_typer(discord_command.cli)
cli.add_typer(relay_commands.cli)
cli.add_typer(sandbox_commands.cli, name="sandbox")


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""What every complaint about the command line is; Typer has no name of its own for it."""


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
        _run_for_program() if _wants_json(sys.argv[1:]) else cli(prog_name="sandbox-bot")
    except SystemExit as ending:
        leave(ending.code)
        raise
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        as_json = _wants_json(sys.argv[1:])
        exit_with_error(f"{error.filename or 'the output'}: {error.strerror}", EX_FAILED, as_json=as_json)


def _run_for_program() -> None:
    """Typer would draw a box around wrong usage."""
    try:
        sys.exit(cli(prog_name="sandbox-bot", standalone_mode=False))
    except UsageError as error:
        exit_with_error(error.format_message(), EX_USAGE, as_json=True)
    except typer.Abort:
        exit_with_error("nothing was done", EX_FAILED, as_json=True)


def _wants_json(arguments: list[str]) -> bool:
    """As the command line says, whether or not it can be understood."""
    words = list(takewhile(lambda word: word != "--", arguments))
    return not {"--json", "--format=json"}.isdisjoint(words) or ("--format", "json") in pairwise(words)
