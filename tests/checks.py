"""What `sandbox-bot check --json` says."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.forks import run_command


class Report:
    """Of a command that has ended."""

    def __init__(self, ended: CompletedProcess[str]) -> None:
        assert ended.stdout, ended.stderr
        self.returncode, self.stderr = ended.returncode, ended.stderr
        self.data: dict[str, Any] = json.loads(ended.stdout)
        self.skipped = {each["check"]: each["because"] for each in self.data["skipped"]}

    def findings(self, check: str) -> list[dict[str, Any]]:
        """Of that one, in their order."""
        return [finding for finding in self.data["findings"] if finding["check"] == check]

    def levels(self, check: str) -> list[str]:
        """Likewise."""
        return [finding["level"] for finding in self.findings(check)]

    def told(self, check: str, level: str | None = None) -> str:
        """Messages and mends."""
        found = [finding for finding in self.findings(check) if level in (None, finding["level"])]
        return "\n".join(f"{finding['message']} {finding['mend'] or ''}".strip() for finding in found)


PATIENT = ("--within", "1m")
"""For a machine that is busy with other tests."""


def check(folder: Path, *arguments: str, **environment: str) -> Report:
    """Run there, and nowhere else's `config.toml` counts; the last `--within` counts."""
    return Report(run_command(["check", "--json", *PATIENT, *arguments], cwd=folder, env=environment))
