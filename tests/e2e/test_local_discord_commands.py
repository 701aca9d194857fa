"""Slash commands through the local Discord, as a person uses them and discord.py answers them."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands
from discord.app_commands import Choice

from local_discord import CommandUsageError
from tests.e2e.test_local_discord_support import ProbeBot, connected

Interaction = discord.Interaction[Any]
FAULTY_CALLBACKS: list[Any] = [{"type": 7}, {"type": 8}, {"type": []}, {"type": 4, "data": [1]}, {"type": 4}, []]


def all_sorts(bot: ProbeBot) -> None:
    """A command of each kind that the tests use."""
    group = app_commands.Group(name="box", description="Boxes")

    @group.command()
    async def create(
        interaction: Interaction,
        name: app_commands.Range[str, 3, 8],
        size: app_commands.Range[int, 1, 9] = 1,
        weight: float = 1.5,
        open_lid: bool = False,
        owner: discord.Member | None = None,
        room: discord.TextChannel | None = None,
    ) -> None:
        """Make a box."""
        said = (name, size, weight, open_lid, owner and owner.name, room and room.name)
        await interaction.response.send_message(repr(said))

    @group.command(name="fill-up")
    async def fill_up(interaction: Interaction) -> None:
        """Takes its time."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send("filled", file=discord.File(io.BytesIO(b"A=1"), "box.env"))
        await interaction.followup.send("really", ephemeral=True)
        await interaction.edit_original_response(content="filled up")

    @group.command()
    async def pick(interaction: Interaction, colour: str, box: str) -> None:
        """Choose one."""
        await interaction.response.send_message(f"{colour} {box}")

    @pick.autocomplete("box")
    async def boxes(interaction: Interaction, typed: str) -> list[Choice[str]]:
        colour = interaction.namespace.colour
        return [Choice(name=f"{colour} {typed}{number}", value=f"{typed}{number}") for number in range(25)]

    @group.command()
    @app_commands.choices(shape=[Choice(name="Round", value="r"), Choice(name="Square", value="s")])
    async def form(interaction: Interaction, shape: Choice[str]) -> None:
        """Choose a shape."""
        await interaction.response.send_message(shape.name)

    @bot.tree.command()
    async def read(interaction: Interaction, file: discord.Attachment, anybody: discord.User | discord.Role) -> None:
        """Read a file to somebody."""
        text = (await file.read()).decode()
        await interaction.response.send_message(f"{file.filename}: {text} for {anybody.name}")

    @bot.tree.command()
    async def silent(interaction: Interaction) -> None:
        """Answers when told to."""
        await bot.hears("go_on")
        await interaction.response.send_message("too late")

    @bot.tree.command()
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.guild_only()
    async def manage(interaction: Interaction) -> None:
        """For managers."""
        await interaction.response.send_message(str(interaction.permissions.manage_guild))

    @bot.tree.command()
    async def twice(interaction: Interaction) -> None:
        """Answers twice."""
        await interaction.response.send_message("once")
        again = discord.InteractionResponse(interaction)
        await again.send_message("again")

    bot.tree.add_command(group)


async def test_a_subcommand_gets_every_type_of_option_resolved():
    async with connected(all_sorts) as (local, _):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        guild.add_channel("dev")
        reply = await ada.command(
            "box create",
            channel=guild.general,
            name="blue",
            size=3,
            weight=2,
            open_lid=True,
            owner=ada,
            room=guild.general,
        )
        assert reply.message is not None
        assert reply.message.content == "('blue', 3, 2.0, True, 'ada', 'general')"
        assert not reply.message.ephemeral
        assert reply.ack_ms is not None


async def test_files_and_roles_can_be_given_to_a_command():
    async with connected(all_sorts) as (local, _):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        role = guild.add_role("readers")
        reply = await ada.command("read", channel=guild.general, file=("a.txt", b"hello"), anybody=role)
        assert reply.message is not None
        assert reply.message.content == "a.txt: hello for readers"


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("nonsense", {}),
        ("box", {}),
        ("box nonsense", {}),
        ("box create", {}),
        ("box create", {"name": "ab"}),
        ("box create", {"name": "much too long"}),
        ("box create", {"name": 5}),
        ("box create", {"name": "blue", "size": 10}),
        ("box create", {"name": "blue", "size": "3"}),
        ("box create", {"name": "blue", "size": True}),
        ("box create", {"name": "blue", "open_lid": 1}),
        ("box create", {"name": "blue", "owner": "ada"}),
        ("box create", {"name": "blue", "colour": "red"}),
        ("box form", {"shape": "Oval"}),
    ],
)
async def test_discords_client_refuses_what_the_command_does_not_take(path: str, options: dict[str, Any], sorts: Any):
    guild, ada = sorts
    with pytest.raises(CommandUsageError):
        await ada.command(path, channel=guild.general, **options)


@pytest.fixture(scope="module")
async def sorts():
    async with connected(all_sorts) as (local, _):
        ada = local.add_person("ada")
        yield local.add_guild("Lab", owner=ada), ada


async def test_a_choice_is_named_or_given_by_its_value(sorts: Any):
    guild, ada = sorts
    for shape in ("Round", "r"):
        reply = await ada.command("box form", channel=guild.general, shape=shape)
        assert reply.message.content == "Round"


