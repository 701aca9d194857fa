"""`docs/stability.md` and `.env.example` say what there is: a public name that is added, renamed or gone fails here.

The keys of JSON are compared where commands print them, in `tests/e2e/test_cli.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

import sandbox_worker
from bot.cli import cli, runtime
from bot.sandboxes.model import SandboxStatus
from bot.settings import COMMON_NAMES, CONFIG_VARIABLE

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "stability.md").read_text()
EXAMPLE = (REPOSITORY / ".env.example").read_text()


def unnamed(names):
    """Those that the page does not name."""
    return [name for name in names if f"`{name}`" not in PAGE]


def test_every_exit_code_is_named():
    codes = [value for name, value in vars(runtime).items() if name.startswith("EX_")]
    assert len(codes) > 3
    assert [code for code in codes if not re.search(rf"^\| {code} \|", PAGE, re.MULTILINE)] == []


def test_every_export_of_the_kit_and_every_state_is_named():
    assert unnamed(sandbox_worker.__all__) == []
    assert unnamed(SandboxStatus) == []


def test_every_variable_of_the_bot_is_named_here_and_in_the_example():
    variables = [*COMMON_NAMES, CONFIG_VARIABLE]
    assert unnamed(variables) == []
    assert [name for name in variables if not re.search(rf"^(# )?{name}=", EXAMPLE, re.MULTILINE)] == []


def test_every_variable_of_the_containers_is_in_the_example():
    used = re.findall(r"\$\{([A-Z_]+)", (REPOSITORY / "compose.yaml").read_text())
    assert [name for name in used if f"{name}=" not in EXAMPLE] == []


def test_the_commands_and_options_are_those_that_there_are():
    listed = {}
    for line in re.findall(r"^sandbox-bot .*$", PAGE, re.MULTILINE):
        words = [word for word in line.split() if not word.isupper()]
        options = {spelling for word in words if word.startswith("-") for spelling in word.split("/")}
        listed[" ".join(word for word in words if not word.startswith("-"))] = options
    assert listed == dict(commands(get_command(cli), "sandbox-bot"))


def test_the_commands_and_options_of_the_kit_are_those_that_there_are():
    for path, options in re.findall(r"^sandbox-worker ((?:[a-z]+ )*)(--.*)$", PAGE, re.MULTILINE):
        program = [sys.executable, "-m", "sandbox_worker", *path.split(), "--help"]
        shown = subprocess.run(program, capture_output=True, text=True, check=True).stdout
        assert {word for word in options.split() if word.startswith("--") and word != "--"} == set(
            re.findall(r"--[a-z]+(?:-[a-z]+)*", shown)
        ) - {"--help"}


def commands(command, path):
    """The words of each command, and the options of it in all their spellings; of a group, if it has any."""
    options = {spelling for parameter in command.params for spelling in parameter.opts if spelling.startswith("-")}
    inner = getattr(command, "commands", {})
    if options or not inner:
        yield path, options
    for name, one in inner.items():
        yield from commands(one, f"{path} {name}")
