"""The bot in hikari, which takes Discord's address as an argument."""

import os

import hikari

HOME = int(os.environ["GUILD_ID"])
COLOURS = ("red", "green", "blue")
COMMANDS = ("ping", "slow", "edit", "more", "menu")

bot = hikari.GatewayBot(
    os.environ["SANDBOX_BOT_TOKEN"],
    rest_url=os.environ["SANDBOX_BOT_API"],
    intents=hikari.Intents.ALL_UNPRIVILEGED | hikari.Intents.MESSAGE_CONTENT | hikari.Intents.GUILD_MEMBERS,
    banner=None,
    auto_chunk_members=False,
)


@bot.listen(hikari.StartingEvent)
async def register(_):
    application = await bot.rest.fetch_application()
    commands = [bot.rest.slash_command_builder(name, f"The command {name}") for name in COMMANDS]
    colour = bot.rest.slash_command_builder("colour", "Takes a colour")
    name = hikari.CommandOption(
        type=hikari.OptionType.STRING, name="name", description="Which", is_required=True, autocomplete=True
    )
    await bot.rest.set_application_commands(application, [*commands, colour.add_option(name)])
    here = bot.rest.slash_command_builder("here", "Answers in one server")
    await bot.rest.set_application_commands(application, [here], guild=HOME)
    print("registered", flush=True)


@bot.listen(hikari.StartedEvent)
async def on_started(_):
    guilds = bot.cache.get_guilds_view().values()
    print("ready", bot.get_me().username, *(guild.name for guild in guilds), flush=True)


@bot.listen(hikari.GuildMessageCreateEvent)
async def on_message(event):
    if event.is_bot:
        return
    if event.content == "hello":
        print("message", flush=True)
        await event.message.respond(f"hello {event.author.username}", reply=True)
    elif event.content == "!upload":
        await event.message.respond("a file", attachment=hikari.Bytes("made in the sandbox", "note.txt"))
        print("upload", flush=True)
    elif event.content == "!members":
        await members(event)
    elif event.content == "!react":
        await event.message.add_reaction("👍")
    elif event.content == "!thread":
        talk = await bot.rest.create_message_thread(event.channel_id, event.message, "talk")
        await talk.send("hi in the thread")
        print("thread", talk.name, flush=True)
    elif event.content == "!webhook":
        echo = await bot.rest.create_webhook(event.channel_id, "Echo")
        await echo.execute("said by the webhook")
        print("webhook", echo.name, flush=True)


async def members(event):
    with bot.stream(hikari.MemberChunkEvent, timeout=5) as chunks:
        await bot.request_guild_members(event.guild_id)
        async for chunk in chunks:
            found = [member.username for member in chunk.members.values() if not member.is_bot]
            print("members", len(found), flush=True)
            await event.message.respond("members: " + " ".join(sorted(found)))
            break


@bot.listen(hikari.GuildReactionAddEvent)
async def on_reaction(event):
    if event.user_id != bot.get_me().id:
        print("reaction", event.emoji_name, flush=True)
        await bot.rest.create_message(event.channel_id, f"{event.member.username} reacted with {event.emoji_name}")


@bot.listen(hikari.CommandInteractionCreateEvent)
async def on_command(event):
    interaction, message = event.interaction, hikari.ResponseType.MESSAGE_CREATE
    match interaction.command_name:
        case "ping":
            await interaction.create_initial_response(message, "pong")
        case "here":
            await interaction.create_initial_response(message, f"pong in {interaction.get_guild().name}")
        case "slow":
            await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
            await interaction.edit_initial_response("thought about it")
        case "edit":
            await interaction.create_initial_response(message, "before")
            await interaction.edit_initial_response("after")
        case "more":
            await interaction.create_initial_response(message, "first")
            await interaction.execute("second")
        case "colour":
            await interaction.create_initial_response(message, f"{interaction.options[0].value} it is")
        case "menu":
            await interaction.create_initial_response(message, "choose", components=menu())


def menu():
    buttons = bot.rest.build_message_action_row()
    buttons.add_interactive_button(hikari.ButtonStyle.SECONDARY, "press", label="Press")
    buttons.add_interactive_button(hikari.ButtonStyle.SECONDARY, "form", label="Form")
    choice = bot.rest.build_message_action_row()
    select = choice.add_text_menu("choose", placeholder="Choose")
    for each in COLOURS:
        select.add_option(each.title(), each)
    return [buttons, choice]


@bot.listen(hikari.AutocompleteInteractionCreateEvent)
async def on_autocomplete(event):
    typed = event.interaction.options[0].value
    proposed = [each for each in COLOURS if each.startswith(typed)]
    await event.interaction.create_response([hikari.impl.AutocompleteChoiceBuilder(each, each) for each in proposed])


@bot.listen(hikari.ComponentInteractionCreateEvent)
async def on_component(event):
    interaction = event.interaction
    if interaction.custom_id == "press":
        pressed = f"pressed by {interaction.user.username}"
        await interaction.create_initial_response(hikari.ResponseType.MESSAGE_UPDATE, pressed)
    elif interaction.custom_id == "choose":
        await interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, f"chose {interaction.values[0]}")
    else:
        row = bot.rest.build_modal_action_row().add_text_input("name", "Name")
        await interaction.create_modal_response("Who are you?", "form", component=row)


@bot.listen(hikari.ModalInteractionCreateEvent)
async def on_modal(event):
    name = event.interaction.components[0].components[0].value
    await event.interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, f"hello {name}")


bot.run(check_for_updates=False)
