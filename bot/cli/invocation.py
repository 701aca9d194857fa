"""How every command begins and ends: settings, log, exit codes, errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bot import log
from bot.errors import SandboxError, ServiceUnavailable
from bot.settings import Settings, SettingsError, load_settings
from bot.shutdown import run
from bot.stores.embedded import EmbeddedError

EX_FAILED = 1
EX_USAGE = 2
EX_UNAVAILABLE = 69
EX_CONFIG = 78
EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 69 a service is not reachable, "
    "78 the configuration is wrong."
)

Config = Annotated[
    Path | None, typer.Option("--config", help="The settings file; otherwise $BOT_CONFIG, otherwise ./config.toml.")
]
Json = Annotated[
    bool,
    typer.Option("--json", help='Data as JSON, alone on standard output; errors as {"error": …} on standard error.'),
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def read_settings(
    config: Path | None, *, need_token: bool = False, quiet: bool = False, as_json: bool = False
) -> Settings:
    """The settings, with the log set up: by them, or, for a command that just answers, for errors alone."""
    try:
        settings = load_settings(config)
        if need_token:
            settings.require_token()
    except SettingsError as error:
        fail(str(error), EX_CONFIG, as_json=as_json)
    log.configure(
        "ERROR" if quiet else settings.log.level, json_lines=settings.log.json_lines, secrets=settings.secrets()
    )
    return settings


def complete[ResultT](work: Coroutine[Any, Any, ResultT], *, as_json: bool = False) -> ResultT:
    """The result of the work; an expected failure ends the process."""
    try:
        return run(work)
    except SettingsError as error:
        fail(str(error), EX_CONFIG, as_json=as_json)
    except ServiceUnavailable as error:
        fail(f"{error.service} is not reachable: {error.detail}", EX_UNAVAILABLE, error.code, as_json=as_json)
    except EmbeddedError as error:
        fail(str(error), EX_UNAVAILABLE, as_json=as_json)
    except SandboxError as error:
        fail(str(error), EX_FAILED, error.code, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(130)


def ask(question: str, *, yes: bool, as_json: bool) -> None:
    """Goes on if the answer is yes; ends the process if it is no, or if nobody is there to answer."""
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        fail(f"{question} Nobody is there to answer: say --yes", EX_USAGE, as_json=as_json)
    typer.confirm(question, abort=True, err=True)


def tell(message: str, code: str | None, *, as_json: bool) -> None:
    """One line, or one JSON object, on standard error."""
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "message": message}}), err=True)
    else:
        typer.echo(f"sandbox-bot: {message}" + (f" ({code})" if code else ""), err=True)


def fail(message: str, exit_code: int, code: str | None = None, *, as_json: bool = False) -> NoReturn:
    """Only a bug is a traceback."""
    tell(message, code or (_CODES[exit_code] if as_json else None), as_json=as_json)
    raise SystemExit(exit_code)


_CODES = {EX_FAILED: "FAILED", EX_USAGE: "USAGE", EX_UNAVAILABLE: "UNAVAILABLE", EX_CONFIG: "CONFIGURATION"}
