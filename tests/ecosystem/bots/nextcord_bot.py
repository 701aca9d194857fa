"""The bot in nextcord. Its one knob is where Discord is."""

import io
import os

import nextcord
from nextcord.ext import commands

nextcord.http.Route.BASE = os.environ["SANDBOX_BOT_API"]

HOME = int(os.environ["GUILD_ID"])
COLOURS = ("red", "green", "blue")

intents = nextcord.Intents.default()
intents.message_content = True
intents.members = True
bot = commands.Bot(command_prefix="!", intents=intents, chunk_guilds_at_startup=False)


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
    await ctx.send("a file", file=nextcord.File(io.BytesIO(b"made in the sandbox"), "note.txt"))
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


@bot.slash_command(description="Answers.")
async def ping(interaction: nextcord.Interaction):
    await interaction.response.send_message("pong")


@bot.slash_command(description="Answers in one server.", guild_ids=[HOME])
async def here(interaction: nextcord.Interaction):
    await interaction.response.send_message(f"pong in {interaction.guild.name}")


@bot.slash_command(description="Thinks first.")
async def slow(interaction: nextcord.Interaction):
    await interaction.response.defer()
    await interaction.edit_original_message(content="thought about it")


@bot.slash_command(description="Changes its mind.")
async def edit(interaction: nextcord.Interaction):
    await interaction.response.send_message("before")
    await interaction.edit_original_message(content="after")


@bot.slash_command(description="Has more to say.")
async def more(interaction: nextcord.Interaction):
    await interaction.response.send_message("first")
    await interaction.followup.send("second")


@bot.slash_command(description="Takes a colour.")
async def colour(interaction: nextcord.Interaction, name: str):
    await interaction.response.send_message(f"{name} it is")


@colour.on_autocomplete("name")
async def propose(interaction: nextcord.Interaction, name: str):
    await interaction.response.send_autocomplete([each for each in COLOURS if each.startswith(name)])


class Form(nextcord.ui.Modal):
    def __init__(self):
        super().__init__("Who are you?")
        self.name = nextcord.ui.TextInput(label="Name", custom_id="name")
        self.add_item(self.name)

    async def callback(self, interaction):
        await interaction.response.send_message(f"hello {self.name.value}")


class Menu(nextcord.ui.View):
    @nextcord.ui.button(label="Press")
    async def press(self, button, interaction):
        await interaction.response.edit_message(content=f"pressed by {interaction.user.name}")

    @nextcord.ui.button(label="Form")
    async def form(self, button, interaction):
        await interaction.response.send_modal(Form())

    @nextcord.ui.string_select(
        custom_id="choose",
        placeholder="Choose",
        options=[nextcord.SelectOption(label=each.title(), value=each) for each in COLOURS],
    )
    async def choose(self, select, interaction):
        await interaction.response.send_message(f"chose {select.values[0]}")


@bot.slash_command(description="Shows buttons.")
async def menu(interaction: nextcord.Interaction):
    await interaction.response.send_message("choose", view=Menu())


bot.run(os.environ["SANDBOX_BOT_TOKEN"])
