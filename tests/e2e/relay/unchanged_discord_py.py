"""A discord.py bot that has never heard of sandboxes. Says on standard output what happens to it, line by line."""

import os
import sys

import discord

intents = discord.Intents.default()
intents.message_content = True
client = discord.Client(intents=intents)


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


@client.event
async def on_ready():
    say("ready", client.user.name, *sorted(guild.name.replace(" ", "_") for guild in client.guilds))


@client.event
async def on_message(message):
    if message.author.bot:
        return
    say("message", message.guild.name, message.content)
    await message.channel.send(f"echo {message.content}")


client.run(os.environ["DISCORD_TOKEN"], log_level=30)
