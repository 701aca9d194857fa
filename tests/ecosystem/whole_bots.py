"""A bot in each library, through everything that bots do."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from tests.ecosystem.features import FEATURES, Stage, try_all
from tests.ecosystem.libraries import Library
from tests.ecosystem.process import running_bot
from tests.ecosystem.scene import Scene

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

    @property
    def is_whole(self) -> bool:
        """Whether all of them are."""
        return self.passed == len(FEATURES)


async def try_library(scene: Scene, library: Library) -> Outcome:
    """Its bot's whole life. `NotPossible` as `Library.command`."""
    began = time.monotonic()
    command = await library.command()
    async with (
        scene.sandbox(library.name) as home,
        running_bot(command, library.environment(home.environment)) as bot,
    ):
        failed = await try_all(Stage(scene.discord, home.guild, scene.ada, bot, scene.relay, home.bind))
    return Outcome(library.name, failed=failed, said=bot.lines, took_s=time.monotonic() - began)


def show(outcomes: list[Outcome], console: Console) -> None:
    """The table, and what there is to know of what failed."""
    table = Table("library", *FEATURES, title="Bots as their authors wrote them, in a sandbox", title_justify="left")
    for outcome in outcomes:
        cells = ["-" if outcome.pending else "FAILED" if name in outcome.failed else "✓" for name in FEATURES]
        table.add_row(outcome.library, *cells)
    console.print(table)
    for outcome in outcomes:
        if outcome.pending:
            console.print(f"{outcome.library} is pending: {outcome.pending}.", highlight=False, markup=False)
        for name, why in outcome.failed.items():
            console.print(f"{outcome.library}, {name}: {why}", highlight=False, markup=False)
        if outcome.failed:
            said = "\n".join(f"    {line}" for line in outcome.said[-_SAID_LINES:])
            console.print(f"  it said:\n{said}", highlight=False, markup=False)
