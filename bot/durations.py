"""Durations as people write them: `90s`, `45m`, `24h`, `7d`, `1d12h`."""

from __future__ import annotations

import re
from datetime import timedelta

from bot.errors import InvalidInput

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_UNITS = re.compile(r"(\d{1,9})\s*([dhms])")
_WHOLE = re.compile(r"(?:\d{1,9}\s*[dhms]\s*)+")
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """A positive duration of at most ten years; `InvalidInput` says how one is written."""
    cleaned = text.strip().lower()
    if not cleaned.isascii() or not _WHOLE.fullmatch(cleaned):
        raise InvalidInput("“{text}” is not a duration. Write it like 90s, 45m, 24h, 7d or 1d12h.", text=text[:40])
    found = _UNITS.findall(cleaned)
    units = [unit for _, unit in found]
    if len(set(units)) < len(units):
        raise InvalidInput("“{text}” names a unit twice. Write it like 90s, 45m, 24h, 7d or 1d12h.", text=text[:40])
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in found)
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise InvalidInput("“{text}” is not between one second and ten years.", text=text[:40])
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back, in whole seconds: `1d12h`, `0s` for none."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, seconds in _SECONDS.items():
        number, rest = divmod(rest, seconds)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
