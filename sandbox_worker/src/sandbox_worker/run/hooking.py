"""Leads Python and Node by hooks that they load by themselves: no rights are needed, and nothing is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox_worker import constants
from sandbox_worker.run.names import DOMAINS, NOT_LED

_HOOKS = Path(__file__).with_name("hooks")
_LED = ("python", "pypy", "node", "npm", "npx", "yarn", "pnpm", "tsx", "ts-node", "nodemon", "pm2-runtime")
_LONG_PATH = "'''exec'"
_STARTERS = ("uv", "uvx", "poetry", "pipenv", "hatch", "pdm", "rye")
"""Not in Python themselves, or not always, but Python is what they start."""


def understands_hooks(program: Path) -> bool:
    """Whether it is Python or Node, by its name or its first line, or starts nothing else."""
    return _is_led(program.name) or program.name in _STARTERS or any(map(_is_led, _interpreter(program)))


def hooked(
    environ: Mapping[str, str], token_variables: Sequence[str], forwarder: str, authority: str
) -> dict[str, str]:
    """The environment of a program whose Discord is the forwarder (host:port), in all that it starts too.

    The hooks set the token: a program that does not load them finds none, neither this one nor one from before.
    """
    unset = {name: value for name, value in environ.items() if name not in token_variables}
    led = {
        "SANDBOX_RUN_TOKEN_VARIABLES": ",".join(token_variables),
        "SANDBOX_RUN_FORWARDER": forwarder,
        "SANDBOX_RUN_AUTHORITY": authority,
        "SANDBOX_RUN_DOMAINS": ",".join(DOMAINS),
        "SANDBOX_RUN_NOT_LED": ",".join(NOT_LED),
        "PYTHONPATH": _joined(os.pathsep, str(_HOOKS), environ.get("PYTHONPATH")),
        "NODE_OPTIONS": _joined(" ", f'--require "{_HOOKS / "hook.cjs"}"', environ.get("NODE_OPTIONS")),
    }
    return {**unset, **led, **without_proxy(environ)}


def without_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """A proxy would look Discord up by itself."""
    names = ",".join(name for domain in DOMAINS for name in (domain, f".{domain}"))
    return {name: _joined(",", names, environ.get(name)) for name in ("NO_PROXY", "no_proxy")}


def find_program(command: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """As a shell finds it; None if there is none."""
    found = shutil.which(command[0], path=environ.get("PATH"))
    return None if found is None else Path(found)


def _joined(separator: str, first: str, rest: str | None) -> str:
    return f"{first}{separator}{rest}" if rest else first


def _is_led(name: str) -> bool:
    return name.lower().rstrip("0123456789.") in _LED


def _interpreter(program: Path) -> list[str]:
    """The words of its `#!` line, as names of programs; none if it has no such line. Where pip's scripts have a path
    that is too long for it, those of the next one."""
    with program.open("rb") as file:
        start = file.read(constants.FIRST_LINE_BYTES)
    if not start.startswith(b"#!"):
        return []
    first, _, rest = start.decode(errors="replace").partition("\n")
    line = rest.partition("\n")[0] if rest.startswith(_LONG_PATH) else first[2:]
    return [Path(word.strip("'\"")).name for word in line.split()]
