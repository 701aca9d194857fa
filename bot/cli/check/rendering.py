"""What `check` prints: a report for people, in their language, and data for programs."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections import Counter
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from bot.cli.check.examination import Examination, Outcome
from bot.findings import Finding, Level
from bot.i18n import Translatable, gettext, ngettext
from sandbox_worker.text import plain

_WIDEST = 100
_NARROW = 80
"""Where nobody says how wide it is: a file, or a pipe."""

_SECTIONS = {
    "settings": Translatable("Settings"),
    "versions": Translatable("Settings"),
    "machine": Translatable("Settings"),
    "stores": Translatable("Settings"),
    "postgres": "PostgreSQL",
    "redis": Translatable("Valkey or Redis"),
    "nats": "NATS",
    "discord": "Discord",
    "bots": Translatable("Bots"),
    "relay": Translatable("Relay"),
    "health": Translatable("Health and metrics"),
    "workers": Translatable("Workers"),
    "restore": Translatable("Restore"),
    "leftovers": Translatable("Leftovers"),
}
_LEVELS = {
    Level.OK: ("ok", "green"),
    Level.WARNING: (Translatable("WARNING"), "yellow"),
    Level.FAILURE: (Translatable("FAILURE"), "bold red"),
}


def examination_data(found: Examination) -> dict[str, Any]:
    """As docs/check.md has it."""
    return {
        "level": str(found.level),
        "findings": [
            {
                "check": outcome.name,
                "level": str(finding.level),
                "code": str(finding.cause) if finding.cause else None,
                "message": plain(finding.message),
                "mend": plain(finding.mend) or None,
            }
            for outcome in found.outcomes
            for finding in outcome.findings
        ],
        "skipped": [
            {"check": outcome.name, "because": outcome.because} for outcome in found.outcomes if outcome.because
        ],
    }


def show_examination(found: Examination) -> None:
    """A section for each part, a line for each finding with its mend below, and how many there are of each kind."""
    console, word_width = _console(), max(len(gettext(word)) for word, _ in _LEVELS.values())
    for section, outcomes in groupby(found.outcomes, key=_section):
        findings = [finding for outcome in outcomes for finding in outcome.findings]
        if findings:
            console.print(Text(section, style="bold"))
        for finding in findings:
            _show_finding(console, finding, word_width)
    for because in dict.fromkeys(outcome.because for outcome in found.outcomes if outcome.because):
        names = ", ".join(outcome.name for outcome in found.outcomes if outcome.because == because)
        told = gettext("Not made for want of {because}: {checks}.", because=because, checks=names)
        console.print(*_wrapped(told, console.width, "", "  "), sep="\n")
    console.print(_summary(found))


def _section(outcome: Outcome) -> str:
    return gettext(_SECTIONS[outcome.name.partition(".")[0]])


def _show_finding(console: Console, finding: Finding, word_width: int) -> None:
    word, style = _LEVELS[finding.level]
    margin = " " * (word_width + 4)
    first, *others = _wrapped(finding.message, console.width, margin, margin)
    console.print("  ", Text(gettext(word).ljust(word_width), style=style), first.removeprefix(margin[:-2]), sep="")
    mend = _wrapped(f"→ {finding.mend}", console.width, margin, margin + "  ") if finding.mend else []
    for line in others:
        console.print(line)
    for line in mend:
        console.print(Text(line, style="dim"))


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """What is too long for a line, such as an address, stays whole."""
    return textwrap.wrap(
        plain(text),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(found: Examination) -> str:
    counts = Counter(finding.level for finding in found.findings)
    return ", ".join(
        (
            gettext("{number} ok", number=counts[Level.OK]),
            ngettext(counts[Level.WARNING], "{number} warning", "{number} warnings"),
            ngettext(counts[Level.FAILURE], "{number} failure", "{number} failures"),
        )
    )


def _console() -> Console:
    width = min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _NARROW
    return Console(highlight=False, markup=False, soft_wrap=True, width=width)


def terminal_locale() -> str:
    """Discord's way to write the language of who reads standard output: `de-DE` for `de_DE.UTF-8`."""
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return named.partition(".")[0].partition("@")[0].replace("_", "-")
