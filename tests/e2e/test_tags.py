"""Tags in Discord: given, shown, and what lists are narrowed by."""

import pytest

from tests.e2e.conftest import text, title
from tests.e2e.test_listings import footer, listed, turn


@pytest.fixture
async def tagged(open_scene):
    """Ada has 13 sandboxes of a team and one of another, Bob one of the first."""
    async with open_scene(sandboxes={"max_per_owner": 30}) as scene:
        for person, count in ((scene.ada, 13), (scene.bob, 1)):
            owner = scene.app.bot.actor(await scene.app.bot.fetch_user(person.id))
            for number in range(count):
                await scene.app.manager.create(
                    owner,
                    name=f"{person.name}-{number:02}",
                    metadata={"tags": {"team": "rot & blau", "n": f"{number}"}},
                )
        await scene.ada.command("sandbox create", channel=None, name="other", tags="team=green , url=https://a.b/?c=d")
        yield scene


async def test_tags_are_given_at_the_creation_and_shown_in_the_status(tagged):
    other = await tagged.sandbox("other")
    assert other.metadata == {
        "tags": {"team": "green", "url": "https://a.b/?c=d"},
        "created_from": "discord",
        "template": "default",
    }
    shown = text(await tagged.ada.command("sandbox status", channel=None, sandbox="other"))
    assert "Tags: team=green, url=https://a.b/?c=d" in shown
    assert "tags: team=green, url=https://a.b/?c=d" in text(
        await tagged.ada.command("sandbox audit", channel=None, sandbox="other")
    )


async def test_a_list_stays_narrowed_to_tags_while_its_pages_are_turned(tagged):
    ada = tagged.ada
    assert listed((await ada.command("sandbox list", channel=None, tags="team=green")).message) == ["other"]
    message = (await ada.command("sandbox list", channel=None, tags="team=rot & blau")).message
    assert ("(13)" in title(message), footer(message)) == (True, "Page 1 of 2")
    await turn(ada, message, "Older ▶")
    assert (listed(message), footer(message)) == (["ada-02", "ada-01", "ada-00"], "Page 2 of 2")
    await turn(ada, message, "◀ Newer")
    assert (len(listed(message)), footer(message)) == (10, "Page 1 of 2")
    everybody = (await tagged.discord.owner.command("sandbox-admin list", channel=None, tags="team=rot & blau")).message
    assert "(14)" in title(everybody)
    await turn(tagged.discord.owner, everybody, "Older ▶")
    assert len(listed(everybody)) == 4
    nothing = await ada.command("sandbox list", channel=None, tags="team=purple")
    assert "no such sandbox" in text(nothing)


async def test_a_button_without_tags_turns_the_whole_list(tagged):
    message = (await tagged.ada.command("sandbox list", channel=None)).message
    (row,) = message.components
    assert row["components"][0]["custom_id"].startswith(f"sbx:v2:page:{tagged.ada.id}:own:any:1::")
    await turn(tagged.ada, message, "Older ▶")
    assert footer(message) == "Page 2 of 2"


async def test_tags_that_do_not_fit_into_a_button_are_refused_only_where_there_are_pages(tagged):
    owner = tagged.app.bot.actor(await tagged.app.bot.fetch_user(tagged.ada.id))
    long = {"first": "x" * 30, "second": "y" * 30}
    await tagged.app.manager.create(owner, name="long", metadata={"tags": long})
    wanted = f"first={'x' * 30}, second={'y' * 30}"
    assert listed((await tagged.ada.command("sandbox list", channel=None, tags=wanted)).message) == ["long"]
    for number in range(10):
        await tagged.app.manager.create(owner, name=f"long-{number}", metadata={"tags": long})
    refused = text(await tagged.ada.command("sandbox list", channel=None, tags=wanted))
    assert "too long for a page's button" in refused
    assert "SANDBOX_008" in refused


@pytest.mark.parametrize(("tags", "said"), [("team", "like team=red"), ("team=a, team=b", "twice"), ("a=", "1 to 64")])
async def test_tags_that_are_none_are_refused_with_how_they_are_written(scene, tags, said):
    refused = text(await scene.ada.command("sandbox create", channel=None, name="blue", tags=tags))
    assert said in refused
    assert "SANDBOX_008" in refused
    assert await scene.app.manager.list() == []
