"""The bot speaks to each person in the language of that person's Discord."""

import pytest

from local_discord.errors import ApiError
from tests.e2e.conftest import text, title


@pytest.fixture
def german(scene):
    scene.ada.locale = "de"
    return scene.ada


async def test_a_german_types_german_commands_and_gets_german_answers(scene, german):
    here = scene.lab.general
    reply = await german.command("sandbox erstellen", channel=here, name="blau", dauer="2h", hier_verbinden=True)
    assert title(reply.message) == "Sandbox „blau“ läuft"
    assert "gibt deinem Worker seine Umgebung" in text(reply)
    status = text(await german.command("sandbox status", channel=here, sandbox="blau"))
    assert "ist in Betrieb" in status
    assert "3 Tabellen" in status
    assert "Trennung erzwungen" in status
    question = (await german.command("sandbox zerstören", channel=here, sandbox="blau")).message
    pressed = await german.click(question, "Behalten")
    await pressed.wait_for(lambda _: "bleibt, wie sie ist" in question.embeds[0]["description"])

    english = text(await scene.bob.command("sandbox list", channel=scene.arcade.general))
    assert english.strip() == "You have no sandboxes. `/sandbox create` makes one."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "blau", "dauer": "nie"}, "„nie“ ist keine Dauer"),
        ({"name": "blau", "dauer": "9999h"}, "höchstens 7d"),
        ({"name": "blau", "hier_verbinden": True}, "Hier ist kein Server"),
    ],
)
async def test_a_refusal_is_german_too_and_keeps_its_code(german, options, said):
    reply = await german.command("sandbox erstellen", channel=None, **options)
    assert said in text(reply)
    assert "SANDBOX_008" in text(reply)


async def test_a_bug_is_told_in_german(scene, german, monkeypatch):
    async def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(scene.app.manager, "list", broken)
    assert "der Bot ist schuld" in text(await german.command("sandbox liste", channel=None))


async def test_names_in_one_language_may_not_collide(scene):
    option = {"type": 3, "name": "a", "description": "a", "name_localizations": {"de": "x"}}
    form = {"name": "c", "description": "c", "options": [option, {**option, "name": "b"}]}
    with pytest.raises(ApiError):
        scene.discord.world.commands.upsert(None, form)
