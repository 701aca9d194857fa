"""`python -m bench`: one table of figures, measured in one run on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import parts
from bench.costs import costs
from bench.durability import durable
from bench.lifecycle import lifecycle
from bench.pair import pair
from bench.parts import FULL, QUICK, Row, Size
from bench.relayed import relayed
from bench.replicas import replicas
from bot import log
from bot.stores.embedded import EmbeddedStores

PARTS = "abcdefghijklm"


async def measure(only: frozenset[str], size: Size) -> list[Row]:
    """The parts in their order, each on servers of their own, which nothing has been done to.

    Their files go when all is measured: after many are deleted, ext4 takes up to 50 times as long to make one, for
    minutes.
    """
    rows: list[Row] = []
    jobs: list[parts.Part] = []
    if only & {"a", "b"}:
        jobs.append(lambda stores, size: parts.throughput(stores, size, only))
    others = {"c": parts.publishers, "d": parts.latency, "e": parts.changes, "f": parts.table, "g": parts.memory}
    jobs += [job for part, job in others.items() if part in only]
    jobs += [lifecycle] if "h" in only else []
    jobs += [relayed] if "i" in only else []
    jobs += [durable] if "j" in only else []
    jobs += [pair] if "k" in only else []
    jobs += [costs] if "l" in only else []
    jobs += [replicas] if "m" in only else []
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as folder:
        for number, job in enumerate(jobs):
            async with EmbeddedStores(Path(folder, str(number)), durable=job is lifecycle) as stores:
                rows += await job(stores, size)
    return rows


def show(rows: list[Row], size: Size, load: float) -> None:
    title = (
        f"Medians of {size.runs} runs of {size.events:,} events of 1.5 KB, "
        f"{os.cpu_count()} cores, load {load:.1f} before"
    )
    table = Table(title=title, title_justify="left")
    for column in ("part", "what", "value", "unit", "goal", ""):
        table.add_column(column, justify="right" if column == "value" else "left", no_wrap=True)
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.is_met]
        table.add_row(row.part, row.what, _readable(row.value), row.unit, row.goal, verdict)
    Console(width=140).print(table)


def _readable(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


def main(
    only: Annotated[str, typer.Option(help="Which parts, as letters.")] = PARTS,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs: a glance, no figure.")] = False,
    sandboxes: Annotated[int | None, typer.Option(help="How many there are in the parts h and l.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of rows instead of the table.")] = False,
) -> None:
    """Measure data plane (a to g), control plane (h), relay (i), what durability costs (j), two bots beside one (k),
    what each thing costs (l), and three replicas (m). Ends with 1 if a goal is missed."""
    log.configure("ERROR")
    size = QUICK if quick else FULL
    size = replace(size, sandboxes=sandboxes or size.sandboxes)
    load = os.getloadavg()[0]
    rows = asyncio.run(measure(frozenset(only), size))
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in rows], ensure_ascii=False, indent=1))
    else:
        show(rows, size, load)
    sys.exit(any(row.is_met is False for row in rows))


if __name__ == "__main__":
    typer.run(main)
