"""What was found out about the bot's surroundings: that something is fine, or what is the matter and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """A warning costs something, or will; with a failure the bot does not start, or does not do its work."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Cause(StrEnum):
    """Of a failure, as the exit codes tell them apart."""

    FAILED = "FAILED"
    UNAVAILABLE = "UNAVAILABLE"
    CONFIGURATION = "CONFIGURATION"


@dataclass(frozen=True, slots=True)
class Finding:
    """Sentences in the active locale. There is a `mend` unless all is well, and a `cause` if it is a failure."""

    level: Level
    message: str
    mend: str = ""
    cause: Cause | None = None


def ok(message: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, message)


def warning(message: str, mend: str) -> Finding:
    """The bot works, with a loss or a risk."""
    return Finding(Level.WARNING, message, mend)


def failure(message: str, mend: str, cause: Cause = Cause.FAILED) -> Finding:
    """The bot does not start, or does not do its work."""
    return Finding(Level.FAILURE, message, mend, cause)
