"""PostgreSQL: which servers, what the bot may do there, what keeps sandboxes apart, and how many have room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import asyncpg

from bot import constants
from bot.cli.check.apart import tell_isolation
from bot.cli.check.clocks import compare_store
from bot.cli.check.shared import Unanswerable
from bot.cli.check.surroundings import Surroundings
from bot.control_plane import try_template
from bot.findings import Finding, failure, ok, warning
from bot.i18n import gettext, ngettext
from bot.sandboxes.access.capacity import read_capacity
from bot.sandboxes.access.isolation import list_postgres_risks, may_create_schemas
from bot.stores.failures import postgres_failure
from bot.stores.leases import list_claimants
from bot.stores.migrations import list_missing_migrations
from bot.stores.postgres import Pool, connected, load_queries
from bot.stores.postgres_hosts import connect_to, several_hosts
from bot.stores.postgres_poolers import require_sessions
from sandbox_worker.addresses import Host

_OLDEST_TRIED = 15


async def server(found: Surroundings) -> AsyncIterator[Finding]:
    """Its version, and what the bot's role may do."""
    pool = await found.postgres.wait()
    await require_sessions(pool)
    async with connected(pool) as connection:
        told = await connection.fetchrow(load_queries("check")["server"])
    assert told is not None
    where = str(Host(told["host"], told["port"])) if told["host"] else gettext("a socket")
    yield ok(gettext("PostgreSQL {version} answers at {where}.", version=told["version"].split()[0], where=where))
    if told["major"] < _OLDEST_TRIED:
        yield warning(
            gettext("PostgreSQL {version} is older than what the bot was tried with.", version=told["version"]),
            gettext("Use PostgreSQL {oldest} or newer.", oldest=_OLDEST_TRIED),
        )
    names = {"role": told["role"], "database": told["database"]}
    if not told["may_create"]:
        yield failure(
            gettext("The role {role} may make no schemas in the database {database}.", **names),
            gettext("Let it own the database, or `GRANT CREATE ON DATABASE {database} TO {role}`.", **names),
        )
    if told["is_superuser"]:
        yield warning(
            gettext("The role {role} is a superuser, which the bot never needs.", **names),
            gettext("Give the bot a role of its own, as sql/bootstrap.sql makes one."),
        )


async def hosts(found: Surroundings) -> AsyncIterator[Finding]:
    """Each of several, and what a failover costs."""
    address = (await found.addresses.get()).postgres
    several = several_hosts(address)
    for finding in await asyncio.gather(*(_host(address, host) for host in several)):
        yield finding
    if not several:
        return
    async with connected(await found.postgres.get()) as connection:
        primary = await connection.fetchrow(load_queries("failover")["primary"])
    if primary is not None and primary["is_asynchronous"]:
        yield warning(
            gettext("What was committed last is lost with the primary, also what somebody was told of."),
            gettext("Name the standby in synchronous_standby_names."),
        )


async def _host(address: str, host: Host) -> Finding:
    within_s = constants.CHECK_HOST_WITHIN_S
    try:
        connection = await connect_to(address, host, timeout=within_s, command_timeout=within_s)
        try:
            told = await connection.fetchrow(load_queries("check")["host"])
        finally:
            connection.terminate()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        return warning(
            gettext("{host} does not answer: {detail}", host=host, detail=postgres_failure(error).detail),
            gettext("Start it, or take it out of DATABASE_URL."),
        )
    assert told is not None
    version = told["version"].split()[0]
    if told["is_standby"]:
        return ok(gettext("{host} is a standby, PostgreSQL {version}.", host=host, version=version))
    return ok(gettext("{host} takes the writes, PostgreSQL {version}.", host=host, version=version))


async def clock(found: Surroundings) -> AsyncIterator[Finding]:
    """By which sandboxes end."""
    async with connected(await found.postgres.get()) as connection:
        ask = partial(connection.fetchval, load_queries("check")["clock"])
        yield await compare_store("PostgreSQL", ask, found)


async def migrations(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether the database is what this version needs."""
    missing, is_new = await list_missing_migrations(await found.postgres.get())
    if is_new:
        yield ok(gettext("The database is new: `sandbox-bot run` or `migrate` prepares it."))
    elif missing:
        yield warning(
            ngettext(len(missing), "{number} migration is missing.", "{number} migrations are missing."),
            gettext("Run `sandbox-bot migrate`; the next start does it, too."),
        )
    else:
        yield ok(gettext("The database is what this version needs."))


async def template(found: Surroundings) -> AsyncIterator[Finding]:
    """Tried in a transaction that is rolled back; not in a database that others use and that is to be migrated, for
    that would hold them up."""
    pool = await found.postgres.get()
    missing, is_new = await list_missing_migrations(pool)
    if not found.trials or (missing and not is_new):
        yield ok(gettext("The template of new sandboxes was not tried."))
        return
    async with found.postgres_trial:
        await try_template(found.settings, pool, migrating=is_new)
    yield ok(gettext("The template of new sandboxes applies."))


async def isolation(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether a sandbox's role is kept to what is its own."""
    enforcement = await found.postgres_isolation.wait()
    yield tell_isolation("PostgreSQL", enforcement, found.settings)
    if not enforcement.enforced:
        return
    if await may_create_schemas(await found.postgres.get()):
        yield ok(gettext("Sandboxes may make more schemas and temporary tables."))
    else:
        yield ok(
            gettext(
                "Sandboxes may make no more schemas nor temporary tables: no guard is installed (a superuser may run "
                "sql/bootstrap.sql)."
            )
        )


async def limits(found: Surroundings) -> AsyncIterator[Finding]:
    """How many sandboxes there are connections for, and what one of them could keep from the others."""
    pool = await found.postgres.get()
    for risk in await list_postgres_risks(pool):
        yield risk
    await found.migrated()
    capacity = await read_capacity(pool, found.settings, await _count_bots(found, pool))
    yield ok(capacity.fact)
    for finding in capacity.warnings():
        yield finding


async def _count_bots(found: Surroundings, pool: Pool) -> int:
    """Those that run, or the one that is to: also where Discord does not say whose they are."""
    try:
        application_id = (await found.discord.get()).client.application_id or 0
    except Unanswerable:
        return 1
    return max(len(await list_claimants(pool, application_id)), 1)
