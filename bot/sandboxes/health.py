"""How a sandbox is: what its stores and its routing say, and which level that comes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot import constants
from bot.findings import Finding, Level, failure, warning, worst
from bot.i18n import Translatable, gettext, ngettext
from bot.sandboxes.access.isolation import Isolation
from bot.sandboxes.model import Sandbox, SandboxStatus

_STORE_NAMES = {"postgres": "PostgreSQL", "redis": "Redis", "nats": "NATS"}


class HealthLevel(StrEnum):
    """Everything works; it works with a loss; events or workers don't get through."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_LEVELS = {Level.OK: HealthLevel.HEALTHY, Level.WARNING: HealthLevel.DEGRADED, Level.FAILURE: HealthLevel.UNHEALTHY}


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """`summary` is for people; `figures` are the numbers in it, empty when the store did not answer."""

    ok: bool
    summary: str
    figures: dict[str, int]


@dataclass(frozen=True, slots=True)
class GuildPresence:
    """What Discord says of the bot in a guild. `hidden_channels`: the names of what it cannot view, None: not known."""

    has_bot: bool
    name: str | None = None
    hidden_channels: tuple[str, ...] | None = None


InspectGuilds = Callable[[Collection[int]], Awaitable[Mapping[int, GuildPresence]]]
"""Asks Discord about guilds; what it has not told in time is left out. `ServiceUnavailable` if it cannot be asked."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The guilds whose events go to a sandbox just now. `stale`: why that may be out of date, for an operator.
    `withheld`: private answers that were not sent to it since the start, for nobody knows whose they are."""

    guild_ids: frozenset[int]
    stale: str | None = None
    withheld: int = 0


ReadRoutes = Callable[[Sandbox], Awaitable[Routes]]
"""Which of a sandbox's routes are in force. `ServiceUnavailable` if that cannot be read."""


@dataclass(frozen=True, slots=True)
class GuildRouting:
    """A guild that is bound to the sandbox. None: not known."""

    guild_id: int
    presence: GuildPresence | None = None
    in_force: bool | None = None

    @property
    def shown(self) -> str:
        """Its name, or its id."""
        return self.presence.name if self.presence and self.presence.name else str(self.guild_id)


@dataclass(frozen=True, slots=True)
class RoutingHealth:
    """The way of events to the sandbox: its guilds, when its stream got the last one (None: none yet, or not known),
    why the routes may be out of date, what could not be found out, as sentences, and why a bot cannot have its events
    stored (empty: it can)."""

    guilds: tuple[GuildRouting, ...] = ()
    last_event_at: datetime | None = None
    stale: str | None = None
    unknown: tuple[str, ...] = ()
    unstored: str = ""

    @property
    def summary(self) -> str:
        """How many of its servers are routed, for people."""
        if not self.guilds:
            return gettext("no server is bound")
        routed = sum(bool(guild.in_force) for guild in self.guilds)
        return ngettext(
            len(self.guilds), "{routed} of {number} server routed", "{routed} of {number} servers routed", routed=routed
        )


@dataclass(frozen=True, slots=True)
class RelayClient:
    """A bot of the sandbox's that is connected by the relay. `library` is empty if it has not said; `position` is the
    sequence of the stream's up to which it was sent all, and `behind` counts what it was not, None: not known."""

    library: str
    shard: int
    shard_count: int
    connected_since: datetime
    position: int
    behind: int | None

    @property
    def summary(self) -> str:
        """For people."""
        parts = [self.library or gettext("a library that does not tell its name")]
        if self.shard_count > 1:
            parts.append(gettext("shard {shard} of {total}", shard=self.shard, total=self.shard_count))
        if self.behind:
            parts.append(ngettext(self.behind, "{number:,} event behind", "{number:,} events behind"))
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """The way of the sandbox's own bots: the addresses at which relays serve, and who is connected by them.

    `missing`: the address that is handed out and at which none serves.
    """

    addresses: tuple[str, ...] = ()
    clients: tuple[RelayClient, ...] = ()
    missing: str | None = None

    @property
    def summary(self) -> str:
        """How many bots are connected, and where they could be, for people."""
        if not self.addresses and not self.clients:
            return gettext("none serves")
        return ngettext(len(self.clients), "{number} bot is connected", "{number} bots are connected")


