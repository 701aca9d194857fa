"""Tools that people bring: each does a small real job in a sandbox, knowing nothing of it but its `.env`."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox_worker.standard_names import DatabaseForm
from tests.ecosystem.environments import Environment

HERE = Path(__file__).parent
JOBS = HERE / "jobs"
_WITHIN_S = 120.0
_REASON = re.compile(r"\S*(rror|Privilege)\S*: ")


@dataclass(frozen=True)
class Tool:
    """One of `tools.toml`. `says` is the last line of a job that is done; `refused` is what a server answers to it
    instead, where the job is known to be impossible. `acknowledges`: events, in a way of its own. `database_url` is the
    form of it that the tool reads."""

    name: str
    script: str
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    says: str = ""
    refused: str = ""
    acknowledges: bool = False
    database_url: str = DatabaseForm.POSTGRESQL

    @property
    def kind(self) -> str:
        """`python` or `node`."""
        return "python" if self.script.endswith(".py") else "node"

    @property
    def form(self) -> DatabaseForm:
        """That one, by its name in `sandbox-worker env --database-url`."""
        return DatabaseForm(self.database_url)

    @property
    def home(self) -> Environment:
        """Where it is installed."""
        return Environment(self.packages, self.kind == "python")


@dataclass
class Done:
    """What became of a job. `problem` is empty if it is as it should be; `said` is what it wrote."""

    problem: str
    said: list[str] = field(default_factory=list)
    took_s: float = 0.0


def tools() -> list[Tool]:
    """In the order of the file."""
    with (HERE / "tools.toml").open("rb") as file:
        return [
            Tool(name, **{key: tuple(value) if isinstance(value, list) else value for key, value in each.items()})
            for name, each in tomllib.load(file).items()
        ]


async def do(tool: Tool, dotenv: str, given: Mapping[str, str], folder: Path) -> Done:
    """Its job, in a copy of its script's folder with a `.env` beside it, whose variables it also has: `given`."""
    home, began = tool.home, time.monotonic()
    script = _lay_out(tool, home, folder)
    (folder / ".env").write_text(dotenv)
    command = [home.interpreter(), str(script), *tool.arguments]
    code, said = await _run(command, {**home.variables(), **given}, folder)
    return Done(_judge(tool, code, said), said, time.monotonic() - began)


def _lay_out(tool: Tool, home: Environment, folder: Path) -> Path:
    first = Path(tool.script).parts[0]
    if (JOBS / first).is_dir():
        shutil.copytree(JOBS / first, folder, dirs_exist_ok=True)
        script = folder / Path(tool.script).relative_to(first)
    else:
        script = Path(shutil.copy(JOBS / first, folder))
    if (home.folder / "node_modules").exists():  # `import` does not look at NODE_PATH
        (folder / "node_modules").symlink_to(home.folder / "node_modules")
    return script


def _judge(tool: Tool, code: int | None, said: list[str]) -> str:
    if tool.refused:
        is_refused = code and any(tool.refused in line for line in said)
        return "" if is_refused else f"“{tool.refused}” is not what it ended with"
    if code is None:
        return f"not done within {_WITHIN_S:.0f} s"
    if code == 0 and said and said[-1] == tool.says:
        return ""
    reasons = [line for line in said if _REASON.match(line)] or said or [f"it ended with {code} and said nothing"]
    return reasons[-1]


async def _run(command: list[str], environment: dict[str, str], folder: Path) -> tuple[int | None, list[str]]:
    """The exit code, None if it had to be killed, and what it wrote but for empty lines; what it started is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.read())
    try:
        async with asyncio.timeout(_WITHIN_S):
            code: int | None = await process.wait()
    except TimeoutError:
        code = None
    finally:
        _kill_all(process.pid)
        await process.wait()
    lines = (await reading).decode(errors="replace").splitlines()
    return code, [line for line in lines if line.strip()]


def _kill_all(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
