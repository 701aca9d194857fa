"""Everything of a cluster ends, stands still or is replaced, under load; nothing may be lost, and nobody let in.

    python -m tests.cluster                      # `make cluster`
    python -m tests.cluster --steps freeze nats  # those with one of these words

Three NATS servers with TLS and the auth callout, a PostgreSQL primary with a standby, Valkey with a replica and three
Sentinels, two bots with split shards, two relays, a worker. In each step the credentials of a sandbox are replaced.
Ends with 1 unless every step is right; prints where the logs are.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from loguru import logger
from rich.console import Console
from rich.table import Table

from tests.cluster.faults import STEPS
from tests.cluster.run import Row, Run
from tests.cluster.scene import Order
from tests.memory import keep_files_in_memory

_COLUMNS = ("step", "s", "events", "lost", "doubled", "unordered", "gaps", "commands", "old dead", "new let in", "")


def main() -> None:
    chosen = read_arguments()
    logger.remove()
    keep_files_in_memory()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where who has started it ignores it
    shutil.rmtree(chosen.logs, ignore_errors=True)
    chosen.logs.mkdir(parents=True)
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(filename=chosen.logs / "worker.log", level=logging.INFO, format=form)
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        rows = asyncio.run(run(Order(Path(folder), chosen.logs, rate=chosen.rate), chosen.steps))
    right = sum(row.is_right for row in rows)
    print(f"{time.monotonic() - began_at:.0f} s, logs in {chosen.logs}")  # noqa: T201
    print(f"cluster: {right}/{len(rows)}")  # noqa: T201
    sys.exit(right != len(rows))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", metavar="WORD", default=[""], help="those with such words alone")
    parser.add_argument("--rate", type=float, default=1000, help="events a second")
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()) / "cluster-logs")
    return parser.parse_args()


async def run(order: Order, words: list[str]) -> list[Row]:
    """Shows each row as it comes, and all of them in the end."""
    steps = [step for step in STEPS if any(word in step.name for word in words)]
    table, running = Table(*_COLUMNS), Run(order, steps)
    async for row in running.run():
        table.add_row(*cells(row))
        print(*filter(None, cells(row)), sep=", ", flush=True)  # noqa: T201
    Console(width=200).print(table)
    return running.rows


def cells(row: Row) -> list[str]:
    """As they stand in the table."""
    counts = (row.events, row.lost, row.doubled, row.out_of_order, row.gaps)
    commands = f"{row.commands - row.unanswered}/{row.commands}"
    verdict = "right" if row.is_right else "WRONG " + "; ".join(dict.fromkeys(row.wrong))
    times = (seconds(row.dead_s), seconds(row.let_in_s))
    return [row.name, f"{row.seconds:.0f}", *map(str, counts), commands, *times, verdict]


def seconds(measured: float | None) -> str:
    return "" if measured is None else "never" if measured == float("inf") else f"{measured:.1f} s"


if __name__ == "__main__":
    main()
