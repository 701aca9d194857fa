"""`make ecosystem`: unmodified bots in each library, in sandboxes, and what they do seen at Discord's side.

Ends with 1 if anything is not as it should be, or could not be tried.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bot import log
from tests.ecosystem.features import FEATURES, Stage, try_all
from tests.ecosystem.libraries import Library, NotPossible, libraries
from tests.ecosystem.process import running_bot
from tests.ecosystem.scene import Scene, open_scene

_SAID_LINES = 60


@dataclass
class Outcome:
    """Of one library. `pending` says why its bot wasn't started; `said` is what it wrote."""

    library: str
    pending: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def passed(self) -> int:
        """How many features are as they should be."""
        return 0 if self.pending else len(FEATURES) - len(self.failed)


async def try_library(scene: Scene, library: Library) -> Outcome:
    """Its bot's whole life."""
    began = time.monotonic()
    try:
        command = await library.command()
        await library.install()
    except NotPossible as why:
        return Outcome(library.name, pending=str(why))
    async with (
        scene.sandbox(library.name) as home,
        running_bot(command, library.environment(home.environment)) as bot,
    ):
        failed = await try_all(Stage(scene.discord, home.guild, scene.ada, bot, scene.relay, home.bind))
    return Outcome(library.name, failed=failed, said=bot.lines, took_s=time.monotonic() - began)


async def try_them(chosen: list[Library], console: Console) -> list[Outcome]:
    """One after the other, each installed before its turn if it isn't yet."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="ecosystem-") as folder:
        async with open_scene(Path(folder)) as scene:
            for library in chosen:
                outcome = await try_library(scene, library)
                told = outcome.pending or f"{outcome.passed}/{len(FEATURES)} in {outcome.took_s:.0f} s"
                console.print(f"{library.name}: {told}", highlight=False)
                outcomes.append(outcome)
    return outcomes


def show(outcomes: list[Outcome], console: Console) -> None:
    """The table, and what there is to know of what failed."""
    table = Table("library", *FEATURES, title="Bots as their authors wrote them, in a sandbox", title_justify="left")
    for outcome in outcomes:
        cells = ["-" if outcome.pending else "FAILED" if name in outcome.failed else "✓" for name in FEATURES]
        table.add_row(outcome.library, *cells)
    console.print(table)
    for outcome in outcomes:
        if outcome.pending:
            console.print(f"{outcome.library} is pending: {outcome.pending}.", highlight=False)
        for name, why in outcome.failed.items():
            console.print(f"{outcome.library}, {name}: {why}", highlight=False, markup=False)
        if outcome.failed:
            said = "\n".join(f"    {line}" for line in outcome.said[-_SAID_LINES:])
            console.print(f"  it said:\n{said}", highlight=False, markup=False)


def main(
    only: Annotated[list[str] | None, typer.Argument(help="Which libraries; all if none is named.")] = None,
) -> None:
    """Try unmodified bots, one library after the other."""
    known = {library.name: library for library in libraries()}
    if unknown := set(only or ()) - known.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))} is none of {', '.join(known)}")
    log.configure("ERROR")
    console = Console(width=180)
    outcomes = asyncio.run(try_them([known[name] for name in only or known], console))
    show(outcomes, console)
    passed, wanted = sum(outcome.passed for outcome in outcomes), len(FEATURES) * len(outcomes)
    console.print(f"ecosystem: {passed}/{wanted}", highlight=False)
    sys.exit(passed != wanted)


if __name__ == "__main__":
    typer.run(main)
