"""What was found out, of the bot's surroundings, its readiness or a sandbox: that it is fine, or what is the matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """A warning costs something, or will; with a failure something does not do its work, or would not start."""

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
    """Sentences in the active locale. `mend`: what somebody can do; `cause`: of a failure."""

    level: Level
    message: str
    mend: str = ""
    cause: Cause | None = None


def ok(message: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, message)


def warning(message: str, mend: str = "") -> Finding:
    """It works, with a loss or a risk."""
    return Finding(Level.WARNING, message, mend)


def failure(message: str, mend: str = "", cause: Cause = Cause.FAILED) -> Finding:
    """It does not do its work, or would not start."""
    return Finding(Level.FAILURE, message, mend, cause)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of all of them."""
    return max((finding.level for finding in findings), key=tuple(Level).index, default=Level.OK)
