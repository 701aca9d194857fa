"""What `--json` shows of things: the keys that `docs/stability.md` names."""

from __future__ import annotations

from typing import Any

from bot.cli.relay_rendering import relay_data
from bot.sandboxes.access.isolation import Isolation
from bot.sandboxes.health import GuildRouting, Health, RoutingHealth
from bot.sandboxes.lifecycle.orphans import Orphan
from bot.sandboxes.model import AuditEntry, Extension, Sandbox


def sandbox_data(sandbox: Sandbox) -> dict[str, Any]:
    """The object that every command with `--json` prints of a sandbox; times are ISO 8601 with their offset.

    Discord's ids are strings: not every reader of JSON keeps 64 bits.
    """
    return {
        "id": str(sandbox.id),
        "short_id": sandbox.short_id,
        "name": sandbox.name,
        "owner_id": str(sandbox.owner_id),
        "description": sandbox.description,
        "status": str(sandbox.status),
        "guild_ids": [str(guild_id) for guild_id in sandbox.guild_ids],
        "schema": sandbox.schema_name,
        "redis_prefix": sandbox.redis_prefix,
        "redis_database": sandbox.redis_database,
        "nats_prefix": sandbox.nats_prefix,
        "nats_stream": sandbox.stream,
        "created_at": sandbox.created_at.isoformat(),
        "expires_at": sandbox.expires_at.isoformat(),
        "last_activity_at": sandbox.last_activity_at.isoformat() if sandbox.last_activity_at else None,
        "event_count": sandbox.event_count,
        "metadata": sandbox.metadata,
    }


def extension_data(extension: Extension) -> dict[str, Any]:
    """`sandbox_data`, and whether the longest life cut the extension short."""
    return {**sandbox_data(extension.sandbox), "capped": extension.capped}


def health_data(health: Health, isolation: Isolation) -> dict[str, Any]:
    """`sandbox_data` with `level` and its `reasons`, `ok` and, for each of `stores`, its answer and whether it enforces
    isolation; `routing`, where null means not known; and `relay`, null if that is not known."""
    stores = {
        name: {"ok": store.ok, "summary": store.summary, **store.figures, "isolation": str(getattr(isolation, name))}
        for name, store in health.stores.items()
    }
    return {
        **sandbox_data(health.sandbox),
        "level": str(health.level),
        "reasons": health.reasons,
        "ok": health.ok,
        "stores": stores,
        "routing": _routing_data(health.routing),
        "relay": relay_data(health.relay) if health.relay is not None else None,
    }


def _routing_data(routing: RoutingHealth) -> dict[str, Any]:
    return {
        "guilds": [_guild_data(guild) for guild in routing.guilds],
        "last_event_at": routing.last_event_at.isoformat() if routing.last_event_at else None,
        "stale": routing.stale,
        "unknown": list(routing.unknown),
    }


def _guild_data(guild: GuildRouting) -> dict[str, Any]:
    presence = guild.presence
    hidden = presence.hidden_channels if presence else None
    return {
        "id": str(guild.guild_id),
        "name": presence.name if presence else None,
        "has_bot": presence.has_bot if presence else None,
        "hidden_channels": hidden,
        "route_in_force": guild.in_force,
    }


def audit_data(entry: AuditEntry) -> dict[str, Any]:
    """`actor_id` is null for what the bot did by itself, and "0" for the operator on the command line, whose account of
    the system is `operator`: null for everybody else, and where it was not noted."""
    return {
        "id": entry.id,
        "sandbox_id": str(entry.sandbox_id),
        "event": entry.event_type,
        "actor_id": str(entry.actor_id) if entry.actor_id is not None else None,
        "operator": entry.operator,
        "details": entry.details,
        "created_at": entry.created_at.isoformat(),
    }


def orphan_data(orphan: Orphan) -> dict[str, Any]:
    """`sandbox_id` is null where the store knows only its first digits; `size` counts keys or messages, or is null."""
    return {
        "kind": str(orphan.kind),
        "name": orphan.name,
        "proof": str(orphan.proof),
        "sandbox_id": str(orphan.sandbox_id) if orphan.sandbox_id else None,
        "size": orphan.size,
    }
