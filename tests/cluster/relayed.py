"""A bot on the relay, which resumes its session whenever it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.cluster.events import Account
from tests.e2e.relay.raw_bot import LivingBot

_HEARTBEAT_EVERY_S = 15


class RelayedBot(LivingBot):
    """`beginnings` are its sessions, one if none is lost."""

    @property
    def account(self) -> Account:
        """Of the numbered events that it has heard."""
        heard = Account()
        for number in self.numbers:
            heard.note(number)
        heard.gaps = self.count("GATEWAY_GAP")
        return heard

    async def beat(self) -> None:
        """As libraries do."""
        while True:
            await asyncio.sleep(_HEARTBEAT_EVERY_S)
            with suppress(Exception):
                await self.say(1, self.sequence)


@asynccontextmanager
async def relayed_bot(token: str, address: str) -> AsyncIterator[RelayedBot]:
    """One that has a session, of the relay at that WebSocket's address."""
    async with RelayedBot({"SANDBOX_BOT_TOKEN": token, "SANDBOX_BOT_GATEWAY": address}) as bot:
        tasks = [asyncio.create_task(bot.live()), asyncio.create_task(bot.beat())]
        try:
            await bot.hears("GUILD_CREATE", seconds=30)
            yield bot
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
