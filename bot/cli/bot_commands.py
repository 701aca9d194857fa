"""`sandbox-bot run`, `demo`, `check` and the others without a group: for whoever operates the bot."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from bot import log
from bot.cli.runtime import Config, read_settings, run_or_exit
from bot.keys import KeyRing
from bot.routing.leases import GatewayProcess, list_processes
from bot.sandboxes.access.isolation import Isolation, list_postgres_risks
from bot.settings import Settings
from bot.stores.opening import open_addresses
from bot.stores.postgres import Pool, open_pool
from bot.stores.postgres import migrate as apply_migrations

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

    async def probe() -> tuple[str, str, Isolation, list[str], list[GatewayProcess]]:
        async with open_app(settings, share=True) as app, app.bot:
            await app.login()
            await try_template(app.manager)
            store = RedisStore(app.stores.redis)
            risks = [f"PostgreSQL: {risk}" for risk in await list_postgres_risks(app.stores.pool)]
            server = await store.describe_server()
            if await store.keeps_refusals():
                risks.append(
                    f"{server.partition(' ')[0]} keeps what workers are refused in memory, up to gigabytes. "
                    "Set acllog-max-len to 0 in its configuration, or let the bot use CONFIG."
                )
            processes = await list_processes(app.stores.pool, app.bot.application_id or 0)
            return str(app.bot.user), server, app.manager.access.isolation, risks, processes

    user, server, isolation, risks, processes = run_or_exit(probe())
    typer.echo(f"PostgreSQL, {server}, NATS (JetStream) and Discord (as {user}) answer.")
    typer.echo("The template of new sandboxes applies.")
    redis = server.partition(" ")[0]
    for store, state in (("PostgreSQL", isolation.postgres), (redis, isolation.redis), ("NATS", isolation.nats)):
        typer.echo(f"Isolation of sandboxes in {store}: {state}")
    typer.echo("\n".join(map(_describe, processes)) or "Gateway: no bot is running.")
    for risk in risks:
        typer.echo(f"Warning: {risk}", err=True)


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


def _describe(process: GatewayProcess) -> str:
    """Which shards it runs, and for which it is the standby."""
    total = process.shards.total
    runs = f"runs {_list(process.held)} of {total}" if process.held else ""
    waits = f"is the standby for {_list(process.awaited)} of {total}" if process.awaited else ""
    return f"Gateway: {process.name} {' and '.join(filter(None, (runs, waits)))}."


def _list(shard_ids: Sequence[int]) -> str:
    return f"shard{'s' if len(shard_ids) > 1 else ''} {', '.join(map(str, shard_ids))}"


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
