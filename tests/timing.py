"""How long each folder of tests takes, at the end of a run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath

import pytest


def _folder(nodeid: str) -> str:
    """The first two folders of a test's file: `tests/e2e`."""
    return "/".join(PurePosixPath(nodeid.partition("::")[0]).parent.parts[:2])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each folder: its tests, and the seconds that they took in all processes together."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[_folder(report.nodeid)] += report.duration
                tests[_folder(report.nodeid)].add(report.nodeid)
    if len(seconds) > 1:
        terminalreporter.write_sep("=", "time per folder, all processes together")
    for folder, total in sorted(seconds.items(), key=lambda item: -item[1]):
        if len(seconds) > 1:
            terminalreporter.write_line(f"{total:7.1f} s  {len(tests[folder]):5} tests  {folder}")
