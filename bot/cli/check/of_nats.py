"""NATS: which servers, whether they ask the bot who may log in, and for how much they have room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

from bot import constants
from bot.cli.check.apart import tell_isolation
from bot.cli.check.clocks import compare_store
from bot.cli.check.shared import Unanswerable
from bot.cli.check.surroundings import Surroundings
from bot.durations import format_duration
from bot.findings import Finding, ok, warning
from bot.i18n import gettext
from bot.stores.nats_account import read_workers_account
from bot.stores.nats_addresses import servers_in
from bot.stores.nats_capacity import NatsNeeds, read_nats_capacity
from bot.stores.nats_greeting import greet_all, read_clock, version_of
from bot.stores.nats_sync import read_sync_interval

_OLDEST_TRIED = (2, 11)


async def server(found: Surroundings) -> AsyncIterator[Finding]:
    """Its version; without JetStream it has let nobody in."""
    client = await found.nats.wait()
    version = version_of(client)
    yield ok(gettext("NATS {version} answers, with JetStream.", version=version))
    if (client.connected_server_version.major or 0, client.connected_server_version.minor or 0) < _OLDEST_TRIED:
        yield warning(
            gettext("NATS {version} is older than what the bot was tried with.", version=version),
            gettext("Use NATS {oldest} or newer.", oldest=".".join(map(str, _OLDEST_TRIED))),
        )


async def hosts(found: Surroundings) -> AsyncIterator[Finding]:
    """Each of several."""
    addresses = await found.addresses.get()
    if len(servers_in(addresses.nats)) < 2:
        return
    for server, answer in await greet_all(addresses.nats, addresses.nats_login):
        if isinstance(answer, str):
            yield ok(gettext("{server} answers, NATS {version}.", server=server, version=answer))
        else:
            yield warning(
                gettext("{server} does not answer: {detail}", server=server, detail=answer.detail),
                gettext("Start it, or take it out of NATS_URL."),
            )


async def callout(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether the users that answer it are let in; nothing where there is none."""
    await found.nats.get()  # a server that is away lets nobody in, and is told of once
    if await found.callout.wait() is not None:
        yield ok(gettext("The bot's users for NATS's auth callout are let in."))


async def clock(found: Surroundings) -> AsyncIterator[Finding]:
    """By which workers' connections end."""
    client, callout = await found.nats.get(), await found.callout.get()

    async def ask() -> float:
        moment = await read_clock(client, callout.system if callout else None)
        if moment is None:
            raise Unanswerable("nats.callout")
        return moment

    yield await compare_store("NATS", ask, found)


async def isolation(found: Surroundings) -> AsyncIterator[Finding]:
    """Whether a worker gets what is its sandbox's, all of that and nothing else."""
    enforcement = await found.nats_isolation.wait()
    yield tell_isolation("NATS", enforcement, found.settings)
    callout = await found.callout.get()
    if callout is not None and enforcement.enforced:
        for gap in (await read_workers_account(callout.system)).list_gaps():
            yield gap


async def disk(found: Surroundings) -> AsyncIterator[Finding]:
    """How soon it holds what was acknowledged; how the embedded one does that the settings say."""
    callout = await found.callout.get()
    if callout is None or "nats" in found.settings.embedded_stores:
        return
    interval_s = await read_sync_interval(callout.system)
    if interval_s is None:
        return
    if interval_s <= constants.NATS_SYNC_TRUSTED_UP_TO_S:
        yield ok(gettext("It brings events to its disk within {seconds} s.", seconds=f"{interval_s:.0f}"))
        return
    yield warning(
        gettext(
            "It brings events to its disk only every {seconds} s: what it has acknowledged meanwhile is lost with its "
            "power, and nobody marks that.",
            seconds=f"{interval_s:.0f}",
        ),
        gettext('Set sync_interval: "{seconds}s" in its jetstream block.', seconds=constants.NATS_SYNC_EVERY_S),
    )


async def limits(found: Surroundings) -> AsyncIterator[Finding]:
    """Of the account and the servers; the embedded one is made to fit."""
    if "nats" in found.settings.embedded_stores:
        return
    nats, callout = found.settings.nats, await found.callout.get()
    needs = NatsNeeds(
        nats.stream_max_megabytes * 1024 * 1024,
        nats.stream_replicas,
        found.settings.sandboxes.max_per_owner,
        found.settings.isolation.max_connections,
    )
    system = callout.system if callout else None
    capacity = await read_nats_capacity(await found.nats.get(), system, nats.stream_replicas)
    is_cluster = len(servers_in((await found.addresses.get()).nats)) > 1
    findings = [*capacity.findings(needs), *_patience(found.settings.routing.ack_timeout, is_cluster)]
    for finding in findings:
        yield finding
    if not findings:
        yield ok(gettext("It has room for the streams and connections of one developer's sandboxes and more."))


def _patience(ack_timeout: timedelta, is_cluster: bool) -> Iterator[Finding]:
    most = constants.CHECK_MOST_ACK_TIMEOUT_S
    if is_cluster and ack_timeout.total_seconds() >= most:
        yield warning(
            gettext(
                "routing.ack_timeout is {chosen}: a stream's next leader may get later events first.",
                chosen=format_duration(ack_timeout),
            ),
            gettext("Set it to less than {most} s.", most=most),
        )
