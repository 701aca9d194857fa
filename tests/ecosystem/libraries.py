"""The libraries, and an environment of its own for each: installed once, by name and version."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORKER = Path(sys.executable).with_name("sandbox-worker")


class NotPossible(Exception):
    """This machine or this version can't run a library's bot. `str(error)` says why."""


@dataclass(frozen=True)
class Library:
    """One of `libraries.toml`."""

    name: str
    packages: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()
    transparent: bool = False

    @property
    def is_python(self) -> bool:
        """Or else it is for Node.js."""
        return self.script.endswith(".py")

    @property
    def folder(self) -> Path:
        """Named by the packages: with another version it is another one."""
        return ROOT / (".venv-eco-" + re.sub(r"[^\w.]+", "-", "-".join(self.packages)))

    async def install(self) -> None:
        """Once. `NotPossible` without Node.js, or with what the installer says."""
        installed = self.folder / ".installed"
        if installed.exists():
            return
        if self.is_python:
            await _call(sys.executable, "-m", "venv", self.folder)
            pip = (self.folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            await _call(*pip, *self.packages)
        else:
            _require_node()
            self.folder.mkdir(exist_ok=True)
            quiet = ("--loglevel=error", "--no-audit", "--no-fund", "--no-package-lock", "--omit=optional")
            await _call("npm", "install", "--prefix", self.folder, *quiet, *self.packages)
        installed.touch()

    async def command(self) -> list[str]:
        """What starts its bot. `NotPossible` as for `install`, and while there is no transparent mode for it."""
        program = str(self.folder / "bin" / "python") if self.is_python else _require_node()
        command = [program, str(HERE / "bots" / self.script), *self.arguments]
        if not self.transparent:
            return command
        if not await _has_transparent_mode():
            raise NotPossible("it runs in transparent mode alone, which `sandbox-worker` does not have yet")
        return [str(WORKER), "run", "--", *command]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Nothing of this process's own that a library might read."""
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**own, "NODE_PATH": str(self.folder / "node_modules"), **given}


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


def _require_node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise NotPossible("it needs Node.js and npm, which are not here")
    return node


async def _has_transparent_mode() -> bool:
    process = await asyncio.create_subprocess_exec(
        WORKER, "run", "--help", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def _call(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise NotPossible(f"it cannot be installed: {said.decode(errors='replace')[-2000:]}")
