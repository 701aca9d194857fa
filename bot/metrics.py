"""Every metric, in one table: its name, what it says, and its labels, whose values come from closed sets.

Whoever counts something owns the count, as a plain number that is read at a scrape, or as a counter or histogram that
is made from its row here. `bot.metric_sources` brings them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

from prometheus_client import Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which nobody reads

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Kind(StrEnum):
    """As Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the table."""

    name: str
    """As it is scraped: of a counter with `_total`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def counter(self) -> Counter:
        """One that is counted up where something happens, in no registry yet."""
        return Counter(self.name, self.help, self.labels, registry=None)

    def histogram(self, *outcomes: str) -> Histogram:
        """One that observes seconds, in no registry yet. It has these outcomes from the start."""
        made = Histogram(self.name, self.help, self.labels, buckets=_SECONDS, registry=None)
        for outcome in outcomes:
            made.labels(outcome)
        return made

    def one(self, value: float) -> Metric:
        """As a scrape shows it, without labels."""
        return self.each({(): value})

    def each[Labels: tuple[str, ...]](self, values: Mapping[Labels, float]) -> Metric:
        """As a scrape shows it, by the values of its labels."""
        family = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        metric = family(self.name, self.help, labels=self.labels)
        for labels, value in values.items():
            metric.add_metric(labels, value)
        return metric


TABLE: dict[str, Instrument] = {}
"""All of them by name, in the order of the page."""


def _add(kind: Kind, name: str, text: str, labels: tuple[str, ...]) -> Instrument:
    instrument = TABLE[name] = Instrument(name, kind, text, labels)
    return instrument


