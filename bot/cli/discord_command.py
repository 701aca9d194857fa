"""`sandbox-bot discord`: a Discord on this machine, for a bot of one's own and its tests."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot import log
from bot.cli.runtime import EX_CONFIG, EX_UNAVAILABLE, exit_with_error, run_or_exit

if TYPE_CHECKING:
    from bot.local.serving import WorldSource
    from local_discord import LocalDiscord

cli = typer.Typer()

EX_NOT_FOUND = 127


def _split(command: str | None) -> list[str] | None:
    """As a shell splits it."""
    if command is None:
        return None
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise typer.BadParameter(f"{command}: {error}") from None
    if not words:
        raise typer.BadParameter("there is no command")
    return words


@cli.command()
def discord(
    command: Annotated[
        str | None, typer.Option("--exec", metavar="COMMAND", help='Run this against it, such as "pytest", and end.')
    ] = None,
    world: Annotated[
        Path | None,
        typer.Option("--world", help="A file of servers, channels, people and roles, or a new one.", dir_okay=False),
    ] = None,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Write the world back at the end.")] = True,
    port: Annotated[int, typer.Option("--port", help="0: any that is free.", min=0, max=65535)] = 0,
    page: Annotated[bool, typer.Option("--page", help="Serve a page to act in as its people, too.")] = False,
    token_variable: Annotated[
        list[str], typer.Option("--token-variable", metavar="NAME", help="Where the command's bot looks for its token.")
    ] = ["DISCORD_TOKEN"],  # noqa: B006
) -> None:
    """Serve the local Discord alone, until SIGINT or SIGTERM: its token and addresses are printed as variables. With
    --exec they are set for a command, in which discord.com is this Discord, and its exit code is passed on."""
    from bot.local.serving import WorldSource

    log.configure("WARNING")
    words = _split(command)
    sys.exit(run_or_exit(_serve(WorldSource(world, save), port, words, token_variable, page=page)))


async def _serve(
    source: WorldSource, port: int, command: list[str] | None, token_variables: list[str], *, page: bool
) -> int:
    from bot.local.serving import open_local_discord, run_against, stop_by_signal
    from bot.local.world_file import WrongWorld
    from sandbox_worker.errors import CommandNotFound

    try:
        async with open_local_discord(source, port) as local, _serving_page(local) if page else nullcontext():
            if command is not None:
                return await run_against(local, command, token_variables)
            stop = stop_by_signal()
            _print(local)
            await stop.wait()
            return 0
    except WrongWorld as error:
        exit_with_error(str(error), EX_CONFIG)
    except CommandNotFound as error:
        exit_with_error(str(error), EX_NOT_FOUND)
    except OSError as error:
        exit_with_error(f"the local Discord: {error.strerror or error}", EX_UNAVAILABLE)


@asynccontextmanager
async def _serving_page(local: LocalDiscord) -> AsyncIterator[None]:
    """Its address has a token, and is told on standard error."""
    from local_discord.page.page import Page

    async with Page(local) as page:
        typer.echo(f"sandbox-bot: open {page.url}", err=True)
        yield


def _print(local: LocalDiscord) -> None:
    """The variables alone on standard output: they are a `.env` as they stand."""
    for name, value in local.environment.items():
        typer.echo(f"{name}={value}")
    sys.stdout.flush()
    typer.echo(f"sandbox-bot: serves {', '.join(guild.name for guild in local.world.guilds.values())}", err=True)
    typer.echo("sandbox-bot: a bot as it is reaches it by `sandbox-worker run -- python bot.py`", err=True)
