"""The bots that run on these stores: who has which shards, and who does the upkeep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from bot import constants
from bot.cli.check.surroundings import Surroundings
from bot.findings import Finding, ok, warning
from bot.i18n import gettext
from bot.stores.leases import Claimant, list_claimants
from bot.stores.postgres import Pool, fetch, load_queries
from bot.upkeep import find_upkeeper


async def shards(found: Surroundings) -> AsyncIterator[Finding]:
    """A line for each bot, and for the shards that nobody runs."""
    pool, logged_in = await found.migrated(), await found.discord.get()
    application_id = logged_in.client.application_id or 0
    for other in await _list_other_applications(pool, application_id):
        yield warning(
            gettext("A bot of another application, {id}, runs on these stores: both see all sandboxes.", id=other),
            gettext("Set DISCORD_TOKEN to that application's, or give each stores of its own."),
        )
    bots = await list_claimants(pool, application_id)
    if not bots:
        yield ok(gettext("No bot is running."))
        return
    for bot in bots:
        yield ok(_describe(bot))
    held = {shard_id for bot in bots for shard_id in bot.held}
    if missing := [shard_id for shard_id in range(bots[0].claim.total) if shard_id not in held]:
        yield warning(
            gettext("Nobody runs {shards}: events of their servers wait.", shards=_list(missing)),
            gettext("Start a bot with them in discord.shard_ids, or without shard_ids."),
        )


async def _list_other_applications(pool: Pool, application_id: int) -> list[int]:
    lately = timedelta(seconds=constants.LEASE_S)
    rows = await fetch(pool, load_queries("check")["list_other_applications"], application_id, lately)
    return [int(row["application_id"]) for row in rows]


async def upkeep(found: Surroundings) -> AsyncIterator[Finding]:
    """Nothing where no bot runs."""
    upkeeper = await find_upkeeper(await found.migrated())
    if upkeeper is not None:
        yield ok(gettext("{bot} does the upkeep.", bot=upkeeper))


def _describe(bot: Claimant) -> str:
    """Which shards it runs, and for which it is the standby."""
    total = bot.claim.total
    data = {"bot": bot.name, "runs": _list(bot.held), "waits": _list(bot.awaited), "total": total}
    if not bot.awaited:
        return gettext("{bot} runs {runs} of {total}.", **data)
    if not bot.held:
        return gettext("{bot} is the standby for {waits} of {total}.", **data)
    return gettext("{bot} runs {runs} and is the standby for {waits} of {total}.", **data)


def _list(shard_ids: Sequence[int]) -> str:
    listed = ", ".join(map(str, shard_ids))
    return gettext("shard {ids}", ids=listed) if len(shard_ids) == 1 else gettext("shards {ids}", ids=listed)
