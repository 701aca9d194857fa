"""An ordinary discord.py bot: the address is its one knob. Says on standard output what happens to it, line by line."""

import os
import sys

import discord
import discord.gateway
from discord import app_commands
from yarl import URL

discord.http.Route.BASE = os.environ["SANDBOX_BOT_API"]
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = URL(os.environ["SANDBOX_BOT_GATEWAY"])

intents = discord.Intents.default()
intents.message_content = True
intents.members = True
client = discord.Client(intents=intents)
tree = app_commands.CommandTree(client)


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


@client.event
async def on_ready():
    say("ready", client.user.name, *sorted(guild.name.replace(" ", "_") for guild in client.guilds))


@client.event
async def on_resumed():
    say("resumed")


@client.event
async def on_guild_join(guild):
    say("joined", guild.name)


@client.event
async def on_guild_remove(guild):
    say("left", guild.name)


@client.event
async def on_message(message):
    if message.author.bot:
        return
    say("message", message.guild.name, message.content)
    await message.channel.send(f"echo {message.content}")


client.run(os.environ["SANDBOX_BOT_TOKEN"], log_level=30)
