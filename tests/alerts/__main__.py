"""Each alert is made to fire, and to end, by what it is for: a real bot, its stores, and a Prometheus that watches.

    python -m tests.alerts                      # `make alerts`
    python -m tests.alerts --faults still disk  # those with one of these words

The rules are those of deploy/alerts.yml, but minutes are seconds. Needs Debian's package prometheus; a disk is filled
for root alone. Ends with 1 unless each alert has fired and ended, and the dashboard's queries are answered.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loguru import logger
from rich.console import Console
from rich.table import Table

from tests.alerts.faults import FAULTS
from tests.alerts.prometheus import PROGRAM, Alert
from tests.alerts.rules import read_queries
from tests.alerts.scene import Scene, open_scene
from tests.chaos.disks import leave_mounts_to_this_process

_QUIET_WITHIN_S, _FIRES_WITHIN_S, _ENDS_WITHIN_S = 180, 180, 240
"""As long as a machine may take on which others compute, too."""
_ANSWERS = "min_over_time(up[10s]) == 1"


@dataclass(slots=True)
class Row:
    """What became of one alert."""

    fault: str
    alert: str
    fired_after_s: float | None = None
    ended_after_s: float | None = None

    @property
    def is_right(self) -> bool:
        return self.fired_after_s is not None and self.ended_after_s is not None


def main() -> None:
    chosen = read_arguments()
    if PROGRAM is None:
        sys.exit("prometheus is not here: install Debian's package of that name")
    logger.remove()
    logging.disable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen.log.unlink(missing_ok=True)
    may_mount = leave_mounts_to_this_process()
    faults = [name for name in FAULTS if any(word in name for word in chosen.faults)]
    if not may_mount and "a full disk" in faults:
        print("no disk is filled: that takes a file system of its own, which only root may mount")  # noqa: T201
        faults.remove("a full disk")
    with tempfile.TemporaryDirectory(prefix="alerts-") as folder:
        wrong = asyncio.run(run(Path(folder), chosen.log, faults, may_mount=may_mount))
    print(f"the bot's log: {chosen.log}")  # noqa: T201
    sys.exit("\n".join(wrong) if wrong else None)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", metavar="WORD", default=[""], help="those with such words alone")
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "alerts-bot.log")
    return parser.parse_args()


async def run(folder: Path, log: Path, faults: list[str], *, may_mount: bool) -> list[str]:
    """What is wrong, in the end."""
    rows: list[Row] = []
    async with open_scene(folder, log, may_mount=may_mount) as scene:
        for fault in faults:
            async for row in strike(scene, fault):
                print(*cells(row), sep=", ", flush=True)  # noqa: T201
                rows.append(row)
        await ask_dashboard(scene)
    show(rows)
    return [f"WRONG: {row.alert} by {row.fault}" for row in rows if not row.is_right]


async def strike(scene: Scene, name: str) -> AsyncIterator[Row]:
    """One fault, from its beginning until its alerts have ended."""
    fault, alerts = FAULTS[name]
    rows = [Row(name, alert) for alert in alerts]
    await be_quiet(scene, alerts)
    async with fault(scene):
        fired = [wait_for(scene, row.alert, firing=True, seconds=_FIRES_WITHIN_S) for row in rows]
        for row, after_s in zip(rows, await asyncio.gather(*fired), strict=True):
            row.fired_after_s = after_s
    ended = [wait_for(scene, row.alert, firing=False, seconds=_ENDS_WITHIN_S) for row in rows]
    for row, after_s in zip(rows, await asyncio.gather(*ended), strict=True):
        row.ended_after_s = after_s
        yield row


async def be_quiet(scene: Scene, alerts: Sequence[str]) -> None:
    """None of them fires, and the bot has answered for a while; if that takes too long, what follows will tell."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_QUIET_WITHIN_S):
            while not await scene.prometheus.query(_ANSWERS) or any(
                [await scene.prometheus.fires(Alert(alert)) for alert in alerts]
            ):
                await asyncio.sleep(0.2)


async def wait_for(scene: Scene, alert: str, *, firing: bool, seconds: float) -> float | None:
    """After how long; None if it has not come."""
    began_at = time.monotonic()
    has_come = await scene.prometheus.wait_for(Alert(alert), firing=firing, seconds=seconds)
    return time.monotonic() - began_at if has_come else None


async def ask_dashboard(scene: Scene) -> None:
    """AssertionError for a query that is none. What shows nothing just now is printed."""
    queries = read_queries()
    empty = [query for query in queries if not await scene.prometheus.query(query)]
    print(f"dashboard: {len(queries)} queries answered, with nothing to show just now:", *empty, sep="\n  ")  # noqa: T201


def show(rows: list[Row]) -> None:
    table = Table("fault", "alert", "fired after", "ended after", "")
    for row in rows:
        table.add_row(*cells(row))
    Console(width=140).print(table)
    print(f"alerts: {sum(row.is_right for row in rows)}/{len(rows)}")  # noqa: T201


def cells(row: Row) -> list[str]:
    """As they stand in the table."""
    times = [f"{s:.0f} s" if s is not None else "never" for s in (row.fired_after_s, row.ended_after_s)]
    return [row.fault, row.alert, *times, "right" if row.is_right else "WRONG"]


if __name__ == "__main__":
    main()
