"""`sandbox-worker`: what a developer types beside their worker."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import sys
import time
from contextlib import aclosing, suppress
from importlib.metadata import version
from typing import Any, NoReturn

import msgspec

from sandbox_worker.durations import parse_duration
from sandbox_worker.environment_command import add_database_url, add_env
from sandbox_worker.errors import CommandNotFound, ServiceUnavailable, WorkerError, WrongDuration, WrongEnvironment
from sandbox_worker.events import StoredEvent
from sandbox_worker.sandbox import Sandbox
from sandbox_worker.standard_names import DatabaseForm
from sandbox_worker.store_clients import add_clients
from sandbox_worker.text import plain, printable_json

EX_FAILED = 1
EX_USAGE = 2
EX_UNAVAILABLE = 69
EX_CONFIG = 78
EX_NOT_FOUND = 127
EX_INTERRUPTED = 130
_EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 69 a service is not reachable, "
    "78 the environment is wrong."
)


def main() -> None:
    """The entry point. Ends the process with one of the exit codes; only a bug is a traceback."""
    logging.basicConfig(level=logging.WARNING, format="sandbox-worker: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns at the end of each connection by TLS
    options = _parser().parse_args()
    try:
        options.handler(options)
    except CommandNotFound as error:
        _fail(str(error), EX_NOT_FOUND)
    except WrongDuration as error:
        _fail(str(error), EX_USAGE)
    except WrongEnvironment as error:
        _fail(str(error), EX_CONFIG)
    except ServiceUnavailable as error:
        _fail(f"{error.service} is not reachable: {error.detail} ({error.code})", EX_UNAVAILABLE)
    except WorkerError as error:
        _fail(f"{error} ({error.code})", EX_FAILED)
    except BrokenPipeError:  # whoever reads it, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EX_FAILED)
    except KeyboardInterrupt:
        sys.exit(EX_INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sandbox-worker",
        description="A sandbox as its worker sees it: in the environment that `/sandbox connect` hands out, or a .env.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"sandbox-worker {version('sandbox-worker')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "Print the events as they come, until Ctrl+C. The workers do not miss any by it."
    tail = commands.add_parser("tail", help=about, description=about, epilog=_EXIT_CODES)
    tail.add_argument(
        "--event", action="append", default=[], metavar="NAME", help="Only events of this name; repeatable."
    )
    tail.add_argument("--since", metavar="DURATION", help="Begin with the stored ones, this far back: 15m.")
    tail.add_argument("--json", action="store_true", help="One JSON object a line.")
    tail.set_defaults(handler=_run_tail)
    _add_run(commands)
    add_env(commands, _EXIT_CODES)
    add_clients(commands)
    return parser


def _add_run(commands: Any) -> None:
    about = (
        "Run a bot as it is, in the sandbox: for it and all that it starts, discord.com is the sandbox's relay. Python "
        "and Node are led there by hooks, other programs by a namespace of Linux where the machine allows it. "
        "DATABASE_URL, REDIS_URL, NATS_URL, PGHOST and the like are the sandbox's."
    )
    codes = f"{_EXIT_CODES} Otherwise it is the command's own: 127 if there is none, 128 + N if signal N has ended it."
    run = commands.add_parser(
        "run",
        help="Run a bot as it is, in the sandbox.",
        description=about,
        epilog=codes,
        usage="sandbox-worker run [OPTIONS] -- COMMAND...",
    )
    run.add_argument(
        "--token-variable",
        action="append",
        type=_variable,
        metavar="NAME",
        help="Where the bot reads its token, in place of DISCORD_TOKEN; repeatable.",
    )
    ways = run.add_mutually_exclusive_group()
    ways.add_argument(
        "--hooks",
        dest="way",
        action="store_const",
        const="hooks",
        help="The command starts Python or Node, whatever it looks like.",
    )
    ways.add_argument(
        "--namespace", dest="way", action="store_const", const="namespace", help="Lead Python and Node by it, too."
    )
    ways.add_argument(
        "--address",
        dest="way",
        action="store_const",
        const="address",
        help="Only set the variables, and show how the library that is installed is pointed at the relay.",
    )
    add_database_url(run)
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="The program and its arguments.")
    run.set_defaults(handler=_run_command, parser=run)


def _variable(name: str) -> str:
    if not name.isidentifier():
        raise argparse.ArgumentTypeError(f"“{name}” is no name of a variable")
    return name


def _run_tail(options: argparse.Namespace) -> None:
    since = None if options.since is None else time.time() - parse_duration(options.since).total_seconds()
    names = [name.upper() for name in options.event]
    asyncio.run(_tail(Sandbox.from_env(), names, since, as_json=options.json))


def _run_command(options: argparse.Namespace) -> NoReturn:
    from sandbox_worker.run.command import RunOptions, run

    if os.name != "posix":
        _fail("`run` needs Linux or macOS; on Windows, use it in WSL.", EX_FAILED)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        options.parser.error("say which command to run: sandbox-worker run -- python bot.py")
    form = DatabaseForm(options.database_url or DatabaseForm.POSTGRESQL)
    chosen = RunOptions(command, options.token_variable or ["DISCORD_TOKEN"], options.way, form)
    sys.exit(asyncio.run(run(chosen)))


async def _tail(sandbox: Sandbox, names: list[str], since: float | None, *, as_json: bool) -> None:
    with suppress(asyncio.CancelledError):  # Ctrl+C is how it is meant to end
        async with sandbox, aclosing(sandbox.tail(*names, since=since)) as events:
            async for event in events:
                sys.stdout.buffer.write(f"{_as_json(event) if as_json else _as_line(event)}\n".encode())
                sys.stdout.buffer.flush()


def _as_json(event: StoredEvent) -> str:
    return _encoded(
        {
            "sequence": event.sequence,
            "stream_created_at": None if event.stream_created_at is None else event.stream_created_at.isoformat(),
            "event": event.name,
            "guild_id": None if event.guild_id is None else str(event.guild_id),
            "time": event.stored_at.isoformat(),
            "data": event.data,
        }
    )


def _encoded(data: object) -> str:
    return printable_json(msgspec.json.encode(data).decode())


def _as_line(event: StoredEvent) -> str:
    """Cut to the terminal's width, if it is one."""
    clock, guild = event.stored_at.astimezone().strftime("%H:%M:%S"), event.guild_id or "-"
    line = f"{clock} {event.sequence:>6} {plain(event.name):<24} {guild} {_encoded(event.data)}"
    return line[: shutil.get_terminal_size().columns - 1] if sys.stdout.isatty() else line


def _fail(message: str, exit_code: int) -> NoReturn:
    """One line on standard error."""
    print(f"sandbox-worker: {plain(message)}", file=sys.stderr)
    raise SystemExit(exit_code)
