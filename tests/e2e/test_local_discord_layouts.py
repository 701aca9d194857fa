"""Components of version 2 and modals in the local Discord: what is taken, shown and filled in."""

from __future__ import annotations

import io
from typing import Any

import discord
import pytest
from discord import ui

from local_discord import UsageError
from tests.e2e.test_local_discord_support import Api, ProbeBot, connected, plain

Interaction = discord.Interaction[Any]
V2 = 1 << 15
BUTTON = {"type": 2, "style": 1, "label": "Press", "custom_id": "a"}
TEXT = {"type": 10, "content": "x"}
LABEL: dict[str, Any] = {"type": 18, "label": "x", "component": {"type": 4, "custom_id": "a", "style": 1}}


class Everything(ui.Modal, title="Everything"):
    note: ui.TextDisplay[Any] = ui.TextDisplay("Fill it in.")
    size: ui.Label[Any] = ui.Label(
        text="Size", component=ui.RadioGroup(options=[discord.RadioGroupOption(label=x, value=x) for x in ("S", "L")])
    )
    extras: ui.Label[Any] = ui.Label(
        text="Extras",
        component=ui.CheckboxGroup(options=[discord.CheckboxGroupOption(label=x, value=x) for x in ("a", "b", "c")]),
    )
    sure: ui.Label[Any] = ui.Label(text="Sure", component=ui.Checkbox())
    proof: ui.Label[Any] = ui.Label(text="Proof", component=ui.FileUpload(max_values=2))

    async def on_submit(self, interaction: Interaction) -> None:
        parts: list[Any] = [one.component for one in (self.size, self.extras, self.sure, self.proof)]
        size, extras, sure, proof = parts
        read = [await file.read() for file in proof.values]
        await interaction.response.send_message(f"{size.value} {extras.values} {sure.value} {read}")


class Page(ui.LayoutView):
    def __init__(self) -> None:
        super().__init__()
        press: ui.Button[Any] = ui.Button(label="Press", custom_id="press")
        press.callback = self.press  # type: ignore[method-assign]
        self.add_item(
            ui.Container(
                ui.Section("A section", "of two texts", accessory=ui.Thumbnail("attachment://a.png")),
                ui.Separator(),
                ui.MediaGallery(discord.MediaGalleryItem("attachment://a.png")),
                ui.File("attachment://a.png"),
                ui.ActionRow(press),
                accent_colour=discord.Colour.red(),
            )
        )

    async def press(self, interaction: Interaction) -> None:
        view = ui.LayoutView()
        view.add_item(ui.TextDisplay("pressed"))
        await interaction.response.edit_message(view=view, attachments=[])


def commands(bot: ProbeBot) -> None:
    @bot.tree.command()
    async def page(interaction: Interaction) -> None:
        """Show the page."""
        file = discord.File(io.BytesIO(b"picture"), "a.png")
        await interaction.response.send_message(view=Page(), file=file)

    @bot.tree.command()
    async def fill(interaction: Interaction) -> None:
        """Open the form."""
        await interaction.response.send_modal(Everything())


@pytest.fixture(scope="module")
async def place():
    async with connected(commands) as (local, _):
        ada = local.add_person("ada")
        yield local, ada, local.add_guild("Lab", owner=ada)


async def test_a_layout_shows_its_files_and_answers_its_buttons(place: Any):
    _, ada, guild = place
    reply = await ada.command("page", channel=guild.general)
    section, _, gallery, file, _ = reply.message.components[0]["components"]
    url = reply.message.attachments[0].url
    assert url.startswith("http")
    shown = [section["accessory"]["media"], gallery["items"][0]["media"], file["file"]]
    assert [one["url"] for one in shown] == [url] * 3
    reply = await ada.click(reply.message, "Press")
    assert [one["content"] for one in reply.message.components] == ["pressed"]
    assert reply.message.flags & V2


async def test_a_modal_may_hold_choices_and_files(place: Any):
    _, ada, guild = place
    modal = (await ada.command("fill", channel=guild.general)).modal
    whole = {"size": "L", "extras": ["a", "c"], "sure": True, "proof": [("a.txt", b"one"), ("b.txt", b"two")]}
    reply = await ada.submit(modal, whole)
    assert reply.message.content == "L ['a', 'c'] True [b'one', b'two']"
    for fault in ({"size": "M"}, {"size": ["S", "L"]}, {"extras": ["d"]}, {"proof": [("a", b"")] * 3}):
        with pytest.raises(UsageError):
            await ada.submit(modal, whole | fault)


