"""The bot in py-cord. Its one knob is where Discord is."""

import io
import os

import discord
from discord.ext import commands

discord.http.Route.API_BASE_URL = os.environ["SANDBOX_BOT_API"]

HOME = int(os.environ["GUILD_ID"])
COLOURS = ("red", "green", "blue")

intents = discord.Intents.default()
intents.message_content = True
intents.members = True
bot = commands.Bot(command_prefix="!", intents=intents, chunk_guilds_at_startup=False)


@bot.event
async def on_connect():
    await bot.sync_commands()
    print("registered", flush=True)


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
    await ctx.guild.chunk()
    print("members", len(ctx.guild.members), flush=True)
    await ctx.send("members: " + " ".join(sorted(member.name for member in ctx.guild.members if not member.bot)))


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


@bot.slash_command(description="Answers.")
async def ping(ctx):
    await ctx.respond("pong")


@bot.slash_command(description="Answers in one server.", guild_ids=[HOME])
async def here(ctx):
    await ctx.respond(f"pong in {ctx.guild.name}")


@bot.slash_command(description="Thinks first.")
async def slow(ctx):
    await ctx.defer()
    await ctx.edit(content="thought about it")


@bot.slash_command(description="Changes its mind.")
async def edit(ctx):
    await ctx.respond("before")
    await ctx.edit(content="after")


@bot.slash_command(description="Has more to say.")
async def more(ctx):
    await ctx.respond("first")
    await ctx.followup.send("second")


async def propose(ctx):
    return [each for each in COLOURS if each.startswith(ctx.value)]


@bot.slash_command(description="Takes a colour.")
@discord.option("name", str, description="Which", autocomplete=propose)
async def colour(ctx, name: str):
    await ctx.respond(f"{name} it is")


class Form(discord.ui.Modal):
    def __init__(self):
        super().__init__(discord.ui.InputText(label="Name", custom_id="name"), title="Who are you?")

    async def callback(self, interaction):
        await interaction.response.send_message(f"hello {self.children[0].value}")


class Menu(discord.ui.View):
    @discord.ui.button(label="Press")
    async def press(self, button, interaction):
        await interaction.response.edit_message(content=f"pressed by {interaction.user.name}")

    @discord.ui.button(label="Form")
    async def form(self, button, interaction):
        await interaction.response.send_modal(Form())

    @discord.ui.select(
        placeholder="Choose", options=[discord.SelectOption(label=each.title(), value=each) for each in COLOURS]
    )
    async def choose(self, select, interaction):
        await interaction.response.send_message(f"chose {select.values[0]}")


@bot.slash_command(description="Shows buttons.")
async def menu(ctx):
    await ctx.respond("choose", view=Menu())


bot.run(os.environ["SANDBOX_BOT_TOKEN"])
