"""The last release, to run beside the code of today."""

from __future__ import annotations

import asyncio
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_discord import LocalDiscord

LAST_RELEASE = "8ecc0cabc14bc37b21790a004b66a1ee9b8c1630"
"""The commit that is tagged v0.1.0. Set anew with each release: the only place that names it."""

FIRST_VERSION = "1089f47a74dca1ad0fa996710c099111e11b4e73"
"""The first that could be run: its NATS had no accounts, its sandboxes no credentials, and it kept no session."""

LAST_IN_PUBLIC = "e167338fe2b59b461a0fb228f58d33fa5eeebb9c"
"""The last commit whose bot has its tables in `public`. Of no use any more when a release has them elsewhere."""

_TOOLS = frozenset(
    "editables hatchling tomlkit trove-classifiers dpytest hypothesis import-linter mypy pytest pytest-asyncio"
    " pytest-rerunfailures pytest-timeout pytest-xdist ruff".split()
)
"""Pinned too, but a bot that runs needs none of them."""
if sys.version_info < (3, 13):
    _TOOLS |= {"audioop-lts"}  # which brings back what Python itself has until then

_REPOSITORY = Path(__file__).parents[2]


class NotAvailable(Exception):
    """Why the release cannot be run here."""


@dataclass(frozen=True, slots=True)
class Release:
    """`python -m bot` of the release, in an environment of its own."""

    code: Path
    python: Path
    pins: list[str]

    async def start(self, *arguments: str, cwd: Path, env: dict[str, str], **pipes: Any) -> asyncio.subprocess.Process:
        """Python with the release's code, and nothing of the environment but what is named here."""
        env = {"PATH": os.environ["PATH"], **env}
        return await asyncio.create_subprocess_exec(self.python, *arguments, cwd=cwd, env=env, **pipes)

    async def data(self, *arguments: str, cwd: Path, env: dict[str, str]) -> Any:
        """What `sandbox-bot sandbox …` of the release prints as JSON."""
        pipe = asyncio.subprocess.PIPE
        process = await self.start("-m", "bot", "sandbox", *arguments, cwd=cwd, env=env, stdout=pipe, stderr=pipe)
        stdout, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
        return json.loads(stdout)

    @asynccontextmanager
    async def running(
        self, discord: LocalDiscord, folder: Path, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[None]:
        """`sandbox-bot run` in the folder, from its READY on. At its end it has logged no error."""
        of_discord = {"DISCORD_TOKEN": discord.token, "BOT_DISCORD__API_BASE": discord.api_base}
        with (folder / "log").open("wb") as log:
            env = {**(environment or {}), **of_discord}
            process = await self.start("-m", "bot", "run", cwd=folder, env=env, stderr=log)
            await discord.wait_ready(30)
            yield
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 20) == 0
        said = (folder / "log").read_text()
        assert "Traceback" not in said
        assert "ERROR" not in said

    def require(self, *, but: frozenset[str] = frozenset()) -> None:
        """Install, in the release's versions, what the environment of the tests does not have in them."""
        missing = [pin for pin in self.pins if _name(pin) not in but and not _is_here(pin)]
        if not missing:
            return
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        pip += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        ended = subprocess.run([*pip, *missing], capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise NotAvailable(f"pip cannot install what the last release needs: {ended.stderr.strip()[-300:]}")


def _name(pin: str) -> str:
    return pin.partition("==")[0]


def _is_here(pin: str) -> bool:
    try:
        return pin == f"{_name(pin)}=={importlib.metadata.version(_name(pin))}"
    except importlib.metadata.PackageNotFoundError:
        return False


def unpack(folder: Path, commit: str = LAST_RELEASE) -> Release:
    """The commit's code without what it needs; `NotAvailable` in a clone that does not have it."""
    code, environment = folder / "code", folder / "environment"
    archive = subprocess.run(
        ["git", "-C", str(_REPOSITORY), "archive", "--format=tar", commit], capture_output=True, check=False
    )
    if archive.returncode != 0:
        raise NotAvailable(f"this clone has no commit {commit[:7]}: git fetch --unshallow")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(code, filter="data")
    venv.create(environment)
    python = environment / "bin" / "python"
    packages = sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)})
    roots = [code, *code.glob("*/src"), sysconfig.get_path("purelib")]
    Path(packages, "release.pth").write_text("".join(f"{root}\n" for root in roots))
    pins = [line for line in (code / "constraints.txt").read_text().splitlines() if "==" in line]
    return Release(code, python, [pin for pin in pins if _name(pin) not in _TOOLS])
