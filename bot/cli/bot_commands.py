"""`sandbox-bot run`, `demo`, `check` and the others without a group: for whoever operates the bot."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from bot import log
from bot.cli import health_command, restore_command
from bot.cli.check import command
from bot.cli.runtime import EX_UNAVAILABLE, Config, exit_with_error, read_settings, run_or_exit
from bot.keys import KeyRing
from bot.settings import Settings
from bot.stores.migrations import migrate as apply_migrations
from bot.stores.opening import open_addresses
from bot.stores.postgres import Pool, open_pool

cli = typer.Typer()
cli.add_typer(command.cli)
cli.add_typer(health_command.cli)
cli.add_typer(restore_command.cli)


def _check_folder(path: Path | None) -> Path | None:
    """Before the tour, and not at its end."""
    if path is not None and not os.access(path.absolute().parent, os.W_OK):
        raise typer.BadParameter(f"no file can be written in {path.absolute().parent}")
    return path


@cli.command()
def run(config: Config = None) -> None:
    """Run the bot until it gets SIGINT or SIGTERM."""
    from bot.app import open_app

    settings = read_settings(config, need_token=True)

    async def serve() -> None:
        async with open_app(settings) as app:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, app.stop_now)
            await app.run()

    run_or_exit(serve())


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, to look around.")] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", help="Write a picture of the tour to this file.", dir_okay=False, callback=_check_folder),
    ] = None,
) -> None:
    """Show the main job on a local Discord and embedded stores. Needs no account and leaves nothing behind."""
    from bot.demo.tour import run_tour

    log.configure("ERROR")
    sys.exit(run_or_exit(run_tour(keep=keep, svg=svg)))


@cli.command()
def play(
    port: Annotated[int, typer.Option("--port", help="The page's; 0 is any that is free.", min=0, max=65535)] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address of the page.")] = False,
) -> None:
    """Play with it in a page, on a local Discord and embedded stores. Needs no account and leaves nothing behind."""
    from bot.demo.play import play as run_play

    log.configure("ERROR")
    run_or_exit(run_play(typer.echo, port=port, browser=not no_browser))


@cli.command()
def migrate(config: Config = None) -> None:
    """Bring the PostgreSQL schema up to date. Safe to repeat, also from two processes at the same time."""
    applied = run_or_exit(_apply_migrations(read_settings(config)))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@cli.command()
def sync(
    remove: Annotated[
        bool, typer.Option("--remove", help="Take them away, and no others; `sync` brings them back, no bot does.")
    ] = False,
    config: Config = None,
) -> None:
    """Register the bot's commands with Discord, and no others. A running bot does it by itself."""
    from bot.app import open_app
    from bot.discord_away import DiscordUnavailable

    settings = read_settings(config, need_token=True)

    async def send() -> list[str]:
        async with open_app(settings, share=True) as app, app.bot:
            await app.login()
            try:
                changes = await (app.commands.remove() if remove else app.commands.register())
            except DiscordUnavailable as error:
                exit_with_error(f"Discord did not take it: {error.detail}", EX_UNAVAILABLE, error.code)
            return [f"{done} /{name}" for done, names in vars(changes).items() for name in names]

    nothing = "no command of ours is registered" if remove else "all commands are registered"
    typer.echo("\n".join(run_or_exit(send())) or nothing)
    if remove:
        typer.echo("Bots leave it at that, also when they are started again. `sandbox-bot sync` brings them back.")


@cli.command()
def nats_seed() -> None:
    """Make the key for NATS's auth callout: the seed is the bot's secret, the rest goes into nats.conf."""
    from bot.stores.nats_jwt import account_of, new_account_seed

    seed = new_account_seed()
    typer.echo(f"NATS_ACCOUNT_SEED={seed}\nSANDBOX_ISSUER={account_of(seed)}")


@cli.command()
def rotate_keys(config: Config = None) -> None:
    """Make new keys for what the bots share one for. Those before are valid for a day, or until the next time."""
    rotated = run_or_exit(_rotate_keys(read_settings(config)))
    typer.echo("\n".join(f"rotated {purpose}" for purpose in rotated) or "there are no keys yet")


async def _apply_migrations(settings: Settings) -> list[str]:
    """The names of those that were missing."""
    async with _postgres(settings) as pool:
        return await apply_migrations(pool)


async def _rotate_keys(settings: Settings) -> list[str]:
    """What they are for."""
    async with _postgres(settings) as pool:
        await apply_migrations(pool)
        keys = KeyRing(pool)
        purposes = await keys.purposes()
        for purpose in purposes:
            await keys.rotate(purpose)
        return purposes


@asynccontextmanager
async def _postgres(settings: Settings) -> AsyncIterator[Pool]:
    """The one store that the command needs."""
    async with open_addresses(settings, share=True, only=frozenset({"postgres"})) as addresses:
        pool = await open_pool(addresses.postgres)
        try:
            yield pool
        finally:
            await pool.close()
