"""Durations as people write them: `90s`, `45m`, `24h`, `7d`, `1d12h`. Pure; the bot reads its own by it too."""

from __future__ import annotations

import re
from datetime import timedelta

from sandbox_worker.errors import WrongDuration

SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""By unit, the longest first."""

_UNITS = re.compile(r"(\d{1,9})\s*([dhms])")
_WHOLE = re.compile(r"(?:\d{1,9}\s*[dhms]\s*)+")
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """A positive duration of at most ten years; `WrongDuration` says how one is written."""
    cleaned = text.strip().lower()
    if not cleaned.isascii() or not _WHOLE.fullmatch(cleaned):
        raise WrongDuration("“{text}” is not a duration. Write it like 90s, 45m, 24h, 7d or 1d12h.", text)
    found = _UNITS.findall(cleaned)
    units = [unit for _, unit in found]
    if len(set(units)) < len(units):
        raise WrongDuration("“{text}” names a unit twice. Write it like 90s, 45m, 24h, 7d or 1d12h.", text)
    seconds = sum(int(number) * SECONDS[unit] for number, unit in found)
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise WrongDuration("“{text}” is not between one second and ten years.", text)
    return timedelta(seconds=seconds)
