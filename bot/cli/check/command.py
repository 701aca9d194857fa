"""`sandbox-bot check`."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.check.checks import CHECKS
from bot.cli.check.examination import Examination, Outcome, examine, misconfigured
from bot.cli.check.rendering import examination_data, show_examination, terminal_locale
from bot.cli.check.surroundings import open_surroundings
from bot.cli.rendering import progress, show_json
from bot.cli.runtime import (
    EX_CONFIG,
    EX_FAILED,
    EX_UNAVAILABLE,
    EX_USAGE,
    Config,
    Json,
    configure_log,
    exit_with_error,
    print_warning,
    run_or_exit,
)
from bot.durations import parse_duration
from bot.errors import InvalidInput
from bot.findings import Cause, Level
from bot.i18n import activate_locale, gettext
from bot.settings import Settings, SettingsError, load_settings

cli = typer.Typer()

_EXIT_CODES = {Cause.CONFIGURATION: EX_CONFIG, Cause.UNAVAILABLE: EX_UNAVAILABLE, Cause.FAILED: EX_FAILED}


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
    within: Annotated[str, typer.Option("--within", help="How long to wait for whatever does not answer.")] = "8s",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Ask the stores, Discord and this machine whether they would serve the bot, all at the same time. It leaves
    nothing: no migration, no key, no stream, no folder.

    Each finding is ok, a warning or a failure, with the mend. Exit code 0 unless there is a failure; then 78 if the
    configuration is wrong, or else 69 if a service is not reachable, or else 1.
    """
    within_s = _read_within(within, as_json)
    if not as_json:
        activate_locale(terminal_locale())
    try:
        settings = load_settings(config)
    except SettingsError as error:
        found = Examination([Outcome("settings", [misconfigured(error)])])
    else:
        configure_log(settings, "ERROR")
        with progress(gettext("Looking around"), quiet=as_json):
            found = run_or_exit(_examine(settings, within_s, trials=not no_trials), as_json=as_json)
    if as_json:
        show_json(examination_data(found))
    else:
        show_examination(found)
    _exit(found, as_json)


async def _examine(settings: Settings, within_s: float, *, trials: bool) -> Examination:
    async with open_surroundings(settings, trials=trials) as surroundings:
        return await examine(surroundings, CHECKS, within_s)


def _exit(found: Examination, as_json: bool) -> None:
    """A failure is said on standard error, too; to programs also what is warned of."""
    worst = [finding.message for finding in found.findings if finding.level is found.level]
    if found.cause is not None:
        exit_with_error(" ".join(worst), _EXIT_CODES[found.cause], as_json=as_json)
    if found.level is Level.WARNING and as_json:
        print_warning(" ".join(worst), as_json=as_json)


def _read_within(within: str, as_json: bool) -> float:
    try:
        return parse_duration(within).total_seconds()
    except InvalidInput as error:
        exit_with_error(str(error), EX_USAGE, as_json=as_json)
