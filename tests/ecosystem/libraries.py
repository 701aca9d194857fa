"""Discord's client libraries, each with a bot in it."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.ecosystem.environments import Environment, NotPossible

HERE = Path(__file__).parent
WORKER = Path(sys.executable).with_name("sandbox-worker")


@dataclass(frozen=True)
class Library:
    """One of `libraries.toml`."""

    name: str
    packages: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()
    transparent: bool = False

    @property
    def home(self) -> Environment:
        """Where it is installed."""
        return Environment(self.packages, self.script.endswith(".py"))

    async def install(self) -> None:
        """Once. `NotPossible` without Node.js, or with what the installer says."""
        await self.home.install()

    async def command(self) -> list[str]:
        """What starts its bot. `NotPossible` as for `install`, and while there is no transparent mode for it."""
        command = [self.home.interpreter(), str(HERE / "bots" / self.script), *self.arguments]
        if not self.transparent:
            return command
        if not await _has_transparent_mode():
            raise NotPossible("it runs in transparent mode alone, which `sandbox-worker` does not have yet")
        return [str(WORKER), "run", "--", *command]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Its process's, with what it is given."""
        return {**self.home.variables(), **given}


def libraries() -> list[Library]:
    """In the order of the file."""
    with (HERE / "libraries.toml").open("rb") as file:
        return [
            Library(name, **{key: tuple(value) if isinstance(value, list) else value for key, value in each.items()})
            for name, each in tomllib.load(file).items()
        ]


def library(name: str) -> Library:
    """`KeyError` if it isn't among them."""
    return {each.name: each for each in libraries()}[name]


async def _has_transparent_mode() -> bool:
    process = await asyncio.create_subprocess_exec(
        WORKER, "run", "--help", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0
