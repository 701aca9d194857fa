"""What `sandbox status` prints of a sandbox's bots on the relay."""

from __future__ import annotations

from typing import Any

from bot.sandboxes.health import RelayHealth


def relay_data(relay: RelayHealth) -> dict[str, Any]:
    """In JSON; what is null is not known."""
    return {
        "addresses": list(relay.addresses),
        "clients": [
            {
                "library": client.library or None,
                "shard": client.shard,
                "shard_count": client.shard_count,
                "connected_since": client.connected_since.isoformat(),
                "position": client.position,
                "behind": client.behind,
            }
            for client in relay.clients
        ],
    }


def relay_line(relay: RelayHealth | None) -> str:
    """For people; the clients have lines of their own."""
    if relay is None:
        return "not known"
    return ", ".join([relay.summary, *(f"serves at {address}" for address in relay.addresses)])