@dataclass(frozen=True, slots=True)
class Health:
    """A sandbox, and what was said of it just now. `notices_undelivered`: the last notice did not reach its owner.
    `relay`: None if that is not known. `unasked`: NATS servers that do not say who is connected, by name.
    `is_restored`: PostgreSQL was restored from a backup, and nobody has settled that."""

    sandbox: Sandbox
    postgres: StoreHealth
    redis: StoreHealth
    nats: StoreHealth
    routing: RoutingHealth = RoutingHealth()
    isolation: Isolation | None = None
    notices_undelivered: bool = False
    relay: RelayHealth | None = None
    unasked: tuple[str, ...] = ()
    is_restored: bool = False

    @property
    def stores(self) -> dict[str, StoreHealth]:
        """By the store's name, in the order in which they are shown."""
        return {"postgres": self.postgres, "redis": self.redis, "nats": self.nats}

    @property
    def ok(self) -> bool:
        """Whether all three stores are."""
        return all(store.ok for store in self.stores.values())

    @property
    def level(self) -> HealthLevel:
        """The worst that there is a reason for. What is not known is no reason."""
        return _LEVELS[worst(self.findings)]

    @property
    def reasons(self) -> list[str]:
        """Why it is not healthy, as sentences in the active locale, the worst first; empty if it is."""
        return [finding.message for finding in self.findings]

    @property
    def findings(self) -> list[Finding]:
        """The reasons with the level of each."""
        return [*map(failure, self._unhealthy()), *map(warning, self._degraded())]

    def _unhealthy(self) -> Iterator[str]:
        running = self.sandbox.status is SandboxStatus.RUNNING
        if not running:
            yield gettext(
                "It is {status}: no events come, no worker connects.", status=Translatable(self.sandbox.status)
            )
        if self.is_restored:
            yield gettext(
                "The bot's database was restored from a backup. Nothing is handed out, and credentials that may have "
                "ended since let nobody in, until an admin has run `sandbox-bot settle-restore`."
            )
        for name, store in self.stores.items():
            if not store.ok:
                yield gettext("{store}: {summary}.", store=_STORE_NAMES[name], summary=store.summary)
        if self.routing.unstored:
            yield gettext("No events are stored, they wait meanwhile: {detail}.", detail=self.routing.unstored)
        for guild in self.routing.guilds:
            if guild.presence is not None and not guild.presence.has_bot:
                yield gettext("The bot is not in server {server}.", server=guild.shown)
            if running and guild.in_force is False:
                yield gettext("No route of server {server} is in force.", server=guild.shown)

    def _degraded(self) -> Iterator[str]:
        for guild in self.routing.guilds:
            if guild.presence is not None and guild.presence.hidden_channels:
                yield _hidden(guild.shown, guild.presence.hidden_channels)
        if self.routing.stale is not None:
            yield gettext("The routes may be out of date: {detail}.", detail=self.routing.stale)
        if self.relay is not None and self.relay.missing is not None:
            yield gettext("No relay serves at {address}: no bot logs in there.", address=self.relay.missing)
        for server in self.unasked:
            yield gettext(
                "NATS server {server} does not answer: whoever is connected there with credentials that have ended is "
                "disconnected as soon as it does.",
                server=server,
            )
        if self.notices_undelivered:
            yield gettext("The last notice could not be delivered to the owner, who may have closed direct messages.")
        for name, store in _STORE_NAMES.items():
            if self.isolation is not None and (reason := getattr(self.isolation, name).reason) is not None:
                yield gettext(
                    "{store} keeps sandboxes apart by convention alone: {reason}.", store=store, reason=reason
                )


def _hidden(server: str, channels: tuple[str, ...]) -> str:
    named = ", ".join(f"#{name}" for name in channels[: constants.NAMED_CHANNELS])
    return ngettext(
        len(channels),
        "The bot cannot see {number} channel of {server}: {channels}.",
        "The bot cannot see {number} channels of {server}: {channels}.",
        server=server,
        channels=named + (" …" if len(channels) > constants.NAMED_CHANNELS else ""),
    )
