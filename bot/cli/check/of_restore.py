"""Whether PostgreSQL was restored from a backup, and what does not match then. None of it is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from itertools import groupby

from bot import constants
from bot.cli.check.surroundings import Surroundings
from bot.control_plane import make_restore_comparison, open_redis_store, open_stream_store
from bot.errors import ServiceUnavailable
from bot.findings import Finding, failure, ok, warning
from bot.i18n import gettext
from bot.sandboxes.lifecycle.orphans import Orphan, OrphanCollector, Proof
from bot.sandboxes.restores.comparison import Known, Mismatch, MismatchKind, RestoreComparison
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.nats import StreamStore
from bot.stores.redis import RedisStore

_STORES = {"redis": "Redis", "nats": "NATS"}


async def changes(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether PostgreSQL has what the others know of."""
    known = await (await _comparison(found)).read_known()
    if known.missing is None and not known.is_unsettled:
        yield ok(gettext("PostgreSQL has all changes that the other stores know of."))
        return
    yield failure(
        gettext(
            "PostgreSQL was restored from a backup: its last change is of {newest}, and the audit log has nothing of "
            "what came after. Nothing is handed out until that is settled.",
            newest=_written(known.newest.made_at if known.newest else None),
        ),
        gettext("Run `sandbox-bot check --restore`, then `sandbox-bot settle-restore`."),
    )


async def stores(found: Surroundings) -> AsyncIterator[Finding]:
    """Up to when each of the other stores knows of changes."""
    known = await (await _comparison(found)).read_known()
    for store, name in _STORES.items():
        yield ok(_tell_copy(name, known, store))


async def sandboxes(found: Surroundings) -> AsyncIterator[Finding]:
    """What does not match of those that PostgreSQL knows, each with what becomes of it."""
    comparison = await _comparison(found)
    mismatches = await comparison.find(await comparison.read_known())
    for mismatch in mismatches:
        yield _tell(mismatch)
    if not mismatches:
        yield ok(gettext("The other stores have what PostgreSQL says of each sandbox."))


async def others(found: Surroundings) -> AsyncIterator[Finding]:
    """What the other stores have of sandboxes that PostgreSQL does not know."""
    pool, (redis, streams) = await found.migrated(), await _stores(found)
    collector = OrphanCollector(pool, SchemaProvisioner(pool), redis, streams, timedelta(0))
    try:
        async with asyncio.timeout(constants.CHECK_LEFTOVERS_WITHIN_S):
            unknown = [orphan for orphan in await collector.find() if orphan.proof is Proof.NONE]
    except (TimeoutError, ServiceUnavailable) as error:
        yield warning(
            gettext("What is unknown to PostgreSQL was not looked through to the end: {error}", error=str(error)),
            gettext("See `sandbox-bot sandbox orphans`."),
        )
        return
    for finding in _tell_unknown(unknown):
        yield finding
    if not unknown:
        yield ok(gettext("The other stores have nothing of sandboxes that PostgreSQL does not know."))


async def _stores(found: Surroundings) -> tuple[RedisStore, StreamStore]:
    redis = open_redis_store(found.settings, await found.redis.get(), configures=False)
    callout = await found.callout.get()
    return redis, open_stream_store(found.settings, await found.nats.get(), workers_apart=callout is not None)


async def _comparison(found: Surroundings) -> RestoreComparison:
    pool, (redis, streams) = await found.migrated(), await _stores(found)
    return make_restore_comparison(found.settings, pool, redis, streams, await found.nats.get())


def _tell_copy(name: str, known: Known, store: str) -> str:
    if store not in known.copies:
        return gettext("{store} knows of no change: it is empty, or no bot has run for a minute.", store=name)
    return gettext("{store} knows of changes until {at}.", store=name, at=_written(known.copies[store].made_at))


def _written(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "—"


def _tell(mismatch: Mismatch) -> Finding:
    name, number = mismatch.name, mismatch.redis_database
    match mismatch.kind:
        case MismatchKind.CREDENTIALS:
            return warning(
                gettext("“{name}”: its credentials may have been replaced or revoked since the backup.", name=name),
                gettext("`settle-restore` replaces them; its owner gets new ones by `/sandbox connect`."),
            )
        case MismatchKind.GONE:
            return warning(
                gettext("“{name}”: neither NATS nor Redis has anything of it; it may be destroyed since.", name=name),
                gettext("With `settle-restore` it gets a new stream. Destroy it again if it was destroyed."),
            )
        case MismatchKind.STREAM:
            return warning(
                gettext("“{name}”: NATS has no stream of it.", name=name),
                gettext("With `settle-restore` it gets a new one, in which the gap is marked."),
            )
        case MismatchKind.ROLE:
            return warning(
                gettext("“{name}”: its role in PostgreSQL was not restored, or is another installation's.", name=name),
                gettext("`settle-restore` makes one, with other credentials."),
            )
        case MismatchKind.DATABASE:
            return warning(
                gettext(
                    "“{name}”: its database {number} of Valkey's is another one's since.", name=name, number=number
                ),
                gettext("With `settle-restore` it gets another one, which is empty."),
            )
        case MismatchKind.UNFINISHED:
            return warning(
                gettext("“{name}”: it was being made when the backup was taken.", name=name),
                gettext("It is taken down after `settle-restore`."),
            )


def _tell_unknown(unknown: list[Orphan]) -> Iterator[Finding]:
    def owner(orphan: Orphan) -> str:
        return str(orphan.sandbox_id or orphan.name)

    for name, left in groupby(sorted(unknown, key=owner), key=owner):
        kinds = ", ".join(f"{orphan.kind} {orphan.name}" for orphan in left)
        yield warning(
            gettext("PostgreSQL does not know {owner}, of which there is: {kinds}.", owner=name, kinds=kinds),
            gettext("Made since the backup, or another installation's: it is left as it is, to be dropped by hand."),
        )
