"""The checks by their names, which are stable, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from bot.cli.check import (
    of_bots,
    of_commands,
    of_discord,
    of_guilds,
    of_health,
    of_leftovers,
    of_nats,
    of_postgres,
    of_redis,
    of_relay,
    of_restore,
    of_settings,
    of_workers,
)
from bot.cli.check.surroundings import Surroundings
from bot.findings import Finding


class Check(NamedTuple):
    """`look` says what it has found as it goes. What it raises of `SettingsError`, `ServiceUnavailable` and their like
    is a failure too."""

    name: str
    look: Callable[[Surroundings], AsyncIterator[Finding]]


CHECKS = (
    Check("settings", of_settings.limits),
    Check("versions", of_settings.versions),
    Check("machine", of_settings.machine),
    Check("stores", of_settings.stores),
    Check("postgres.server", of_postgres.server),
    Check("postgres.hosts", of_postgres.hosts),
    Check("postgres.clock", of_postgres.clock),
    Check("postgres.migrations", of_postgres.migrations),
    Check("postgres.template", of_postgres.template),
    Check("postgres.isolation", of_postgres.isolation),
    Check("postgres.limits", of_postgres.limits),
    Check("redis.server", of_redis.server),
    Check("redis.hosts", of_redis.hosts),
    Check("redis.clock", of_redis.clock),
    Check("redis.isolation", of_redis.isolation),
    Check("redis.databases", of_redis.databases),
    Check("redis.memory", of_redis.memory),
    Check("nats.server", of_nats.server),
    Check("nats.hosts", of_nats.hosts),
    Check("nats.callout", of_nats.callout),
    Check("nats.clock", of_nats.clock),
    Check("nats.isolation", of_nats.isolation),
    Check("nats.disk", of_nats.disk),
    Check("nats.limits", of_nats.limits),
    Check("discord.application", of_discord.application),
    Check("discord.clock", of_discord.clock),
    Check("discord.intents", of_discord.intents),
    Check("discord.verification", of_discord.verification),
    Check("discord.sessions", of_discord.sessions),
    Check("discord.commands", of_commands.commands),
    Check("discord.servers", of_guilds.servers),
    Check("discord.notices", of_guilds.notices),
    Check("bots.shards", of_bots.shards),
    Check("bots.upkeep", of_bots.upkeep),
    Check("relay", of_relay.relay),
    Check("health", of_health.health),
    Check("workers", of_workers.workers),
    Check("restore.changes", of_restore.changes),
    Check("leftovers", of_leftovers.leftovers),
)
_OF_RESTORE = ("stores", "postgres.server", "postgres.migrations", "redis.server", "nats.server", "nats.callout")
CHECKS_OF_RESTORE = (
    *(check for check in CHECKS if check.name in _OF_RESTORE),
    Check("restore.changes", of_restore.changes),
    Check("restore.stores", of_restore.stores),
    Check("restore.sandboxes", of_restore.sandboxes),
    Check("restore.others", of_restore.others),
)
"""After PostgreSQL was restored from a backup."""
