"""`sandbox-bot run`, `demo`, `check` and the others without a group: for whoever operates the bot."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from bot import log
from bot.cli.runtime import Config, read_settings, run_or_exit
from bot.sandboxes.access.isolation import Isolation, list_postgres_risks
from bot.settings import Settings
from bot.stores.opening import open_addresses
from bot.stores.postgres import migrate as apply_migrations
from bot.stores.postgres import open_pool

cli = typer.Typer()


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
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a picture of the tour to this file.")] = None,
) -> None:
    """Show the main job on a local Discord and embedded stores. Needs no account and leaves nothing behind."""
    from bot.demo.tour import run_tour

    log.configure("ERROR")
    sys.exit(run_or_exit(run_tour(keep=keep, svg=svg)))


@cli.command()
def migrate(config: Config = None) -> None:
    """Bring the PostgreSQL schema up to date. Safe to repeat, also from two processes at the same time."""
    applied = run_or_exit(_apply_migrations(read_settings(config)))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@cli.command()
def sync(config: Config = None) -> None:
    """Tell Discord the bot's commands, changed or not."""
    from bot.app import open_app
    from bot.command_sync import sync_commands

    settings = read_settings(config, need_token=True)

    async def send() -> None:
        async with open_app(settings, share=True) as app, app.bot:
            await app.login()
            await sync_commands(app.bot, app.stores.pool, force=True)

    run_or_exit(send())
    typer.echo("commands synced")


@cli.command()
def check(config: Config = None) -> None:
    """Ask the three stores and Discord whether they would serve the bot, and try the template of new sandboxes."""
    from bot.app import open_app
    from bot.control_plane import try_template
    from bot.stores.redis import RedisStore

    settings = read_settings(config, need_token=True)

    async def probe() -> tuple[str, str, Isolation, list[str]]:
        async with open_app(settings, share=True) as app, app.bot:
            await app.login()
            await try_template(app.manager)
            server = await RedisStore(app.stores.redis).describe_server()
            risks = await list_postgres_risks(app.stores.pool)
            return str(app.bot.user), server, app.manager.access.isolation, risks

    user, server, isolation, risks = run_or_exit(probe())
    typer.echo(f"PostgreSQL, {server}, NATS (JetStream) and Discord (as {user}) answer.")
    typer.echo("The template of new sandboxes applies.")
    redis = server.partition(" ")[0]
    for store, state in (("PostgreSQL", isolation.postgres), (redis, isolation.redis), ("NATS", isolation.nats)):
        typer.echo(f"Isolation of sandboxes in {store}: {state}")
    for risk in risks:
        typer.echo(f"Warning, PostgreSQL: {risk}")


@cli.command()
def nats_seed() -> None:
    """Make the key for NATS's auth callout: the seed is the bot's secret, the rest goes into nats.conf."""
    from bot.stores.nats_jwt import account_of, new_account_seed

    seed = new_account_seed()
    typer.echo(f"NATS_ACCOUNT_SEED={seed}\nSANDBOX_ISSUER={account_of(seed)}")


async def _apply_migrations(settings: Settings) -> list[str]:
    """The names of those that were missing."""
    async with open_addresses(settings, share=True, only=frozenset({"postgres"})) as addresses:
        pool = await open_pool(addresses.postgres)
        try:
            return await apply_migrations(pool)
        finally:
            await pool.close()
