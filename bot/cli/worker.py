"""`sandbox-bot worker`: what a developer types beside their worker."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from bot import log
from bot.cli.runtime import EX_CONFIG, EX_USAGE, exit_with_error, run_or_exit
from bot.durations import parse_duration
from bot.errors import InvalidInput

if TYPE_CHECKING:
    from sandbox_worker import Sandbox, StoredEvent

cli = typer.Typer()


@cli.callback()
def worker() -> None:
    """A sandbox as its worker sees it: in the environment that `/sandbox connect` hands out, or a `.env`."""


@cli.command()
def tail(
    event: Annotated[list[str] | None, typer.Option("--event", help="Only events of this name; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Begin with the stored ones, this far back: 15m.")
    ] = None,
) -> None:
    """Print the events as they come, until Ctrl+C. The workers do not miss any by it."""
    from sandbox_worker import Sandbox, WrongEnvironment

    log.configure("WARNING")
    try:
        begin = None if since is None else time.time() - parse_duration(since).total_seconds()
        sandbox = Sandbox.from_env()
    except InvalidInput as error:
        exit_with_error(str(error), EX_USAGE)
    except WrongEnvironment as error:
        exit_with_error(str(error), EX_CONFIG)
    names = [name.upper() for name in event or ()]
    run_or_exit(_print(sandbox, names, begin, as_json=as_json))


async def _print(sandbox: Sandbox, names: list[str], since: float | None, *, as_json: bool) -> None:
    with suppress(asyncio.CancelledError):  # Ctrl+C is how it is meant to end
        async with sandbox:
            async for event in sandbox.watch(*names, since=since):
                typer.echo(_as_json(event) if as_json else _as_line(event))


def _as_json(event: StoredEvent) -> bytes:
    return orjson.dumps(
        {
            "sequence": event.sequence,
            "event": event.name,
            "guild_id": None if event.guild_id is None else str(event.guild_id),
            "time": event.stored_at.isoformat(),
            "data": event.data,
        }
    )


def _as_line(event: StoredEvent) -> str:
    """Cut to the terminal's width, if it is one."""
    clock, guild = event.stored_at.astimezone().strftime("%H:%M:%S"), event.guild_id or "-"
    line = f"{clock} {event.sequence:>6} {event.name:<24} {guild} {orjson.dumps(event.data).decode()}"
    return line[: shutil.get_terminal_size().columns - 1] if sys.stdout.isatty() else line
