"""What sandboxes' bots have left in Discord is taken back also where no relay serves, or none that can listen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot import constants
from bot.relay.commands import GuildCommands
from bot.relay.identity import IdentitySource
from bot.relay.upstream import Upstream
from bot.relay.webhooks import MadeWebhooks
from bot.settings import Settings
from bot.stores.postgres import Pool
from bot.supervisor import Part


class RelayUpkeep:
    """`run` is for the supervisor of a bot. While a relay `is_served` by the same process, that sees to it."""

    def __init__(self, settings: Settings, pool: Pool, is_served: Callable[[], bool]) -> None:
        self._settings, self._pool, self._is_served = settings, pool, is_served

    async def run(self, part: Part) -> None:
        """For ever; `ServiceUnavailable` without PostgreSQL."""
        discord = self._settings.discord
        async with Upstream(discord.api_base, self._settings.require_token()) as upstream:
            identity = IdentitySource(upstream)
            commands = GuildCommands(self._pool, upstream, identity)
            webhooks = MadeWebhooks(self._pool, upstream, identity)
            while True:
                if not self._is_served():
                    await commands.reconcile()
                    await webhooks.reconcile()
                part.running()
                await asyncio.sleep(constants.RELAY_COMMANDS_EVERY_S)
