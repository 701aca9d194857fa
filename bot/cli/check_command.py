"""`sandbox-bot check`: whether the bot could run here, found out by changing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from bot.cli.check_failover import check_failover
from bot.cli.check_nats import check_nats
from bot.cli.check_relay import check_relay
from bot.cli.check_workers import check_workers
from bot.cli.runtime import Config, print_warning, read_settings, run_or_exit
from bot.control_plane import open_redis_store, probe_isolation, try_template
from bot.routing.leases import GatewayProcess, list_processes
from bot.sandboxes.access.capacity import read_capacity
from bot.sandboxes.access.databases import SandboxDatabases
from bot.sandboxes.access.isolation import list_postgres_risks, may_create_schemas
from bot.settings import Settings
from bot.stores.migrations import list_missing_migrations
from bot.stores.nats_account import read_workers_account
from bot.stores.opening import Stores, open_stores
from bot.stores.redis import RedisStore
from bot.upkeep import find_upkeeper
from sandbox_worker.text import plain

cli = typer.Typer()


@dataclass(slots=True)
class Report:
    """What is said at the end: a line for each fact, and for each thing that an operator should mend."""

    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@cli.command()
def check(
    no_trials: Annotated[
        bool,
        typer.Option(
            "--no-trials",
            help="Write nothing at all: do not try the template in a transaction that is rolled back, nor Redis's ACL "
            "by a user that is off and deleted again.",
        ),
    ] = False,
    config: Config = None,
) -> None:
    """Ask the three stores and Discord whether they would serve the bot. It leaves nothing: no migration, no key, no
    stream, no folder."""
    settings = read_settings(config, need_token=True, quiet=True)
    report = run_or_exit(_check(settings, not no_trials))
    for fact in report.facts:
        typer.echo(plain(fact))
    for warning in report.warnings:
        print_warning(f"Warning: {warning}", as_json=False)


async def _check(settings: Settings, trials: bool) -> Report:
    report = Report()
    async with open_stores(settings, share=True, migrating=False) as stores:
        user, application_id, flags = await _ask_discord(settings)
        server = await RedisStore(stores.redis, configures=False).describe_server()
        report.facts.append(f"PostgreSQL, {server}, NATS (JetStream) and Discord (as {user}) answer.")
        _tell_of_other_bot(settings, stores, report)
        if await _check_database(settings, stores, trials, report):
            processes = await list_processes(stores.pool, application_id)
            report.facts += list(map(_describe, processes)) or ["Gateway: no bot is running."]
            if (upkeeper := await find_upkeeper(stores.pool)) is not None:
                report.facts.append(f"Upkeep: {upkeeper} does it.")
            capacity = await read_capacity(stores.pool, settings, max(len(processes), 1))
            report.facts.append(capacity.fact)
            report.warnings += [f"PostgreSQL: {warning}." for warning in capacity.warnings()]
            await _check_databases(settings, stores, trials, report)
        await _check_isolation(settings, stores, trials, server.partition(" ")[0], report)
        report.warnings += [f"PostgreSQL: {risk}" for risk in await list_postgres_risks(stores.pool)]
        facts, warnings = await check_failover(stores)
        report.facts += facts
        report.warnings += warnings
        await _check_refusals(stores, trials, server.partition(" ")[0], report)
        facts, warnings = await check_relay(settings, stores, flags)
        report.facts += facts
        report.warnings += warnings
    return report


async def _ask_discord(settings: Settings) -> tuple[str, int, int]:
    """Whom the token belongs to, of which application, and with which flags."""
    from bot.health_sources import http_client, log_in
    from bot.routing.gateway import set_api_base

    set_api_base(settings.discord.api_base)
    async with http_client() as client:
        await log_in(client, settings)
        return str(client.user), client.application_id or 0, (await client.application_info()).flags.value


def _tell_of_other_bot(settings: Settings, stores: Stores, report: Report) -> None:
    if settings.embedded_stores and stores.addresses.embedded is None:
        report.facts.append(
            f"A bot runs on {settings.embedded.folder.absolute()}; a second one would be refused there. For a standby "
            "give both servers of their own (DATABASE_URL, REDIS_URL, NATS_URL)."
        )


async def _check_database(settings: Settings, stores: Stores, trials: bool, report: Report) -> bool:
    """Whether it is migrated. One that others use isn't even for a trial: it would hold them up."""
    missing, is_new = await list_missing_migrations(stores.pool)
    if missing:
        report.facts.append(f"{len(missing)} migrations are missing; `sandbox-bot run` or `migrate` applies them.")
    if trials and (is_new or not missing):
        await try_template(settings, stores.pool, migrating=is_new)
        report.facts.append("The template of new sandboxes applies.")
    else:
        report.facts.append("The template of new sandboxes was not tried.")
    return not missing


