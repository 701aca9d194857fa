"""What docs/runbook.md says beside its alerts: the entries, and the commands that stand in each."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
_SECTION = "## What no alert tells\n"
_OURS = ("sandbox-bot ", "openssl ")
_SERVES = ("sandbox-bot run", "sandbox-bot relay")


class NotInTheRunbook(AssertionError):
    """A command that the entry does not have."""


class Entry:
    """One of the section's; whoever plays it runs all of its commands, as they stand there, and no others."""

    def __init__(self, heading: str, text: str) -> None:
        self.heading = heading
        said = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
        self._commands = [code for code in dict.fromkeys(said) if code.startswith(_OURS) and code not in _SERVES]
        self.left = [code for code in self._commands if not any(each.startswith(f"{code} ") for each in self._commands)]
        """Those that have not been run; what another one begins with may be its name alone."""

    def words(self, command: str, **values: str) -> list[str]:
        """To run; NAME, HOST and the like are replaced. A pipe is left to a shell."""
        if command not in self._commands:
            raise NotInTheRunbook(f"“{self.heading}” does not say `{command}`")
        if command in self.left:
            self.left.remove(command)
        for name, value in values.items():
            command = command.replace(name, value)
        return ["sh", "-c", command] if "|" in command else shlex.split(command)


def read_entries() -> dict[str, Entry]:
    """By heading, in their order."""
    section = _RUNBOOK.read_text().partition(_SECTION)[2]
    found = re.split(r"^### (.+)$", section, flags=re.MULTILINE)[1:]
    return {heading: Entry(heading, text) for heading, text in zip(found[::2], found[1::2], strict=True)}
