"""An ordinary discord.py bot that answers a command, and changes the answer as any other message."""

import os
import sys

import discord
import discord.gateway
from discord import app_commands
from yarl import URL

discord.http.Route.BASE = os.environ["SANDBOX_BOT_API"]
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = URL(os.environ["SANDBOX_BOT_GATEWAY"])

client = discord.Client(intents=discord.Intents.default())
tree = app_commands.CommandTree(client)


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


@client.event
async def on_ready():
    await tree.sync()
    say("ready")


@tree.command(description="Answers pong")
async def ping(interaction: discord.Interaction):
    answer = await interaction.response.send_message("pong")
    say("answered")
    message = interaction.channel.get_partial_message(answer.message_id)
    await message.edit(content="pong!")
    say("changed by its channel")


client.run(os.environ["SANDBOX_BOT_TOKEN"], log_level=30)
