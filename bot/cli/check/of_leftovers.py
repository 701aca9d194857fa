"""What was left behind in the stores, and sandboxes that nobody finishes. None of it is touched."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable

from bot import constants
from bot.cli.check.surroundings import Surroundings
from bot.control_plane import open_redis_store, open_stream_store
from bot.errors import ServiceUnavailable
from bot.findings import Finding, ok, warning
from bot.i18n import gettext, ngettext
from bot.sandboxes.lifecycle.orphans import Orphan, OrphanCollector, is_ours
from bot.sandboxes.schema import SchemaProvisioner
from bot.stores.postgres import fetch, load_queries


async def leftovers(found: Surroundings) -> AsyncIterator[Finding]:
    """Stuck sandboxes, and orphans: all that is in no living sandbox, perhaps another installation's."""
    pool, settings = await found.migrated(), found.settings
    stuck = await fetch(pool, load_queries("sandboxes")["find_stuck"], settings.sandboxes.stuck_after * 2, None)
    if stuck:
        yield warning(
            ngettext(
                len(stuck),
                "{number} sandbox is half made or half destroyed, and nobody works on it.",
                "{number} sandboxes are half made or half destroyed, and nobody works on them.",
            ),
            gettext("Start a bot, which ends them, or `sandbox-bot sandbox sweep`."),
        )
    store = open_redis_store(settings, await found.redis.get(), configures=False)
    callout = await found.callout.get()
    streams = open_stream_store(settings, await found.nats.get(), workers_apart=callout is not None)
    collector = OrphanCollector(pool, SchemaProvisioner(pool), store, streams, settings.sandboxes.grace)
    try:
        async with asyncio.timeout(constants.CHECK_LEFTOVERS_WITHIN_S):
            orphans = await collector.find()
    except ServiceUnavailable as error:
        yield _unasked(error)
        return
    except TimeoutError:
        yield ok(gettext("What is left was not looked through to the end; `sandbox-bot sandbox orphans` does that."))
        return
    if not orphans:
        yield ok(gettext("Nothing is left of sandboxes that are gone."))
    for finding in _tell(orphans):
        yield finding


def _unasked(error: ServiceUnavailable) -> Finding:
    return warning(
        gettext("{service} does not say what is left there: {detail}", service=error.service, detail=error.detail),
        gettext("Let the bot's user ask that, or look with an administrator's."),
    )


def _tell(orphans: list[Orphan]) -> Iterable[Finding]:
    ours, others = [one for one in orphans if is_ours(one)], [one for one in orphans if not is_ours(one)]
    if ours:
        yield warning(
            gettext("Left of sandboxes that are gone: {kinds}.", kinds=_count(ours)),
            gettext("Run `sandbox-bot sandbox orphans --drop`."),
        )
    if others:
        yield ok(
            gettext(
                "Perhaps another installation's, and left as they are: {kinds} (`sandbox-bot sandbox orphans`).",
                kinds=_count(others),
            )
        )


def _count(orphans: Iterable[Orphan]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(str(one.kind) for one in orphans).items())
