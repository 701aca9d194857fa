"""What every command runs in: settings, log, open stores, errors, exit codes."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bot import log
from bot.cli.rendering import progress
from bot.control_plane import open_control_plane
from bot.errors import SandboxError, ServiceUnavailable
from bot.sandboxes.health import InspectGuilds
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import OPERATOR, Actor
from bot.settings import Settings, SettingsError, load_settings
from bot.shutdown import run
from bot.stores.embedded import EmbeddedError, FolderMissing
from bot.stores.opening import Stores, open_stores
from sandbox_worker.text import plain

OpenInspector = Callable[[Settings], AbstractAsyncContextManager[InspectGuilds | None]]
"""What asks Discord about servers while it is open; None if it cannot be asked."""

EX_FAILED = 1
EX_USAGE = 2
EX_SHOWN = 3
EX_UNAVAILABLE = 69
EX_CONFIG = 78
EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the credentials were shown before, "
    "69 a service is not reachable, 78 the configuration is wrong."
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
    """The settings, with the log set up by them. `quiet` is for a command that only answers: it logs errors alone.

    Wrong settings, or a missing token where one is needed, end the process with 78.
    """
    try:
        settings = load_settings(config)
        if need_token:
            settings.require_token()
    except SettingsError as error:
        exit_with_error(str(error), EX_CONFIG, as_json=as_json)
    configure_log(settings, quiet=quiet)
    return settings


def configure_log(settings: Settings, *, quiet: bool) -> None:
    """As the settings want it, without their secrets. `quiet`: errors alone."""
    chosen = settings.log
    log.configure(
        "ERROR" if quiet else chosen.level,
        levels={} if quiet else chosen.levels,
        json_lines=not log.is_terminal() if chosen.json_lines is None else chosen.json_lines,
        secrets=settings.secrets(),
    )


def run_or_exit[ResultT](work: Coroutine[Any, Any, ResultT], *, as_json: bool = False) -> ResultT:
    """The result of the work. An expected failure is printed and ends the process with the exit code of its kind."""
    try:
        return run(work)
    except SettingsError as error:
        exit_with_error(str(error), EX_CONFIG, as_json=as_json)
    except ServiceUnavailable as error:
        exit_with_error(f"{error.service} {error.problem}: {error.detail}", EX_UNAVAILABLE, error.code, as_json=as_json)
    except FolderMissing as error:
        exit_with_error(str(error), EX_CONFIG, as_json=as_json)
    except EmbeddedError as error:
        exit_with_error(str(error), EX_UNAVAILABLE, as_json=as_json)
    except SandboxError as error:
        told = " ".join(str(each) for each in (error, error.shortage) if each is not None)
        exit_with_error(told, EX_FAILED, error.code, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(130)


def run_with_manager[ResultT](
    work: Callable[[SandboxManager], Awaitable[ResultT]],
    config: Path | None,
    doing: str | None = None,
    *,
    as_json: bool,
    open_inspector: OpenInspector | None = None,
) -> ResultT:
    """`run_or_exit` with a manager on open stores; `doing` is shown on a terminal meanwhile. `open_inspector`: for what
    asks Discord; everything else needs none."""
    settings = read_settings(config, quiet=True, as_json=as_json)

    async def begin(_: Stores, manager: SandboxManager) -> ResultT:
        await manager.refresh_activity()
        return await work(manager)

    return run_on_stores(settings, begin, doing, as_json=as_json, open_inspector=open_inspector)


def run_on_stores[ResultT](
    settings: Settings,
    work: Callable[[Stores, SandboxManager], Awaitable[ResultT]],
    doing: str | None,
    *,
    as_json: bool,
    open_inspector: OpenInspector | None = None,
) -> ResultT:
    """As `run_with_manager`, for what needs the settings and the stores too."""

    async def run() -> ResultT:
        async with (
            open_inspector(settings) if open_inspector is not None else nullcontext() as inspect_guilds,
            open_stores(settings, share=True) as stores,
            open_control_plane(settings, stores, inspect_guilds=inspect_guilds) as manager,
        ):
            return await work(stores, manager)

    with progress(doing, quiet=as_json):
        return run_or_exit(run(), as_json=as_json)


def operator() -> Actor:
    """Whoever runs this, by the account of the system; behind sudo by their own."""
    account = os.environ.get("SUDO_USER") if os.getuid() == 0 else None
    with suppress(KeyError):  # in a container nobody may have that number
        account = account or pwd.getpwuid(os.getuid()).pw_name
    return replace(OPERATOR, account=plain(account or f"uid {os.getuid()}"))


def confirm_or_exit(question: str, *, yes: bool, as_json: bool) -> None:
    """Returns if the answer is yes; ends the process with 1 if it is no, with 2 if nobody is there to answer."""
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        exit_with_error(f"{question} Nobody is there to answer: say --yes", EX_USAGE, as_json=as_json)
    typer.confirm(question, abort=True, err=True)


def print_error(message: str, code: str | None, *, as_json: bool) -> None:
    """One line, or one JSON object `{"error": {"code", "message"}}`, on standard error."""
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "message": message}}), err=True)
    else:
        typer.echo(f"sandbox-bot: {plain(message)}" + (f" ({code})" if code else ""), err=True)


def print_errors(errors: Sequence[SandboxError], *, as_json: bool) -> None:
    """A line for each; in JSON one object, by the first one's code."""
    if errors and as_json:
        print_error(" ".join(map(str, errors)), errors[0].code, as_json=True)
    elif not as_json:
        for error in errors:
            print_error(str(error), error.code, as_json=False)


def print_warning(message: str, *, as_json: bool) -> None:
    """One line, or one JSON object `{"warning": {"message"}}`, on standard error."""
    told = json.dumps({"warning": {"message": message}}) if as_json else f"sandbox-bot: {plain(message)}"
    typer.echo(told, err=True)


def exit_with_error(message: str, exit_code: int, code: str | None = None, *, as_json: bool = False) -> NoReturn:
    """Prints the error and ends the process; JSON without a `code` of its own gets the name of the exit code."""
    print_error(message, code or (JSON_CODES[exit_code] if as_json else None), as_json=as_json)
    raise SystemExit(exit_code)


JSON_CODES = {
    EX_FAILED: "FAILED",
    EX_USAGE: "USAGE",
    EX_SHOWN: "CREDENTIALS_SHOWN",
    EX_UNAVAILABLE: "UNAVAILABLE",
    EX_CONFIG: "CONFIGURATION",
}
