"""`sandbox-worker env`: the sandbox's variables, for a shell, a file or a program."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from sandbox_worker import variables
from sandbox_worker.dotenv_file import merge_dotenv, write_dotenv, write_exports
from sandbox_worker.environment import read_own
from sandbox_worker.errors import WrongEnvironment
from sandbox_worker.files import replace_file
from sandbox_worker.sandbox import Sandbox
from sandbox_worker.standard_names import DatabaseForm, NameSet, standard_names, wanted_form
from sandbox_worker.text import plain, printable_json

_DOTENV = Path(".env")

_ABOUT = (
    "Print the sandbox's variables, of the environment and the .env, also under the names that tools look for: "
    'eval "$(sandbox-worker env --names standard)".'
)


def add_env(commands: Any, exit_codes: str) -> None:
    """The command's options, among argparse's subcommands."""
    env = commands.add_parser(
        "env", help="Print the sandbox's variables, by other names too.", description=_ABOUT, epilog=exit_codes
    )
    env.add_argument(
        "--format",
        choices=("export", "dotenv", "json"),
        default="export",
        help="How they are written: for a shell's eval, as a file, or as one JSON object.",
    )
    env.add_argument(
        "--pull",
        action="store_true",
        help="Ask the bot for them as they are now, and write them into the .env here; its other lines stay.",
    )
    add_names(env)
    env.set_defaults(handler=_run)


def add_names(parser: argparse.ArgumentParser) -> None:
    """`--names` and `--database-url`, which `named` reads."""
    parser.add_argument(
        "--names",
        choices=[str(one) for one in NameSet],
        default=str(NameSet.SANDBOX),
        help="standard: DATABASE_URL, REDIS_URL, PGHOST and the like, too.",
    )
    add_database_url(parser)


def add_database_url(parser: argparse.ArgumentParser) -> None:
    """`--database-url` alone."""
    parser.add_argument(
        "--database-url",
        choices=[str(one) for one in DatabaseForm],
        metavar="FORM",
        help=f"How that is written, with the standard names: {', '.join(DatabaseForm)}.",
    )


def _run(options: argparse.Namespace) -> None:
    own = read_own(os.environ, _DOTENV)
    if options.pull:
        own |= asyncio.run(_pull())
    form = DatabaseForm(options.database_url) if options.database_url else None
    wanted = wanted_form(NameSet(options.names), form)
    environment = {**own, **(standard_names(own, wanted) if wanted else {})}
    if options.pull:
        _write(environment)
    else:
        _print(environment, options)


async def _pull() -> dict[str, str]:
    async with Sandbox.from_env() as sandbox:
        return await sandbox.fetch_variables()


def _write(environment: dict[str, str]) -> None:
    """`WrongEnvironment` if the file can't be written."""
    try:
        before = _DOTENV.read_text(encoding="utf-8") if _DOTENV.exists() else ""
        replace_file(_DOTENV, merge_dotenv(before, environment))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongEnvironment(f".env cannot be written: {getattr(error, 'strerror', None) or error}.") from None
    print(f".env has the {len(environment)} variables of sandbox {plain(environment[variables.SANDBOX_NAME])}.")


def _print(environment: dict[str, str], options: argparse.Namespace) -> None:
    write = {"export": write_exports, "dotenv": write_dotenv, "json": _as_json}[options.format]
    sys.stdout.write(write(environment))


def _as_json(environment: dict[str, str]) -> str:
    return printable_json(msgspec.json.encode(environment).decode()) + "\n"
