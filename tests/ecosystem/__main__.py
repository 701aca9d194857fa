"""`make ecosystem`: bots and tools as their authors wrote them, in sandboxes.

Ends with 1 if anything is not as it should be, or could not be tried.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bot import log
from bot.concurrency import gather_bounded, raise_first
from tests.ecosystem.environments import Environment, NotPossible, install_all
from tests.ecosystem.features import FEATURES
from tests.ecosystem.libraries import Library, libraries
from tests.ecosystem.scene import Scene, open_scene
from tests.ecosystem.tools import Done, Tool, do, tools
from tests.ecosystem.whole_bots import Outcome, show, try_library

_JOBS_AT_ONCE = 2
_SAID_LINES = 40


@dataclass
class Run:
    """Of one call. `missing` says why an environment isn't there; `outside` leaves the sandbox's walls away."""

    console: Console
    missing: dict[Environment, str]
    outside: bool

    def say(self, line: str) -> None:
        """At once, as it stands."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def without_missing[Tried: (Library, Tool)](self, tried: list[Tried]) -> list[Tried]:
        """With a line for each that isn't there."""
        for each in tried:
            if each.home in self.missing:
                self.say(f"{each.name}: skipped, {self.missing[each.home].splitlines()[-1]}")
        return [each for each in tried if each.home not in self.missing]

    async def library(self, scene: Scene, library: Library) -> Outcome:
        """With a line for it."""
        try:
            if library.home in self.missing:
                raise NotPossible(self.missing[library.home])
            outcome = await try_library(scene, library)
        except NotPossible as why:
            outcome = Outcome(library.name, pending=str(why))
        self.say(f"{library.name}: {outcome.pending or f'{outcome.passed}/{len(FEATURES)} in {outcome.took_s:.0f} s'}")
        return outcome

    async def tool(self, scene: Scene, tool: Tool) -> Done:
        """With a line for it, and with what it wrote if it failed."""
        try:
            done = await self._do(scene, tool)
        except Exception as error:  # whatever it is, the others are tried all the same
            done = Done(f"{type(error).__name__}: {error}")
        if done.problem:
            said = "\n".join(f"    {line}" for line in done.said[-_SAID_LINES:])
            self.say(f"{tool.name}: FAILED, {done.problem}\n{said}")
        else:
            told = f"refused, as known: {tool.refused}" if tool.refused else tool.says
            self.say(f"{tool.name}: {told} ({done.took_s:.1f} s)")
        return done

    async def _do(self, scene: Scene, tool: Tool) -> Done:
        if tool.home in self.missing:
            return Done(self.missing[tool.home])
        async with scene.sandbox(tool.name, tool.form) as home:
            await scene.ada.send(home.guild.general, "hello")
            details = await scene.outside(home.details, tool.form) if self.outside else home.details
            with tempfile.TemporaryDirectory(prefix="job-") as folder:
                done = await do(tool, details.as_dotenv(), details.environment, Path(folder))
            if tool.acknowledges and not done.problem and not await scene.is_acknowledged(home):
                done.problem = "an event is not acknowledged"
            return done


async def try_them(run: Run, of_discord: list[Library], others: list[Tool]) -> tuple[list[Outcome], list[Done]]:
    """The libraries one after the other, for they are timed; the tools two at a time."""
    with tempfile.TemporaryDirectory(prefix="ecosystem-") as folder:
        async with open_scene(Path(folder)) as scene:
            outcomes = [await run.library(scene, each) for each in of_discord]
            limit = 1 if run.outside else _JOBS_AT_ONCE
            done = await gather_bounded(others, lambda each: run.tool(scene, each), limit=limit)
            raise_first(done)
    return outcomes, [each for each in done if isinstance(each, Done)]


def choose(names: list[str]) -> tuple[list[Library], list[Tool]]:
    """By name or kind (`discord`, `python`, `node`), or all. `typer.BadParameter` for what is neither."""
    of_discord, others = libraries(), tools()
    kinds = {each.name: "discord" for each in of_discord} | {each.name: each.kind for each in others}
    if unknown := set(names) - kinds.keys() - set(kinds.values()):
        known = ", ".join([*dict.fromkeys(kinds.values()), *kinds])
        raise typer.BadParameter(f"{', '.join(sorted(unknown))} is none of {known}")
    chosen = {name for name, kind in kinds.items() if not names or name in names or kind in names}
    return [each for each in of_discord if each.name in chosen], [each for each in others if each.name in chosen]


def main(
    only: Annotated[list[str] | None, typer.Argument(help="Which, by name or kind; all if none is named.")] = None,
    outside: Annotated[
        bool, typer.Option("--outside", help="Jobs with the servers' own logins: is it the job, or the sandbox?")
    ] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Name what can't be installed, and leave it out.")
    ] = False,
) -> None:
    """Try unmodified bots and tools in sandboxes."""
    of_discord, others = choose(only or [])
    others = [each for each in others if not (outside and each.refused)]
    log.configure("ERROR")
    console = Console(width=180)
    missing = asyncio.run(install_all([each.home for each in of_discord] + [each.home for each in others]))
    run = Run(console, missing, outside)
    if skip_missing:
        of_discord, others = run.without_missing(of_discord), run.without_missing(others)
    outcomes, done = asyncio.run(try_them(run, of_discord, others))
    if outcomes:
        show(outcomes, console)
    passed = sum(each.is_whole for each in outcomes) + sum(not each.problem for each in done)
    refused = sum(bool(tool.refused) and not each.problem for tool, each in zip(others, done, strict=True))
    wanted = len(outcomes) + len(done) - refused
    if refused:
        console.print(f"{refused} refused as known")
    console.print(f"ecosystem: {passed - refused}/{wanted} tools", highlight=False)
    sys.exit(passed - refused != wanted)


if __name__ == "__main__":
    typer.run(main)
