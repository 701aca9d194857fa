"""What the bot answers to people who write to it instead of using its commands."""

from __future__ import annotations

import discord
from discord.ext import commands

from bot.client import SandboxBot

HELP_TEXT = (
    "I answer to slash commands: `/sandbox create` makes a sandbox, `/sandbox list` shows yours. "
    "When one of them expires, you hear of it here."
)


class DmHelp(commands.Cog):
    """Servers get no chatter: what is written there belongs to whoever has bound them."""

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Answers people's direct messages alone; bots are left alone, or two would talk for ever."""
        if message.guild is None and not message.author.bot and isinstance(message.channel, discord.DMChannel):
            await message.channel.send(HELP_TEXT, nonce=str(message.id))  # by which Discord drops a repeat


async def setup(bot: SandboxBot) -> None:
    """Called by discord.py's `load_extension`."""
    await bot.add_cog(DmHelp())
