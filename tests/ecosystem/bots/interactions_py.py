"""The bot in interactions.py. Its one knob is where Discord is."""

import io
import os

import interactions
from interactions.api.http.route import Route

Route.BASE = os.environ["SANDBOX_BOT_API"]

HOME = int(os.environ["GUILD_ID"])
COLOURS = ("red", "green", "blue")

bot = interactions.Client(
    intents=interactions.Intents.DEFAULT | interactions.Intents.MESSAGE_CONTENT | interactions.Intents.GUILD_MEMBERS
)


@interactions.listen(interactions.api.events.Startup)
async def on_startup():
    print("registered", flush=True)
    print("ready", bot.user.username, *(guild.name for guild in bot.guilds), flush=True)


@interactions.listen(interactions.api.events.MessageCreate)
async def on_message(event):
    message = event.message
    if message.author.bot:
        return
    if message.content == "hello":
        print("message", flush=True)
        await message.reply(f"hello {message.author.username}")
    elif message.content == "!upload":
        note = interactions.File(io.BytesIO(b"made in the sandbox"), file_name="note.txt")
        await message.channel.send("a file", file=note)
        print("upload", flush=True)
    elif message.content == "!members":
        await message.guild.gateway_chunk(presences=False)
        found = sorted(member.username for member in message.guild.members if not member.bot)
        print("members", len(found), flush=True)
        await message.channel.send("members: " + " ".join(found))
    elif message.content == "!react":
        await message.add_reaction("👍")
    elif message.content == "!thread":
        talk = await message.create_thread("talk")
        await talk.send("hi in the thread")
        print("thread", talk.name, flush=True)
    elif message.content == "!webhook":
        echo = await message.channel.create_webhook("Echo")
        await echo.send("said by the webhook")
        print("webhook", echo.name, flush=True)


@interactions.listen(interactions.api.events.MessageReactionAdd)
async def on_reaction(event):
    if event.author.id != bot.user.id:
        print("reaction", event.emoji.name, flush=True)
        await event.message.channel.send(f"{event.author.username} reacted with {event.emoji.name}")


@interactions.slash_command("ping", description="Answers")
async def ping(ctx):
    await ctx.send("pong")


@interactions.slash_command("here", description="Answers in one server", scopes=[HOME])
async def here(ctx):
    await ctx.send(f"pong in {ctx.guild.name}")


@interactions.slash_command("slow", description="Thinks first")
async def slow(ctx):
    await ctx.defer()
    await ctx.edit(content="thought about it")


@interactions.slash_command("edit", description="Changes its mind")
async def edit(ctx):
    await ctx.send("before")
    await ctx.edit(content="after")


@interactions.slash_command("more", description="Has more to say")
async def more(ctx):
    await ctx.send("first")
    await ctx.send("second")


@interactions.slash_command("colour", description="Takes a colour")
@interactions.slash_option(
    "name", description="Which", opt_type=interactions.OptionType.STRING, required=True, autocomplete=True
)
async def colour(ctx, name):
    await ctx.send(f"{name} it is")


@colour.autocomplete("name")
async def propose(ctx):
    await ctx.send(choices=[each for each in COLOURS if each.startswith(ctx.input_text)])


@interactions.slash_command("menu", description="Shows buttons")
async def menu(ctx):
    grey = interactions.ButtonStyle.SECONDARY
    options = [interactions.StringSelectOption(label=each.title(), value=each) for each in COLOURS]
    buttons = interactions.ActionRow(
        interactions.Button(style=grey, label="Press", custom_id="press"),
        interactions.Button(style=grey, label="Form", custom_id="form"),
    )
    select = interactions.StringSelectMenu(*options, placeholder="Choose", custom_id="choose")
    await ctx.send("choose", components=[buttons, interactions.ActionRow(select)])


@interactions.component_callback("press")
async def press(ctx):
    await ctx.edit_origin(content=f"pressed by {ctx.author.username}")


@interactions.component_callback("choose")
async def choose(ctx):
    await ctx.send(f"chose {ctx.values[0]}")


@interactions.component_callback("form")
async def form(ctx):
    field = interactions.ShortText(label="Name", custom_id="name")
    await ctx.send_modal(interactions.Modal(field, title="Who are you?", custom_id="form"))


@interactions.modal_callback("form")
async def submitted(ctx, name):
    await ctx.send(f"hello {name}")


bot.start(os.environ["SANDBOX_BOT_TOKEN"])