async def _check_isolation(settings: Settings, stores: Stores, trials: bool, redis: str, report: Report) -> None:
    isolation = await probe_isolation(settings, stores, trial=trials)
    facts, warnings = check_workers(settings, stores, isolation)
    report.warnings += warnings
    untried = "" if trials else ", as far as that is known without a trial"
    report.facts += [
        f"Isolation of sandboxes in PostgreSQL: {isolation.postgres}",
        f"Isolation of sandboxes in {redis}: {isolation.redis}{untried}",
        f"Isolation of sandboxes in NATS: {isolation.nats}",
        *facts,
    ]
    if isolation.postgres.enforced:
        report.facts.append(
            "Sandboxes may make more schemas and temporary tables in PostgreSQL."
            if await may_create_schemas(stores.pool)
            else "Sandboxes may make no more schemas nor temporary tables in PostgreSQL, for no guard is installed: "
            "let a superuser run sql/bootstrap.sql."
        )
    if "nats" not in settings.embedded_stores:
        report.warnings += [f"NATS: {warning}." for warning in await check_nats(settings, stores)]
    if stores.callout and isolation.nats.enforced:
        report.warnings += [f"NATS: {gap}" for gap in (await read_workers_account(stores.callout.system)).list_gaps()]


async def _check_databases(settings: Settings, stores: Stores, trials: bool, report: Report) -> None:
    """Of Valkey's own for sandboxes: how many are left, and what stands in the way of others."""
    databases = SandboxDatabases(stores.pool, open_redis_store(settings, stores, configures=False))
    await databases.probe(trial=trials)
    if databases.hindrance is not None:
        report.facts.append(f"Databases for sandboxes in Valkey: none, {databases.hindrance}.")
        return
    total, used, others = await databases.describe()
    free = total - used - len(others)
    report.facts.append(f"Databases for sandboxes in Valkey: {total}, {free} of them free.")
    if others:
        named = ", ".join(map(str, others))
        report.warnings.append(f"Valkey's databases {named} are not empty and not ours: no sandbox gets them.")
    if free == 0:
        report.warnings.append("No database of Valkey's is free: new sandboxes share one, each with its prefix.")


async def _check_refusals(stores: Stores, trials: bool, redis: str, report: Report) -> None:
    """The bot turns that off itself where it may."""
    store = RedisStore(stores.redis, configures=False)
    if trials and await store.keeps_refusals() and not await store.may_configure():
        report.warnings.append(
            f"{redis} keeps what workers are refused in memory, up to gigabytes. Set acllog-max-len to 0 in its "
            "configuration, or let the bot use CONFIG."
        )


def _describe(process: GatewayProcess) -> str:
    """Which shards it runs, and for which it is the standby."""
    total = process.shards.total
    runs = f"runs {_list(process.held)} of {total}" if process.held else ""
    waits = f"is the standby for {_list(process.awaited)} of {total}" if process.awaited else ""
    return f"Gateway: {process.name} {' and '.join(filter(None, (runs, waits)))}."


def _list(shard_ids: Sequence[int]) -> str:
    return f"shard{'s' if len(shard_ids) > 1 else ''} {', '.join(map(str, shard_ids))}"
