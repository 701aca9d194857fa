"""Where a library or tool is installed: by itself, by exact versions, once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bot.concurrency import gather_bounded

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".ecosystem"
_INSTALLERS = 2
_QUIET = ("--quiet", "--disable-pip-version-check", "--no-compile")
_NPM = ("npm", "install", "--loglevel=error", "--no-audit", "--no-fund", "--no-package-lock", "--omit=optional")


class NotPossible(Exception):
    """This machine or this version can't run something. `str(error)` says why."""


@dataclass(frozen=True)
class Environment:
    """For Python, or else for Node.js. `packages` carry their versions: with another version it is another one."""

    packages: tuple[str, ...]
    is_python: bool

    @property
    def folder(self) -> Path:
        """Where it is, once it is installed."""
        wanted = " ".join((sys.version if self.is_python else "node", *self.packages))
        first = re.sub(r"\W+", "-", self.packages[0]).strip("-") if self.packages else "bare"
        return CACHE / f"{first}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"

    @property
    def is_installed(self) -> bool:
        """To its end."""
        return self._mark.exists()

    @property
    def programs(self) -> Path:
        """Where the packages' own commands are."""
        return self.folder / ("bin" if self.is_python else "node_modules/.bin")

    def interpreter(self) -> str:
        """What runs a script in it. `NotPossible` without Node.js."""
        return str(self.programs / "python") if self.is_python else _require_node()

    def variables(self) -> dict[str, str]:
        """Those of a process in it: nothing of this process's own that a library might read."""
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        path = f"{self.programs}{os.pathsep}{own.get('PATH', os.defpath)}"
        return {**own, "PATH": path, "NODE_PATH": str(self.folder / "node_modules")}

    async def install(self) -> None:
        """Once. `NotPossible` without Node.js, or with what the installer says."""
        if self.is_installed:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.is_python:
            await _call(sys.executable, "-m", "venv", "--without-pip", self.folder)
            if self.packages:
                pip = ("-m", "pip", "--python", self.programs / "python", "install")
                await _call(sys.executable, *pip, *_QUIET, *self.packages)
        else:
            _require_node()
            if self.packages:
                await _call(*_NPM, "--prefix", self.folder, *self.packages)
        self._mark.touch()

    @property
    def _mark(self) -> Path:
        return self.folder / ".installed"


async def install_all(environments: Iterable[Environment]) -> dict[Environment, str]:
    """Each once, two at a time; why not, for those that can't be installed."""
    wanted = list(dict.fromkeys(environments))
    outcomes = await gather_bounded(wanted, Environment.install, limit=_INSTALLERS)
    return {each: str(why) for each, why in zip(wanted, outcomes, strict=True) if isinstance(why, BaseException)}


def _require_node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise NotPossible("it needs Node.js and npm, which are not here")
    return node


async def _call(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise NotPossible(f"it cannot be installed: {said.decode(errors='replace')[-2000:]}")