def _counter(name: str, text: str, *labels: str) -> Instrument:
    return _add(Kind.COUNTER, name, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Instrument:
    return _add(Kind.GAUGE, name, text, labels)


def _histogram(name: str, text: str, *labels: str) -> Instrument:
    return _add(Kind.HISTOGRAM, name, text, labels)


@contextmanager
def timed(histogram: Histogram, done: str, outcome_of: Callable[[BaseException], str]) -> Iterator[None]:
    """Observes how long the block takes, with the outcome `done`, or with the one of what it raises."""
    began, outcome = monotonic(), done
    try:
        yield
    except BaseException as error:
        outcome = outcome_of(error)
        raise
    finally:
        histogram.labels(outcome).observe(monotonic() - began)


# The process.
BUILD = _gauge("sandbox_build_info", "Always 1; which version this is.", "version")
PART_RUNNING = _gauge(
    "sandbox_part_running", "Whether a long-running part of the process does its work (1) or not (0).", "part"
)
PART_RESTARTS = _counter("sandbox_part_restarts_total", "Starts of a part after it had failed.", "part")
READY = _gauge("sandbox_ready", "Whether a check of `/readyz` is in order (1) or not (0), parts left out.", "check")
LOG_LINES = _counter("logging_total", "Lines of the log from INFO on, whatever it shows.", "logger", "level")
POOL = _gauge("sandbox_postgres_pool_connections", "Connections to PostgreSQL in the bot's pool: idle, busy.", "state")
DATA_FREE = _gauge(
    "sandbox_data_folder_free_bytes", "Room on the disk with the embedded stores' folder; only where there are some."
)
CERTIFICATE_END = _gauge(
    "sandbox_certificate_expiry_timestamp_seconds", "When a certificate ends that the process serves with.", "service"
)

# Discord: the names and labels of discord-ext-prometheus.
CONNECTED = _gauge(
    "discord_connected", "Whether a shard's gateway is connected; `None`: all that this process has.", "shard"
)
LATENCY = _gauge("discord_latency_seconds", "Between a heartbeat of a shard and Discord's answer.", "shard")
ON_INTERACTION = _counter(
    "discord_event_on_interaction_total", "Interactions with the bot itself.", "shard", "interaction", "command"
)
GUILDS = _gauge("discord_stat_total_guilds", "Servers that the bot is in.")
CHANNELS = _gauge("discord_stat_total_channels", "Their channels, as they were when each server was last sent whole.")
USERS = _gauge("discord_stat_total_users", "Their members, as they were then; one in two servers counts twice.")
COMMANDS = _gauge("discord_stat_total_commands", "Commands of the bot itself, with the groups.")

# Shards.
SHARD_HELD = _gauge(
    "sandbox_shard_held", "Whether this process has a shard's lease (1) or another one has, or nobody (0).", "shard"
)
GATEWAY_ATTEMPTS = _counter("sandbox_gateway_attempts_total", "Attempts to connect a shard: resume, identify.", "kind")
UPKEEP_HELD = _gauge("sandbox_upkeep_held", "Whether this process does what one bot does for all (1).")

# Sandboxes and commands.
SANDBOXES = _gauge("sandbox_sandboxes", "Sandboxes that are not destroyed, as PostgreSQL has them.", "status")
OVERDUE = _gauge(
    "sandbox_overdue_seconds",
    "For how long the sandbox that should have left a status first has been due to: expire, be destroyed, or be done.",
    "status",
)
CREATE_SECONDS = _histogram(
    "sandbox_create_duration_seconds", "Creations by outcome: created, refused, failed.", "outcome"
)
DESTROY_SECONDS = _histogram(
    "sandbox_destroy_duration_seconds", "Teardowns, whoever asked for them, by outcome: destroyed, failed.", "outcome"
)
REAPED = _counter(
    "sandbox_reaper_actions_total", "What time has done to sandboxes: warned, expired, destroyed, recovered.", "action"
)
NOTICES_WAITING = _gauge("sandbox_notices_waiting", "Direct messages that are to be delivered, as PostgreSQL has them.")
NOTICES_OLDEST = _gauge("sandbox_notices_oldest_age_seconds", "For how long the oldest of them has waited; else 0.")
NOTICES = _counter(
    "sandbox_notices_total",
    "Attempts to deliver one: sent, sent_to_channel, undeliverable, obsolete, postponed.",
    "outcome",
)
ORPHANS = _gauge(
    "sandbox_orphans", "What the last look has found and not dropped, where this process does the upkeep.", "kind"
)
ORPHANS_DROPPED = _counter("sandbox_orphans_dropped_total", "Orphans that were dropped.", "kind")
REPAIRS = _counter("sandbox_stream_repairs_total", "Lost streams and consumers that were made again.", "of")
ISOLATION = _gauge(
    "sandbox_isolation_enforced", "Whether a store keeps sandboxes apart by itself (1) or by convention (0).", "store"
)
INTERACTIONS = _counter(
    "sandbox_interactions_total",
    "The bot's own commands, buttons and forms: answered, refused, unavailable, failed, timed_out, late.",
    "command",
    "outcome",
)
INTERACTION_SECONDS = _histogram("sandbox_interaction_duration_seconds", "How long the work for them took.")
UNANSWERED = _counter(
    "sandbox_interactions_unanswered_total", "Forwarded interactions that no worker has answered, so that the bot did."
)

# Events.
EVENTS_RECEIVED = _counter("sandbox_events_received_total", "Dispatches that Discord has sent.")
EVENTS_ROUTED = _counter("sandbox_events_routed_total", "Those that were published to a sandbox.")
EVENTS_UNROUTED = _counter(
    "sandbox_events_unrouted_total",
    "Those that were not: unbound, without_guild, own_interactions, own_replies, withheld, malformed.",
    "reason",
)
EVENTS_TOO_LARGE = _counter("sandbox_events_too_large_total", "Those in whose place a stub was published.")
STALE_INTERACTIONS = _counter(
    "sandbox_interactions_stale_total", "Interactions that were sent again when it was too late to answer."
)
GAPS = _counter("sandbox_gaps_total", "Markers of what may be missing: after a new session, lost by a stream.", "cause")
EVENTS_PUBLISHED = _counter(
    "sandbox_events_published_total",
    "What became of what was published: stored, duplicate, refused, lost; dropped if it was to be stored nowhere.",
    "outcome",
)
EVENTS_RESENT = _counter("sandbox_events_resent_total", "Events that were sent to JetStream once more.")
WINDOW = _gauge("sandbox_publish_window_events", "Events in the window: published and not acknowledged.")
WINDOW_MAX = _gauge("sandbox_publish_window_max_events", "How many there may be before the gateway is read no further.")
BACKLOG_BYTES = _gauge("sandbox_publish_backlog_bytes", "All that is not acknowledged, also beside the window.")
APART = _gauge("sandbox_publish_apart_events", "Events that wait beside the window for a stream that takes nothing.")
OLDEST = _gauge("sandbox_publish_oldest_age_seconds", "For how long the oldest event in the window has waited; else 0.")
RECOVERING = _gauge("sandbox_streams_recovering", "Streams that take nothing just now, and are tried.")
ROUTES = _gauge("sandbox_routes", "Bound servers in the route table.")
ROUTES_AGE = _gauge("sandbox_routes_age_seconds", "Since the table was last known to be true to PostgreSQL.")
LOOKUPS = _counter("sandbox_route_lookups_total", "Events' servers that were looked up in it: hit, miss.", "result")

# The relay, where this process serves it.
RELAY_CLIENTS = _gauge("sandbox_relay_clients", "Bots that are connected to the relay's gateway.")
RELAY_REQUESTS = _counter(
    "sandbox_relay_requests_total",
    "HTTP requests by the rule for their route and by outcome: ok, refused, limited, away, failed.",
    "route",
    "outcome",
)
RELAY_QUEUE_SECONDS = _histogram("sandbox_relay_queue_duration_seconds", "How long requests waited for their turn.")
RELAY_WAITING = _gauge("sandbox_relay_queue_requests", "Requests that wait for it just now.")
RELAY_PAUSE = _gauge("sandbox_relay_pause_seconds", "How long Discord is to be left in peace; else 0.")
RELAY_ANSWERS = _counter(
    "sandbox_relay_discord_answers_total", "Discord's answers to the relay: 2xx, 3xx, 4xx, 429, 5xx, none.", "status"
)
RELAY_INVALID = _gauge(
    "sandbox_relay_invalid_requests", "Refusals by Discord in the last ten minutes; it bans the address after 10,000."
)
