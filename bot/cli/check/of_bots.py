"""The bots that run on these stores: who has which shards, and who does the upkeep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from bot.cli.check.surroundings import Surroundings
from bot.findings import Finding, ok, warning
from bot.i18n import gettext
from bot.routing.leases import GatewayProcess, list_processes
from bot.upkeep import find_upkeeper


async def shards(found: Surroundings) -> AsyncIterator[Finding]:
    """A line for each bot, and for the shards that nobody runs."""
    pool, logged_in = await found.migrated(), await found.discord.get()
    processes = await list_processes(pool, logged_in.client.application_id or 0)
    if not processes:
        yield ok(gettext("No bot is running."))
    for finding in compare_shards(processes):
        yield finding


def compare_shards(processes: Sequence[GatewayProcess]) -> Iterator[Finding]:
    """Which of them has what, whether they agree on how many shards there are, and which of these nobody runs."""
    yield from (ok(_describe(process)) for process in processes)
    totals = sorted({process.shards.total for process in processes})
    if len(totals) > 1:
        yield warning(
            gettext("Bots run with different numbers of shards: {totals}.", totals=", ".join(map(str, totals))),
            gettext("Give all of them the same discord.shard_count: some wait until the others have ended."),
        )
    held = {shard_id for process in processes for shard_id in process.held}
    in_force = {process.shards.total for process in processes if process.held} or totals
    if missing := [shard_id for shard_id in range(max(in_force, default=0)) if shard_id not in held]:
        yield warning(
            gettext("Nobody runs {shards}: events of their servers wait.", shards=_list(missing)),
            gettext("Start a bot with them in discord.shard_ids, or without shard_ids."),
        )


async def upkeep(found: Surroundings) -> AsyncIterator[Finding]:
    """Nothing where no bot runs."""
    upkeeper = await find_upkeeper(await found.migrated())
    if upkeeper is not None:
        yield ok(gettext("{bot} does the upkeep.", bot=upkeeper))


def _describe(process: GatewayProcess) -> str:
    """Which shards it runs, and for which it is the standby."""
    total = process.shards.total
    data = {"bot": process.name, "runs": _list(process.held), "waits": _list(process.awaited), "total": total}
    if not process.awaited:
        return gettext("{bot} runs {runs} of {total}.", **data)
    if not process.held:
        return gettext("{bot} is the standby for {waits} of {total}.", **data)
    return gettext("{bot} runs {runs} and is the standby for {waits} of {total}.", **data)


def _list(shard_ids: Sequence[int]) -> str:
    listed = ", ".join(map(str, shard_ids))
    return gettext("shard {ids}", ids=listed) if len(shard_ids) == 1 else gettext("shards {ids}", ids=listed)
