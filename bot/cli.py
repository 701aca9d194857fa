"""`sandbox-bot`: what an operator types."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bot import log
from bot.errors import SandboxError, ServiceUnavailable
from bot.sandboxes.access import Isolation
from bot.settings import Settings, SettingsError, load_settings

EX_UNAVAILABLE = 69
EX_CONFIG = 78

cli = typer.Typer(
    name="sandbox-bot",
    help="A Discord bot that gives each developer an isolated, expiring slice of PostgreSQL, Redis and NATS.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 69 a service is not reachable, 78 the configuration is wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Path | None, typer.Option("--config", help="The settings file; otherwise $BOT_CONFIG, otherwise ./config.toml.")
]


@cli.command()
def run(config: Config = None) -> None:
    """Run the bot until it gets SIGINT or SIGTERM."""
    from bot.app import open_app

    settings = _settings(config, need_token=True)

    async def serve() -> None:
        async with open_app(settings) as app:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, app.stop.set)
            await app.run()

    _run(serve())


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, to look around.")] = False,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a picture of the tour to this file.")] = None,
) -> None:
    """Show the main job on a local Discord and embedded stores. Needs no account and leaves nothing behind."""
    from bot.demo.tour import run_tour

    log.configure("WARNING")
    sys.exit(_run(run_tour(keep=keep, svg=svg)))


@cli.command()
def migrate(config: Config = None) -> None:
    """Bring the PostgreSQL schema up to date. Safe to repeat, also from two processes at once."""
    from bot.stores.opening import open_addresses
    from bot.stores.postgres import migrate as apply_migrations
    from bot.stores.postgres import open_pool

    settings = _settings(config)

    async def apply() -> list[str]:
        async with open_addresses(settings, only=frozenset({"postgres"})) as addresses:
            pool = await open_pool(addresses.postgres)
            try:
                return await apply_migrations(pool)
            finally:
                await pool.close()

    applied = _run(apply())
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@cli.command()
def sync(config: Config = None) -> None:
    """Tell Discord the bot's commands, changed or not."""
    from bot.app import open_app, sync_commands

    settings = _settings(config, need_token=True)

    async def tell() -> None:
        async with open_app(settings) as app, app.bot:
            await app.login()
            await sync_commands(app.bot, app.stores.pool, force=True)

    _run(tell())
    typer.echo("commands synced")


@cli.command()
def check(config: Config = None) -> None:
    """Ask PostgreSQL, Redis, NATS and Discord whether they would serve the bot."""
    from bot.app import open_app

    settings = _settings(config, need_token=True)

    async def ask() -> tuple[str, Isolation]:
        async with open_app(settings) as app, app.bot:
            await app.login()
            return str(app.bot.user), app.manager.access.isolation

    user, isolation = _run(ask())
    typer.echo(f"PostgreSQL, Redis, NATS (JetStream) and Discord (as {user}) answer.")
    typer.echo(f"Isolation of sandboxes in PostgreSQL: {isolation.postgres}")
    typer.echo(f"Isolation of sandboxes in Redis: {isolation.redis}")
    typer.echo(f"Isolation of sandboxes in NATS: {isolation.nats}")


def main() -> None:
    """The entry point."""
    cli()


def _settings(config: Path | None, *, need_token: bool = False) -> Settings:
    try:
        settings = load_settings(config)
        if need_token:
            settings.require_token()
    except SettingsError as error:
        _fail(str(error), EX_CONFIG)
    log.configure(settings.log.level, json_lines=settings.log.json_lines, secrets=settings.secrets())
    return settings


def _run[ResultT](work: Coroutine[Any, Any, ResultT]) -> ResultT:
    from bot.stores.embedded import EmbeddedError

    try:
        return asyncio.run(work)
    except SettingsError as error:
        _fail(str(error), EX_CONFIG)
    except ServiceUnavailable as error:
        _fail(f"{error.service} is not reachable: {error.detail}", EX_UNAVAILABLE)
    except EmbeddedError as error:
        _fail(str(error), EX_UNAVAILABLE)
    except SandboxError as error:
        _fail(f"{error} ({error.code})", 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, code: int) -> NoReturn:
    """An expected failure is one line and an exit code; only a bug is a traceback."""
    typer.echo(f"sandbox-bot: {message}", err=True)
    raise SystemExit(code)
