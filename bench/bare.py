"""What the bot is measured against: discord.py alone, counting the messages that it receives."""

from __future__ import annotations

import asyncio

import discord
from discord.ext import commands

from bench import processes
from bench.meter import Meter
from bot.client import chosen_intents
from bot.routing.gateway import set_api_base


class BareBot(commands.AutoShardedBot):
    """As lean as discord.py can be made by its options."""

    def __init__(self) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            intents=chosen_intents(["members", "message_content"]),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
        )
        self.received = 0

    async def on_message(self, message: discord.Message) -> None:
        self.received += 1


async def main() -> None:
    config = processes.config()
    set_api_base(config["api_base"])
    bot = BareBot()
    meter = Meter(lambda: bot.received)
    async with bot:
        await bot.login(config["token"])
        connected = asyncio.create_task(bot.connect())
        await processes.serve({"expect": meter.expect, "measure": meter.measure})
        await bot.close()
        await connected


if __name__ == "__main__":
    asyncio.run(main())
