"""The line of the log by which an operator sees that the bot is at work."""

from __future__ import annotations

from loguru import logger

from bot import clock
from bot.client import SandboxBot
from bot.routing.leases import GatewayLeases
from bot.routing.table import RouteTable
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import SandboxStatus
from bot.settings import Settings

_SESSION_BEGINS = ("on_shard_connect", "on_shard_resumed")


def tell_when_ready(
    bot: SandboxBot, leases: GatewayLeases, table: RouteTable, manager: SandboxManager, settings: Settings
) -> None:
    """Once, when each shard that this process has the lease of has a session, new or resumed. A standby has none."""
    in_session: set[int] = set()

    async def look(shard_id: int) -> None:
        in_session.add(shard_id)
        if leases.held.keys() <= in_session:
            servers = sum(map(len, table.guilds_by_prefix(clock.elapsed()).values()))
            sandboxes = await manager.count(statuses=(SandboxStatus.RUNNING,))
            counts = f"{_counted(servers, 'server')}, {_counted(sandboxes, 'sandbox', 'sandboxes')}"
            logger.info(f"ready: {counts}, {stores_of(settings)}")
            for event in _SESSION_BEGINS:
                bot.remove_listener(look, event)

    for event in _SESSION_BEGINS:
        bot.add_listener(look, event)


def stores_of(settings: Settings) -> str:
    """Where they are, in words."""
    embedded = settings.embedded_stores
    if not embedded:
        return "stores of your own"
    which = "stores" if len(embedded) == len(_STORES) else " and ".join(name for name in _STORES if name in embedded)
    return f"embedded {which} in {settings.embedded.folder}"


_STORES = ("postgres", "redis", "nats")


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