async def test_a_deferred_answer_comes_with_follow_ups_a_file_and_an_edit():
    async with connected(all_sorts) as (local, _):
        ada = local.add_person("ada")
        reply = await ada.command("box fill-up")
        await reply.wait_for(lambda one: len(one.messages) == 2 and one.messages[-1].content == "filled up")
        really, filled = reply.messages
        assert reply.deferred
        assert really.content == "really"
        assert filled.ephemeral
        assert filled.edited_at is not None
        (file,) = filled.attachments
        assert (file.filename, file.content) == ("box.env", b"A=1")
        async with aiohttp.ClientSession() as session, session.get(file.url) as response:
            assert await response.read() == b"A=1"


async def test_autocomplete_proposes_what_fits_the_other_options():
    async with connected(all_sorts) as (local, _):
        ada = local.add_person("ada")
        choices = await ada.autocomplete("box pick", focused="box", box="b", colour="red")
        assert len(choices) == 25
        assert choices[0] == {"name": "red b0", "value": "b0"}
        with pytest.raises(CommandUsageError):
            await ada.autocomplete("box pick", focused="colour", colour="r")


async def test_an_answer_after_the_deadline_finds_no_interaction():
    async with connected(all_sorts) as (local, bot):
        local.settings.callback_deadline_s = 0.05
        reply = await local.add_person("ada").command("silent")
        assert reply.failed
        assert not reply.messages
        bot.dispatch("go_on")
        error = await bot.hears("kept_error")
        assert isinstance(error, discord.NotFound)
        assert error.code == 10062


async def test_an_interaction_is_acknowledged_only_once():
    async with connected(all_sorts) as (local, bot):
        await local.add_person("ada").command("twice")
        error = await bot.hears("kept_error")
        assert isinstance(error, discord.InteractionResponded) or error.code == 40060


async def test_permissions_decide_who_sees_a_command_and_reach_the_bot():
    async with connected(all_sorts) as (local, bot):
        ada, bob, eve = (local.add_person(name) for name in ("ada", "bob", "eve"))
        guild = local.add_guild("Lab", owner=ada)
        guild.add_member(bob, manage_guild=True)
        guild.add_member(eve)
        for manager in (ada, bob):
            reply = await manager.command("manage", channel=guild.general)
            assert reply.message is not None
            assert reply.message.content == "True"
        with pytest.raises(CommandUsageError):
            await eve.command("manage", channel=guild.general)
        with pytest.raises(CommandUsageError):
            await ada.command("manage")
        member = await (await bot.fetch_guild(guild.id)).fetch_member(bob.id)
        assert [role.name for role in member.roles][1:] == ["bob's role"]


async def test_a_command_of_one_guild_is_seen_there_alone():
    async with connected(all_sorts) as (local, bot):
        ada = local.add_person("ada")
        here, there = local.add_guild("Here", owner=ada), local.add_guild("There", owner=ada)

        @bot.tree.command(guild=discord.Object(here.id))
        async def local_only(interaction: Interaction) -> None:
            """Only here."""
            await interaction.response.send_message("here")

        await bot.tree.sync(guild=discord.Object(here.id))
        assert [command["name"] for command in local.guild_commands[here.id]] == ["local_only"]
        reply = await ada.command("local_only", channel=here.general)
        assert reply.message is not None
        with pytest.raises(CommandUsageError):
            await ada.command("local_only", channel=there.general)


async def test_a_foreign_command_is_answered_by_whoever_has_its_token():
    async with connected(all_sorts) as (local, bot):
        ada = local.add_person("ada")
        guild = local.add_guild("Lab", owner=ada)
        reply = await ada.use_foreign_command("play", channel=guild.general, song="blue", loud=True)
        error = await bot.hears("kept_error")
        assert isinstance(error, app_commands.CommandNotFound)
        url = f"{local.api_base}/interactions/{reply.interaction_id}/{reply.token}/callback"
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json={"type": 4, "data": {"content": "playing"}}) as response:
                assert response.status == 204
            again = f"{local.api_base}/webhooks/{local.application_id}/{reply.token}"
            async with session.post(again, json={"content": "still playing"}) as response:
                assert response.status == 200
        assert [message.content for message in reply.messages] == ["playing", "still playing"]


async def test_a_token_is_of_no_use_before_the_answer_and_after_a_quarter_of_an_hour():
    async with connected(all_sorts) as (local, _):
        reply = await local.add_person("ada").use_foreign_command("play")
        webhook = f"{local.api_base}/webhooks/{local.application_id}/{reply.token}"
        async with aiohttp.ClientSession() as session:
            async with session.post(webhook, json={"content": "early"}) as response:
                assert (response.status, (await response.json())["code"]) == (404, 10015)
            callback = f"{local.api_base}/interactions/{reply.interaction_id}/{reply.token}/callback"
            for wrong in FAULTY_CALLBACKS:
                async with session.post(callback, json=wrong) as response:
                    assert (response.status, (await response.json())["code"]) in [(400, 50035), (400, 50006)]
            async with session.post(callback, json={"type": 4, "data": {"content": "now"}}) as response:
                assert response.status == 204
            async with session.post(callback, json={"type": 4, "data": {"content": "now"}}) as response:
                assert (response.status, (await response.json())["code"]) == (400, 40060)
            local.settings.token_lifetime_s = 0
            async with session.post(webhook, json={"content": "late"}) as response:
                assert (response.status, (await response.json())["code"]) == (401, 50027)


async def test_nobody_answers_when_no_bot_is_connected():
    async with connected(all_sorts) as (local, bot):
        local.settings.callback_deadline_s = 0.05
        await bot.close()
        await local.wait_until_gone()
        reply = await asyncio.wait_for(local.add_person("ada").command("silent"), 2)
        assert reply.failed
