"""`sandbox-bot check`: its options. What it does is imported with Discord's library, which no other command needs."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.runtime import EX_USAGE, Config, Json, exit_with_error
from bot.durations import parse_duration
from bot.errors import InvalidInput

cli = typer.Typer()


@cli.command()
def check(
    no_trials: Annotated[
        bool,
        typer.Option(
            "--no-trials",
            help="Write nothing at all: do not try the template in a transaction that is rolled back, nor Redis's ACL "
            "by a user that is off and deleted again.",
        ),
    ] = False,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore",
            help="Only what does not match after PostgreSQL was restored from a backup, each with what will be done.",
        ),
    ] = False,
    within: Annotated[str, typer.Option("--within", help="How long to wait for whatever does not answer.")] = "8s",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Ask the stores, Discord and this machine whether they would serve the bot, all at the same time. It leaves
    nothing: no migration, no key, no stream, no folder.

    Each finding is ok, a warning or a failure, with the mend. Exit code 0 unless there is a failure; then 78 if the
    configuration is wrong, or else 69 if a service is not reachable, or else 1.
    """
    from bot.cli.check.run import run

    run(config, within_s=_read_within(within, as_json), trials=not no_trials, of_restore=restore, as_json=as_json)


def _read_within(within: str, as_json: bool) -> float:
    try:
        return parse_duration(within).total_seconds()
    except InvalidInput as error:
        exit_with_error(str(error), EX_USAGE, as_json=as_json)
