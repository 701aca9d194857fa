"""What the bot is measured against: discord.py alone, counting the messages that it receives."""

from __future__ import annotations

import asyncio

import discord
from discord.ext import commands
from discord.gateway import DiscordWebSocket
from yarl import URL

from bench import processes
from bench.meter import Meter, used
from bench.processes import Json
from bot.client import chosen_intents
from bot.routing.gateway import set_api_base


class BareBot(commands.AutoShardedBot):
    """As lean as discord.py can be made by its options."""

    def __init__(self, config: Json) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            intents=chosen_intents(["members", "message_content"]),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            shard_count=config.get("shard_count"),
            shard_ids=config.get("shard_ids"),  # type: ignore[arg-type]
        )
        self.received = 0

    async def on_message(self, message: discord.Message) -> None:
        self.received += 1


async def _find_gateway(bot: BareBot) -> None:
    """discord.py takes Discord's own for granted where it is told its shards."""
    _, url, _ = await bot.http.get_bot_gateway()
    DiscordWebSocket.DEFAULT_GATEWAY = URL(url)


async def main() -> None:
    config = processes.config()
    set_api_base(config["api_base"])
    bot = BareBot(config)
    meter = Meter(lambda: bot.received)
    async with bot:
        await bot.login(config["token"])
        await _find_gateway(bot)
        connected = asyncio.create_task(bot.connect())
        await processes.serve({"expect": meter.expect, "measure": meter.measure, "used": used})
        await bot.close()
        await connected


if __name__ == "__main__":
    asyncio.run(main())
