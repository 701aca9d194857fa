"""Looks, shows what was found, and ends with the exit code for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.cli.check.checks import CHECKS, CHECKS_OF_RESTORE, Check
from bot.cli.check.examination import Examination, Outcome, examine, misconfigured
from bot.cli.check.rendering import examination_data, show_examination, terminal_locale
from bot.cli.check.surroundings import open_surroundings
from bot.cli.rendering import progress, show_json
from bot.cli.runtime import (
    EX_CONFIG,
    EX_FAILED,
    EX_UNAVAILABLE,
    configure_log,
    exit_with_error,
    print_warning,
    run_or_exit,
)
from bot.findings import Cause, Level
from bot.i18n import activate_locale, gettext
from bot.settings import Settings, SettingsError, load_settings

_EXIT_CODES = {Cause.CONFIGURATION: EX_CONFIG, Cause.UNAVAILABLE: EX_UNAVAILABLE, Cause.FAILED: EX_FAILED}


def run(config: Path | None, *, within_s: float, trials: bool, of_restore: bool, as_json: bool) -> None:
    """`check`, or that `of_restore` alone. People are spoken to in their language, programs in English."""
    if not as_json:
        activate_locale(terminal_locale())
    checks = CHECKS_OF_RESTORE if of_restore else CHECKS
    found = _look(config, within_s, checks, trials=trials, as_json=as_json)
    if as_json:
        show_json(examination_data(found))
    else:
        show_examination(found)
    _exit(found, as_json)


def _look(config: Path | None, within_s: float, checks: Sequence[Check], *, trials: bool, as_json: bool) -> Examination:
    try:
        settings = load_settings(config)
    except SettingsError as error:
        return Examination([Outcome("settings", [misconfigured(error)])])
    configure_log(settings, quiet=True)
    with progress(gettext("Looking around"), quiet=as_json):
        return run_or_exit(_examine(settings, within_s, checks, trials=trials), as_json=as_json)


async def _examine(settings: Settings, within_s: float, checks: Sequence[Check], *, trials: bool) -> Examination:
    async with open_surroundings(settings, trials=trials) as surroundings:
        return await examine(surroundings, checks, within_s)


def _exit(found: Examination, as_json: bool) -> None:
    """A failure is said on standard error, too; to programs also what is warned of."""
    worst = [finding.message for finding in found.findings if finding.level is found.level]
    if found.cause is not None:
        exit_with_error(" ".join(worst), _EXIT_CODES[found.cause], as_json=as_json)
    if found.level is Level.WARNING and as_json:
        print_warning(" ".join(worst), as_json=as_json)
