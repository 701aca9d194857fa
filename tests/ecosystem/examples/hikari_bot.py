"""What a first bot in hikari does: commands in messages, slash commands, a menu, a button, a modal, reactions."""

import os

import hikari

bot = hikari.GatewayBot(
    os.environ["DISCORD_TOKEN"],
    intents=hikari.Intents.ALL_UNPRIVILEGED | hikari.Intents.GUILD_MEMBERS | hikari.Intents.MESSAGE_CONTENT,
    banner=None,
)


@bot.listen(hikari.StartingEvent)
async def register(_):
    application = await bot.rest.fetch_application()
    add = bot.rest.slash_command_builder("add", "Adds two numbers")
    for name, about in (("left", "The first one"), ("right", "The second one")):
        add.add_option(
            hikari.CommandOption(type=hikari.OptionType.INTEGER, name=name, description=about, is_required=True)
        )
    counter = bot.rest.slash_command_builder("counter", "Counts")
    feedback = bot.rest.slash_command_builder("feedback", "Tell us")
    report = bot.rest.context_menu_command_builder(hikari.CommandType.MESSAGE, "Report")
    await bot.rest.set_application_commands(application, [add, counter, feedback, report])


@bot.listen(hikari.MemberCreateEvent)
async def on_join(event):
    guild = event.get_guild()
    await bot.rest.create_message(guild.system_channel_id, f"Welcome {event.member.mention} to {guild.name}!")


@bot.listen(hikari.GuildReactionAddEvent)
async def on_reaction(event):
    if event.emoji_name == "🔴":
        roles = bot.cache.get_roles_view_for_guild(event.guild_id).values()
        await event.member.add_role(next(role for role in roles if role.name == "red"), reason="asked for it")


@bot.listen(hikari.GuildMessageCreateEvent)
async def on_message(event):
    if event.is_bot or not (event.content or "").startswith("!"):
        return
    name, *rest = event.content[1:].split()
    if name in ANSWERS:
        await ANSWERS[name](event, *rest)


async def add(event, left, right):
    await event.message.respond(str(int(left) + int(right)))


async def edit(event):
    message = await event.message.respond("10")
    await message.edit("40")


async def guess(event):
    await event.message.respond("Guess a number between 1 and 10")
    found = await bot.wait_for(
        hikari.GuildMessageCreateEvent, timeout=30, predicate=lambda other: other.author_id == event.author_id
    )
    await event.message.respond("Right!" if found.content == "7" else "Wrong!", reply=True)


async def ban(event, _):
    try:
        await bot.rest.ban_user(event.guild_id, event.message.user_mentions_ids[0], reason="asked for")
    except hikari.ForbiddenError as refused:
        await event.message.respond(f"I may not: {refused.code}")


async def about(event):
    await event.message.respond(embed=hikari.Embed(title="About", color=0x5865F2))


ANSWERS = {"add": add, "edit": edit, "guess": guess, "ban": ban, "about": about}


def count_row(count):
    row = bot.rest.build_message_action_row()
    row.add_interactive_button(hikari.ButtonStyle.DANGER, "count", label=str(count))
    return row


@bot.listen(hikari.CommandInteractionCreateEvent)
async def on_command(event):
    interaction, message = event.interaction, hikari.ResponseType.MESSAGE_CREATE
    if interaction.command_name == "add":
        left, right = (option.value for option in interaction.options)
        await interaction.create_initial_response(message, f"{left} + {right} = {left + right}")
    elif interaction.command_name == "counter":
        await interaction.create_initial_response(message, "Press", component=count_row(0))
    elif interaction.command_name == "feedback":
        name = bot.rest.build_modal_action_row().add_text_input("name", "Name")
        text = bot.rest.build_modal_action_row()
        text.add_text_input("text", "What do you think?", style=hikari.TextInputStyle.PARAGRAPH, required=False)
        await interaction.create_modal_response("Feedback", "feedback", components=[name, text])
    else:
        (target,) = interaction.resolved.messages.values()
        told = f"Reported what {target.author.username} wrote"
        await interaction.create_initial_response(message, told, flags=hikari.MessageFlag.EPHEMERAL)


@bot.listen(hikari.ComponentInteractionCreateEvent)
async def on_button(event):
    label = event.interaction.message.components[0].components[0].label
    await event.interaction.create_initial_response(
        hikari.ResponseType.MESSAGE_UPDATE, component=count_row(int(label) + 1)
    )


@bot.listen(hikari.ModalInteractionCreateEvent)
async def on_modal(event):
    name = event.interaction.components[0].components[0].value
    await event.interaction.create_initial_response(
        hikari.ResponseType.MESSAGE_CREATE, f"Thanks, {name}!", flags=hikari.MessageFlag.EPHEMERAL
    )


bot.run(check_for_updates=False)
