"""What is said of clocks whose times are compared with each other's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot import constants
from bot.cli.check.surroundings import Surroundings
from bot.cli.check.time_gap import TimeGap
from bot.findings import Finding, ok, warning
from bot.i18n import gettext


async def compare_store(store: str, ask: Callable[[], Awaitable[float]], found: Surroundings) -> Finding:
    """`ask` for the store's time (Unix), to compare it with Discord's, or else with this machine's."""
    gap = await TimeGap.measure(ask)
    reference, of_reference = await found.reference()
    mend = gettext("Let NTP set it: sandboxes end by it, and people are told when by Discord's.")
    return compare(store, gap - of_reference, reference, mend)


def compare(one: str, gap: TimeGap, other: str, mend: str) -> Finding:
    """`gap`: by how much the one is ahead of the other."""
    seconds = gap.certain_s
    if abs(seconds) <= constants.CHECK_CLOCKS_APART_S:
        return ok(gettext("The clock of {one} agrees with that of {other}.", one=one, other=other))
    apart = f"{abs(seconds):.0f}"
    if seconds > 0:
        message = gettext(
            "The clock of {one} is {apart} s ahead of that of {other}.", one=one, apart=apart, other=other
        )
    else:
        message = gettext("The clock of {one} is {apart} s behind that of {other}.", one=one, apart=apart, other=other)
    return warning(message, mend)
