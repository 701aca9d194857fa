"""Durations as people write them: `90s`, `45m`, `24h`, `7d`, `1d12h`. How they are read is the kit's to say."""

from __future__ import annotations

from datetime import timedelta

from bot.errors import InvalidInput
from sandbox_worker import durations
from sandbox_worker.errors import WrongDuration


def parse_duration(text: str) -> timedelta:
    """A positive duration of at most ten years; `InvalidInput` says how one is written."""
    try:
        return durations.parse_duration(text)
    except WrongDuration as error:
        raise InvalidInput(error.sentence, text=error.text) from None


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back, in whole seconds: `1d12h`, `0s` for none."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, seconds in durations.SECONDS.items():
        number, rest = divmod(rest, seconds)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
