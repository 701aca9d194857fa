"""The bot in discord.py; `--sharded` makes it an AutoShardedBot. Its one knob is where Discord is."""

import io
import os
import sys

import discord
from discord import app_commands
from discord.ext import commands
from yarl import URL

discord.http.Route.BASE = os.environ["SANDBOX_BOT_API"]
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = URL(os.environ["SANDBOX_BOT_GATEWAY"])

HOME = discord.Object(int(os.environ["GUILD_ID"]))
COLOURS = ("red", "green", "blue")

intents = discord.Intents.default()
intents.message_content = True
intents.members = True


class Bot(commands.AutoShardedBot if "--sharded" in sys.argv else commands.Bot):
    async def setup_hook(self):
        await self.tree.sync()
        await self.tree.sync(guild=HOME)
        print("registered", flush=True)


bot = Bot(command_prefix="!", intents=intents, chunk_guilds_at_startup=False)


@bot.event
async def on_ready():
    print("ready", bot.user.name, *(guild.name for guild in bot.guilds), flush=True)


@bot.event
async def on_message(message):
    if message.author.bot:
        return
    if message.content == "hello":
        print("message", flush=True)
        await message.reply(f"hello {message.author.name}")
    await bot.process_commands(message)


@bot.event
async def on_raw_reaction_add(payload):
    if payload.user_id != bot.user.id:
        print("reaction", payload.emoji, flush=True)
        await bot.get_channel(payload.channel_id).send(f"{payload.member.name} reacted with {payload.emoji}")


@bot.command()
async def upload(ctx):
    await ctx.send("a file", file=discord.File(io.BytesIO(b"made in the sandbox"), "note.txt"))
    print("upload", flush=True)


@bot.command()
async def members(ctx):
    found = await ctx.guild.chunk()
    print("members", len(found), flush=True)
    await ctx.send("members: " + " ".join(sorted(member.name for member in found if not member.bot)))


@bot.command()
async def react(ctx):
    await ctx.message.add_reaction("👍")


@bot.command()
async def thread(ctx):
    talk = await ctx.message.create_thread(name="talk")
    await talk.send("hi in the thread")
    print("thread", talk.name, flush=True)


@bot.command()
async def webhook(ctx):
    echo = await ctx.channel.create_webhook(name="Echo")
    await echo.send("said by the webhook")
    print("webhook", echo.name, flush=True)


@bot.tree.command()
async def ping(interaction):
    """Answers."""
    await interaction.response.send_message("pong")


@bot.tree.command(guild=HOME)
async def here(interaction):
    """Answers in one server."""
    await interaction.response.send_message(f"pong in {interaction.guild.name}")


@bot.tree.command()
async def slow(interaction):
    """Thinks first."""
    await interaction.response.defer()
    await interaction.edit_original_response(content="thought about it")


@bot.tree.command()
async def edit(interaction):
    """Changes its mind."""
    await interaction.response.send_message("before")
    await interaction.edit_original_response(content="after")


@bot.tree.command()
async def more(interaction):
    """Has more to say."""
    await interaction.response.send_message("first")
    await interaction.followup.send("second")


@bot.tree.command()
@app_commands.describe(name="Which")
async def colour(interaction, name: str):
    """Takes a colour."""
    await interaction.response.send_message(f"{name} it is")


@colour.autocomplete("name")
async def propose(interaction, current):
    return [app_commands.Choice(name=each, value=each) for each in COLOURS if each.startswith(current)]


class Form(discord.ui.Modal, title="Who are you?"):
    name = discord.ui.TextInput(label="Name", custom_id="name")

    async def on_submit(self, interaction):
        await interaction.response.send_message(f"hello {self.name}")


class Menu(discord.ui.View):
    @discord.ui.button(label="Press")
    async def press(self, interaction, button):
        await interaction.response.edit_message(content=f"pressed by {interaction.user.name}")

    @discord.ui.button(label="Form")
    async def form(self, interaction, button):
        await interaction.response.send_modal(Form())

    @discord.ui.select(
        placeholder="Choose", options=[discord.SelectOption(label=each.title(), value=each) for each in COLOURS]
    )
    async def choose(self, interaction, select):
        await interaction.response.send_message(f"chose {select.values[0]}")


@bot.tree.command()
async def menu(interaction):
    """Shows buttons."""
    await interaction.response.send_message("choose", view=Menu())


bot.run(os.environ["SANDBOX_BOT_TOKEN"], log_level=30)
