"""A discord.py bot as anybody writes one: only the first three lines, which say where Discord is, tell of a sandbox."""

import os

import discord
import discord.gateway
from yarl import URL

discord.http.Route.BASE = os.environ["SANDBOX_BOT_API"]
gateway = URL(os.environ["SANDBOX_BOT_GATEWAY"])
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = gateway
client = discord.Client(intents=discord.Intents.default())
tree = discord.app_commands.CommandTree(client)


@tree.command(description="Says hello")
async def hello(interaction: discord.Interaction) -> None:
    await interaction.response.send_message(f"hello {interaction.user.name}")


@client.event
async def on_ready() -> None:
    await tree.sync()
    for guild in client.guilds:
        await guild.text_channels[0].send(f"at home in {guild.name}")


client.run(os.environ["SANDBOX_BOT_TOKEN"], log_handler=None)
