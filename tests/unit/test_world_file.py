"""The file of a world: what stands in it is there, and comes back."""

from __future__ import annotations

import tomllib

import pytest

from bot.local.serving import WorldSource, open_local_discord
from bot.local.world_building import UnknownReference, build_world
from bot.local.world_description import describe_world
from bot.local.world_file import WrongWorld, read_world, save_world
from bot.local.world_model import small_world
from local_discord import LocalDiscord
from local_discord.rules.channel_rules import whole_tag
from local_discord.rules.permissions import BITS

WORLD = """\
# The team's own.
[bot]
name = "greeter"

[[people]]
name = "ada"  # the boss

[[people]]
name = "bob"
locale = "de"
dms_closed = true

[[servers]]
name = "Lab"
owner = "ada"
members = [{name = "bob", roles = ["Helpers"], nick = "bobby"}, {name = "greeter", roles = ["Helpers"]}]

[[servers.roles]]
name = "@everyone"
permissions = ["view_channel", "send_messages"]

[[servers.roles]]
name = "Helpers"
permissions = ["manage_messages"]
color = 0x3366ff

[[servers.channels]]
name = "lobby"
category = "Talk"
topic = "All there is"

[[servers.channels]]
# what is spoken
name = "Talk"
kind = "category"

[[servers.channels]]
name = "staff"
rate_limit_per_user = 5
[[servers.channels.overwrites]]
role = "@everyone"
deny = ["view_channel"]
[[servers.channels.overwrites]]
member = "bob"
allow = ["view_channel"]
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "world.toml"
    path.write_text(WORLD)
    return path


def built(path):
    world = read_world(path)
    discord = LocalDiscord(application_id=world.bot.id)
    build_world(world, discord)
    return discord


def test_what_stands_in_the_file_is_there(path):
    discord = built(path)
    (lab,) = discord.world.guilds.values()
    ada, bob = (user for user in discord.world.users.values() if not user.bot)
    assert (discord.owner, lab.owner, bob.locale, bob.dms_closed) == (ada, ada, "de", True)
    assert discord.bot_user.name == "greeter"
    lobby, talk, staff = sorted(lab.channels.values(), key=lambda channel: channel.position)
    assert (lobby.parent, lobby.details["topic"], staff.slowmode_s) == (talk, "All there is", 5)
    assert lab.general is lobby
    view, manage = BITS["view_channel"], BITS["manage_messages"]
    assert staff.permissions_of(bob) & view
    assert not staff.permissions_of(discord.bot_user) & view
    assert lab.permissions_of(bob) == view | BITS["send_messages"] | manage
    assert (lab.members[bob.id].nick, lab.members[bob.id].roles[0].color) == ("bobby", 0x3366FF)


def test_ids_are_written_once_and_stay(path):
    before = built(path)
    assert save_world(path, describe_world(before))
    after = built(path)
    assert list(after.world.guilds) == list(before.world.guilds)
    assert list(after.world.users) == list(before.world.users)
    assert after.token == before.token
    assert not save_world(path, describe_world(after))


def test_comments_stay_where_they_stand(path):
    discord = built(path)
    (lab,) = discord.world.guilds.values()
    discord.world.users[next(iter(lab.members))].name = "grace"
    save_world(path, describe_world(discord))
    text = path.read_text()
    assert text.startswith("# The team's own.\n")
    assert 'name = "grace"  # the boss' in text
    assert "# what is spoken\n" in text


def test_what_the_bot_has_made_comes_back_by_id_where_names_repeat(path):
    discord = built(path)
    (lab,) = discord.world.guilds.values()
    bob = next(user for user in discord.world.users.values() if user.name == "bob")
    second = lab.add_role("Helpers", ["ban_members"])
    lab.members[bob.id].roles.append(second)
    lab.add_channel("plans", 15).details["available_tags"] = [whole_tag({"name": "urgent"}, second.id)]
    lab.kick_bot()
    save_world(path, describe_world(discord))
    again = built(path)
    (lab,) = again.world.guilds.values()
    assert [role.id for role in lab.members[bob.id].roles][-1] == second.id
    plans = next(channel for channel in lab.channels.values() if channel.name == "plans")
    assert plans.details["available_tags"] == [whole_tag({"name": "urgent"}, second.id)]
    assert not lab.has_bot


async def test_a_token_that_was_reset_is_the_bots_the_next_time(tmp_path):
    path = tmp_path / "world.toml"
    async with open_local_discord(WorldSource(path)) as local:
        first = local.token
    assert "token" not in path.read_text()
    async with open_local_discord(WorldSource(path)) as local:
        assert local.token == first
        new = await local.reset_token()
    async with open_local_discord(WorldSource(path)) as local:
        assert local.token == new != first


def test_a_new_file_is_the_small_world(tmp_path):
    discord = LocalDiscord()
    build_world(small_world(), discord)
    path = tmp_path / "new.toml"
    save_world(path, describe_world(discord))
    assert [person["name"] for person in tomllib.loads(path.read_text())["people"]] == ["olga", "ada", "bob"]
    assert read_world(path) == describe_world(discord)


PEOPLE = '[[people]]\nname = "ada"\n[[servers]]\nname = "Lab"\nowner = "ada"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[people]\n", "at line 1, column 9"),
        ("", "people: Field required"),
        ('[[people]]\nname = "ada"\nlocal = "de"\n', "people[0].local: Extra inputs are not permitted"),
        (PEOPLE + 'channels = [{name = "x", kind = "tea"}]\n', "servers[0].channels[0].kind: Input should be 'text'"),
        (
            PEOPLE + 'channels = [{name = "x", kind = "voice", topic = "t"}]\n',
            "channels[0]: a voice channel has no topic",
        ),
        (PEOPLE + 'channels = [{name = "x", rate_limit_per_user = -1}]\n', "Discord refuses rate_limit_per_user"),
        (PEOPLE + 'roles = [{name = "x", permissions = ["fly"]}]\n', "permissions[0]: Discord has no permission “fly”"),
        (PEOPLE + "id = 7\n", "servers[0].id: Input should be greater"),
    ],
)
def test_a_fault_is_told_with_its_line_or_key(tmp_path, text, told):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(WrongWorld) as wrong:
        read_world(path)
    assert told in str(wrong.value)
    assert str(wrong.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PEOPLE.replace('owner = "ada"', 'owner = "zoe"'), "servers[0].owner: there is no “zoe”; there is ada"),
        (PEOPLE + 'members = [{name = "ada", roles = ["x"]}]\n', "servers[0].members[0].roles[0]: there is no “x”"),
        (PEOPLE + 'channels = [{name = "a", category = "b"}]\n', "servers[0].channels[0].category: there is no “b”"),
        (PEOPLE + '[[people]]\nname = "ada"\n', "servers[0].owner: several are called “ada”"),
    ],
)
def test_who_is_named_and_is_not_there_is_told_with_the_place(tmp_path, text, told):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UnknownReference) as wrong:
        built(path)
    assert told in str(wrong.value)
