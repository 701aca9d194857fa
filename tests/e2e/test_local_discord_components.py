"""Buttons, select menus and modals through the local Discord."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import ui

from local_discord import LocalDiscord, UsageError
from local_discord.world.drafts import Draft
from tests.e2e.test_local_discord_support import ProbeBot, connected

Interaction = discord.Interaction[Any]


class Form(ui.Modal, title="About you"):
    your_name: ui.TextInput[Any] = ui.TextInput(label="Your name", min_length=2)
    wishes: ui.TextInput[Any] = ui.TextInput(label="Wishes", required=False)

    async def on_submit(self, interaction: Interaction) -> None:
        await interaction.response.send_message(f"{self.your_name.value}/{self.wishes.value}", ephemeral=True)


class Labelled(ui.Modal, title="Labelled"):
    colour: ui.Label[Any] = ui.Label(
        text="Colour",
        component=ui.Select(options=[discord.SelectOption(label="Red"), discord.SelectOption(label="Blue")]),
    )
    why: ui.Label[Any] = ui.Label(text="Why", component=ui.TextInput(required=False))

    async def on_submit(self, interaction: Interaction) -> None:
        assert isinstance(self.colour.component, ui.Select)
        await interaction.response.send_message(self.colour.component.values[0])


class Panel(ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)

    @ui.button(label="Change", custom_id="panel:change")
    async def change(self, interaction: Interaction, _: ui.Button[Any]) -> None:
        await interaction.response.edit_message(content=f"changed by {interaction.user.name}", view=None)

    @ui.button(label="Later", custom_id="panel:later")
    async def later(self, interaction: Interaction, _: ui.Button[Any]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="changed later")

    @ui.button(label="Think", custom_id="panel:think")
    async def think(self, interaction: Interaction, _: ui.Button[Any]) -> None:
        await interaction.response.defer(thinking=True, ephemeral=True)
        await interaction.followup.send("thought")

    @ui.button(label="Ask", custom_id="panel:ask")
    async def ask(self, interaction: Interaction, _: ui.Button[Any]) -> None:
        await interaction.response.send_modal(Form())

    @ui.button(label="Never", custom_id="panel:never", disabled=True)
    async def never(self, interaction: Interaction, _: ui.Button[Any]) -> None:
        await interaction.response.send_message("forced")

    @ui.select(
        custom_id="panel:colours", max_values=2, options=[discord.SelectOption(label=x) for x in ("Red", "Blue")]
    )
    async def colours(self, interaction: Interaction, select: ui.Select[Any]) -> None:
        await interaction.response.send_message(", ".join(select.values))

    @ui.select(cls=ui.UserSelect, custom_id="panel:people")
    async def people(self, interaction: Interaction, select: ui.UserSelect[Any]) -> None:
        await interaction.response.send_message(select.values[0].name)


def panel(bot: ProbeBot) -> None:
    bot.add_view(Panel())

    @bot.tree.command()
    async def panel(interaction: Interaction, ephemeral: bool = False) -> None:
        """Show the panel."""
        await interaction.response.send_message("panel", view=Panel(), ephemeral=ephemeral)

    @bot.tree.command()
    async def labelled(interaction: Interaction) -> None:
        """Open the labelled form."""
        await interaction.response.send_modal(Labelled())

    @bot.tree.command()
    async def form(interaction: Interaction) -> None:
        """Open the form."""
        await interaction.response.send_modal(Form())


@pytest.fixture(scope="module")
async def local():
    async with connected(panel) as (local, _):
        yield local


@pytest.fixture
async def place(local: Any):
    """A person, their guild, and the panel in it."""
    ada = local.add_person("ada")
    guild = local.add_guild("Lab", owner=ada)
    reply = await ada.command("panel", channel=guild.general)
    return ada, guild, reply.message


async def test_a_button_changes_its_message_in_place(place: Any):
    ada, guild, message = place
    reply = await ada.click(message, "Change")
    assert reply.message is message
    assert (message.content, message.components) == ("changed by ada", [])
    assert guild.general.messages[message.id].content == "changed by ada"


async def test_a_button_may_change_its_message_later(place: Any):
    ada, _, message = place
    reply = await ada.click(message, "panel:later")
    assert reply.deferred
    await reply.wait_for(lambda one: one.messages)
    assert message.content == "changed later"
    assert not message.loading


async def test_a_button_may_think_and_answer_in_a_message_of_its_own(place: Any):
    ada, _, message = place
    reply = await ada.click(message, "Think")
    assert (reply.message.content, reply.message.ephemeral) == ("thought", True)
    assert message.content == "panel"


async def test_a_disabled_button_can_only_be_forced(place: Any):
    ada, _, message = place
    with pytest.raises(UsageError):
        await ada.click(message, "Never")
    with pytest.raises(UsageError):
        await ada.click(message, "Nowhere")
    reply = await ada.click(message, "Never", force=True)
    assert reply.failed or reply.message.content == "forced"


async def test_an_ephemeral_button_is_pressed_by_another_only_by_force(local: Any):
    ada, bob = local.add_person("ada"), local.add_person("bob")
    guild = local.add_guild("Lab", owner=ada)
    guild.add_member(bob)
    reply = await ada.command("panel", channel=guild.general, ephemeral=True)
    with pytest.raises(UsageError):
        await bob.click(reply.message, "Change")
    await bob.click(reply.message, "Change", force=True)
    assert reply.message.content == "changed by bob"


async def test_buttons_work_in_direct_messages(local: Any):
    eve = local.add_person("eve")
    reply = await eve.command("panel")
    assert (await eve.click(reply.message, "Change")).message.content == "changed by eve"


async def test_a_select_menu_takes_options_by_label_and_no_others(place: Any):
    ada, _, message = place
    reply = await ada.select(message, "panel:colours", ["Red", "Blue"])
    assert reply.message.content == "Red, Blue"
    for wrong in ([], ["Green"], ["Red", "Blue", "Red"]):
        with pytest.raises(UsageError):
            await ada.select(message, "panel:colours", wrong)


async def test_a_person_is_chosen_in_a_select_menu(place: Any):
    ada, _, message = place
    reply = await ada.select(message, "panel:people", [ada])
    assert reply.message.content == "ada"


async def test_a_modal_is_opened_by_a_button_and_filled_in(place: Any):
    ada, _, message = place
    opened = await ada.click(message, "Ask")
    assert opened.modal.title == "About you"
    with pytest.raises(UsageError):
        await ada.submit(opened.modal, your_name="x")
    with pytest.raises(UsageError):
        await ada.submit(opened.modal, your_name="Ada", shoe_size="41")
    reply = await ada.submit(opened.modal, your_name="Ada", wishes="tea")
    assert (reply.message.content, reply.message.ephemeral) == ("Ada/tea", True)


async def test_a_modal_opened_by_a_command_belongs_to_its_asker(local: Any):
    ada, bob = local.add_person("ada"), local.add_person("bob")
    opened = await ada.command("form")
    with pytest.raises(UsageError):
        await bob.submit(opened.modal, your_name="Bob")
    assert (await ada.submit(opened.modal, your_name="Ada")).message.content == "Ada/"


async def test_a_modal_may_hold_select_menus_under_labels(local: Any):
    ada = local.add_person("ada")
    opened = await ada.command("labelled")
    assert (await ada.submit(opened.modal, colour="Blue")).message.content == "Blue"
    with pytest.raises(UsageError):
        await ada.submit(opened.modal, colour="Green")


async def test_components_are_numbered_as_clients_that_are_strict_read_them():
    async with LocalDiscord() as local:
        guild = local.add_guild("Lab", owner=local.add_person("ada"))
        row = {"type": 1, "components": [{"type": 2, "custom_id": "a"}, {"type": 2, "custom_id": "b", "id": 2}]}
        message = local.world.posts.create(local.bot_user, guild.general, Draft(components=[row]))
        (shown,) = message.payload()["components"]
        assert [shown["id"], *(one["id"] for one in shown["components"])] == [1, 3, 2]


async def test_an_answer_to_a_modal_tells_of_what_opened_it():
    def setup(bot: ProbeBot) -> None:
        @bot.tree.command()
        async def form(interaction: Interaction) -> None:
            """Fill in a form."""
            await interaction.response.send_modal(Form())

    async with connected(setup) as (local, _):
        ada = local.add_person("ada")
        opened = await ada.command("form")
        answered = await ada.submit(opened.modal, your_name="Ada")
        assert answered.message is not None
        told = answered.message.payload()["interaction_metadata"]["triggering_interaction_metadata"]
        assert (told["id"], told["type"]) == (str(opened.interaction_id), 2)
