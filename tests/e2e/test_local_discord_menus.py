"""Commands in the menus of messages and people in the local Discord, and who may use which command."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import discord
import pytest
from discord import app_commands

from local_discord import CommandUsageError
from tests.e2e.test_local_discord_support import ProbeBot, connected

Interaction = discord.Interaction[Any]


def commands(bot: ProbeBot) -> None:
    @bot.tree.context_menu(name="Quote this")
    async def quote(interaction: Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"{message.author.name}: {message.content}")

    @bot.tree.context_menu(name="Greet")
    @app_commands.default_permissions(manage_messages=True)
    async def greet(interaction: Interaction, member: discord.Member) -> None:
        await interaction.response.send_message(f"Hello {member.display_name}", ephemeral=True)

    @bot.tree.command()
    @app_commands.default_permissions(manage_guild=True)
    async def careful(interaction: Interaction) -> None:
        """Only for some."""
        await interaction.response.send_message("done")

    @bot.tree.command()
    async def free(interaction: Interaction) -> None:
        """For all."""
        await interaction.response.send_message("done")


@pytest.fixture(scope="module")
async def running():
    async with connected(commands, intents=discord.Intents.all()) as (local, bot):
        yield local, bot


@pytest.fixture
async def place(running: Any):
    local, bot = running
    olga, bob = local.add_person("olga"), local.add_person("bob")
    guild = local.add_guild("Lab", owner=olga)
    guild.add_member(bob)
    return bot, guild, olga, bob


async def may(person: Any, command: str, channel: Any) -> bool:
    with suppress(CommandUsageError):
        await person.command(command, channel=channel)
        return True
    return False


async def test_a_command_is_chosen_in_the_menu_of_a_message_or_of_somebody(place: Any):
    _, guild, olga, bob = place
    said = await bob.send(guild.general, "wise words")
    assert (await olga.use_on(said, "Quote this")).message.content == "bob: wise words"
    reply = await olga.use_on(bob, "Greet", channel=guild.general)
    assert (reply.message.content, reply.message.ephemeral) == ("Hello bob", True)


async def test_a_menu_has_the_commands_of_its_kind_that_one_may_use(place: Any):
    _, guild, olga, bob = place
    said = await bob.send(guild.general, "wise words")
    for target, name in ((bob, "Quote this"), (said, "Greet"), (said, "free")):
        with pytest.raises(CommandUsageError, match="There is no command"):
            await olga.use_on(target, name, channel=guild.general)
    with pytest.raises(CommandUsageError, match="may not use") as refused:
        await bob.use_on(olga, "Greet", channel=guild.general)
    assert refused.value.code == 50013


async def test_what_moderators_set_for_a_command_stands_over_what_it_asks_for(place: Any):
    bot, guild, olga, bob = place
    helper = guild.add_role("helper")
    assert not await may(bob, "careful", guild.general)
    await olga.permit_command(guild, "careful", {helper: True})
    await bot.hears("raw_app_command_permissions_update", lambda one: one.guild.id == guild.id)
    assert not await may(bob, "careful", guild.general)
    await olga.give_role(guild, bob, helper)
    assert await may(bob, "careful", guild.general)
    await olga.permit_command(guild, "careful", {helper: True, bob: False})
    assert not await may(bob, "careful", guild.general)
    await olga.permit_command(guild, "free", {guild.roles[guild.id]: False})
    assert not await may(bob, "free", guild.general)
    assert await may(olga, "free", guild.general)


async def test_commands_may_be_kept_to_some_channels_and_all_of_them_be_taken_away(place: Any):
    _, guild, olga, bob = place
    bots = guild.add_channel("bots")
    thread = await olga.start_thread(bots, "below")
    await olga.permit_command(guild, "free", {bots: True, guild: False})
    assert [await may(bob, "free", one) for one in (guild.general, bots, thread)] == [False, True, True]
    await olga.permit_command(guild, "free", {})
    await olga.permit_command(guild, None, {bob: False})
    assert not await may(bob, "free", guild.general)
    await olga.permit_command(guild, "free", {bob: True})
    assert await may(bob, "free", guild.general)


async def test_the_bot_reads_permissions_and_cannot_set_them(place: Any):
    bot, guild, olga, bob = place
    command = next(one for one in await bot.tree.fetch_commands() if one.name == "free")
    seen = bot.get_guild(guild.id)
    with pytest.raises(discord.NotFound) as unset:
        await command.fetch_permissions(seen)
    assert unset.value.code == 10066
    await olga.permit_command(guild, "free", {bob: False})
    (permission,) = (await command.fetch_permissions(seen)).permissions
    assert (permission.id, permission.permission) == (bob.id, False)
    with pytest.raises(discord.Forbidden) as refused:
        await bot.http.edit_application_command_permissions(bot.application_id, guild.id, command.id, {})
    assert refused.value.code == 20001