async def test_a_persons_file_is_served_with_its_type_and_does_nothing_in_a_browser():
    async with plain() as api:
        said = await api.ada.send(api.guild.general, files=[("page.html", b"<script>alert(1)</script>")])
        async with api.session.get(said.attachments[0].url) as response:
            assert (response.content_type, await response.read()) == ("text/html", b"<script>alert(1)</script>")
            assert response.headers["Content-Security-Policy"] == "sandbox"


@pytest.fixture(scope="module")
async def api():
    async with plain() as api:
        yield api


@pytest.mark.parametrize(
    ("component", "path"),
    [
        ({"type": 4, "custom_id": "a", "style": 1}, "0.type"),
        ({"type": 18}, "0.type"),
        (BUTTON, "0.type"),
        ({"type": 10}, "0.content"),
        ({"type": 10, "content": "x" * 4001}, "0.content"),
        ({"type": 9, "components": [TEXT]}, "0.accessory"),
        ({"type": 9, "components": [TEXT] * 4, "accessory": BUTTON}, "0.components"),
        ({"type": 9, "components": [BUTTON], "accessory": BUTTON}, "0.components.0.type"),
        ({"type": 9, "components": [TEXT], "accessory": {"type": 11}}, "0.accessory.media"),
        ({"type": 11, "media": {"url": "http://x"}}, "0.type"),
        ({"type": 12, "items": []}, "0.items"),
        ({"type": 12, "items": [{"media": {}}]}, "0.items.0.media.url"),
        ({"type": 14, "spacing": 3}, "0.spacing"),
        ({"type": 17, "components": []}, "0.components"),
        ({"type": 17, "accent_color": -1, "components": [TEXT]}, "0.accent_color"),
        ({"type": 17, "components": [{"type": 17, "components": [TEXT]}]}, "0.components.0.type"),
        ({"type": 1, "components": [BUTTON, {"type": 5, "custom_id": "b"}]}, "0.components"),
        ({"type": 1, "components": [{"type": 5, "custom_id": "b", "max_values": 26}]}, "0.components.0.max_values"),
        ({"type": 13, "file": {"url": "attachment://none.txt"}}, ""),
    ],
)
async def test_a_faulty_layout_is_refused_where_it_is_faulty(api: Api, component: dict[str, Any], path: str):
    status, body = await api("POST", api.messages, json={"flags": V2, "components": [component]})
    assert (status, body["code"]) == (400, 50035)
    node = body["errors"]["components"]
    for step in path.split(".") if path else ():
        node = node[step]
    assert node["_errors"][0]["message"]


async def test_a_layout_stays_one_and_has_no_text_of_its_own(api: Api):
    status, message = await api("POST", api.messages, json={"flags": V2, "components": [TEXT]})
    assert status == 200
    place = f"{api.messages}/{message['id']}"
    assert (await api("PATCH", place, json={"components": [TEXT, TEXT]}))[0] == 200
    assert "content" in (await api("PATCH", place, json={"content": "x"}))[1]["errors"]
    assert (await api("POST", api.messages, json={"content": "x", "components": [TEXT]}))[0] == 400


@pytest.mark.parametrize(
    ("components", "path"),
    [
        ([], "components"),
        ([LABEL] * 6, "components"),
        ([LABEL | {"label": ""}], "components.0.label"),
        ([LABEL | {"component": None}], "components.0.component"),
        ([LABEL | {"component": BUTTON}], "components.0.component.type"),
        ([{"type": 1, "components": [BUTTON]}], "components.0.components.0.type"),
        ([LABEL | {"component": {"type": 21, "custom_id": "a", "options": []}}], "components.0.component.options"),
        ([LABEL, LABEL], "components"),
    ],
)
async def test_a_faulty_modal_is_refused_under_its_data(api: Api, components: list[Any], path: str):
    reply = await api.ada.use_foreign_command("x", channel=api.guild.general)
    callback = f"/interactions/{reply.interaction_id}/{reply.token}/callback"
    form = {"type": 9, "data": {"title": "x", "custom_id": "x", "components": components}}
    status, body = await api("POST", callback, json=form)
    assert (status, body["code"]) == (400, 50035)
    node = body["errors"]["data"]
    for step in path.split("."):
        node = node[step]
    assert node["_errors"]


async def test_the_fault_of_an_answer_is_under_its_data(api: Api):
    reply = await api.ada.use_foreign_command("x", channel=api.guild.general)
    callback = f"/interactions/{reply.interaction_id}/{reply.token}/callback"
    _, body = await api("POST", callback, json={"type": 4, "data": {"content": "x" * 2001}})
    assert body["errors"]["data"]["content"]["_errors"]
