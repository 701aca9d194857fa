"""Of Discord's gateway: under the names of discord-ext-prometheus, whose dashboards show them, and some of our own."""

from __future__ import annotations

import math
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from bot import metrics
from bot.client import SandboxBot
from bot.routing.leases import GatewayLeases
from bot.routing.reconnects import Reconnects
from bot.upkeep import Upkeep

_ALL = "None"
"""What stands for all shards, as in discord-ext-prometheus."""


class DiscordSource:
    """A `Source`."""

    def __init__(self, bot: SandboxBot, leases: GatewayLeases, reconnects: Reconnects, upkeep: Upkeep) -> None:
        self._bot, self._leases, self._reconnects, self._upkeep = bot, leases, reconnects, upkeep

    def __call__(self) -> Iterator[Metric]:
        yield from self._gateway()
        yield from self._guilds()
        counts = self._bot.interaction_counts
        for counted in (counts.events, counts.outcomes, counts.seconds):
            yield from counted.collect()

    def _gateway(self) -> Iterator[Metric]:
        connected, shards = self._bot.connected_shards, self._bot.shards
        each = {(str(shard_id),): float(shard_id in connected) for shard_id in shards}
        yield metrics.CONNECTED.each({(_ALL,): float(bool(shards) and connected >= shards.keys()), **each})
        latencies = ((str(shard_id), latency) for shard_id, latency in self._bot.latencies)
        yield metrics.LATENCY.each({(shard,): latency for shard, latency in latencies if math.isfinite(latency)})
        ids = self._bot.shard_ids or range(self._bot.shard_count or 0)
        yield metrics.SHARD_HELD.each({(str(shard_id),): shard_id in self._leases.held for shard_id in ids})
        attempts = self._reconnects.attempts
        yield metrics.GATEWAY_ATTEMPTS.each({(kind,): attempts[kind] for kind in ("resume", "identify")})
        yield metrics.UPKEEP_HELD.one(self._upkeep.is_held)

    def _guilds(self) -> Iterator[Metric]:
        guilds = self._bot.guilds
        yield metrics.GUILDS.one(len(guilds))
        yield metrics.CHANNELS.one(sum(len(guild.channels) for guild in guilds))
        yield metrics.USERS.one(sum(guild.member_count or 0 for guild in guilds))
        yield metrics.COMMANDS.one(sum(1 for _ in self._bot.tree.walk_commands()))
