"""Whose a command is, and whether Discord has it as it is defined."""

import copy
from typing import Any

import pytest

from bot.global_commands import is_same
from bot.own_commands import OwnCommands

NAMES = ("sandbox", "sandbox-admin")

OURS: dict[str, Any] = {
    "name": "sandbox",
    "type": 1,
    "description": "Sandboxes",
    "nsfw": False,
    "dm_permission": True,
    "default_member_permissions": 32,
    "contexts": [0, 1],
    "integration_types": [0],
    "name_localizations": {},
    "description_localizations": {"de": "Sandkästen"},
    "options": [
        {
            "type": 1,
            "name": "create",
            "description": "Make one",
            "name_localizations": {"de": "anlegen"},
            "description_localizations": {},
            "options": [
                {
                    "type": 3,
                    "name": "name",
                    "description": "What it is called",
                    "required": False,
                    "autocomplete": True,
                    "min_length": 3,
                    "choices": [{"name": "a", "value": "b", "name_localizations": {}}],
                    "name_localizations": {},
                }
            ],
        }
    ],
}
AS_DISCORD_HAS_IT: dict[str, Any] = {
    "id": "7",
    "application_id": "8",
    "version": "9",
    "name": "sandbox",
    "type": 1,
    "description": "Sandboxes",
    "default_member_permissions": "32",
    "contexts": [1, 0],
    "integration_types": [0],
    "dm_permission": False,
    "handler": None,
    "name_localizations": None,
    "description_localizations": {"de": "Sandkästen"},
    "options": [
        {
            "type": 1,
            "name": "create",
            "description": "Make one",
            "name_localizations": {"de": "anlegen"},
            "options": [
                {
                    "type": 3,
                    "name": "name",
                    "description": "What it is called",
                    "autocomplete": True,
                    "min_length": 3,
                    "choices": [{"name": "a", "value": "b"}],
                }
            ],
        }
    ],
}


def test_what_discord_adds_leaves_out_and_writes_otherwise_is_no_difference():
    assert is_same(OURS, AS_DISCORD_HAS_IT)


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Boxes"},
        {"default_member_permissions": None},
        {"default_member_permissions": "0"},
        {"contexts": [0]},
        {"integration_types": [0, 1]},
        {"nsfw": True},
        {"description_localizations": None},
        {"description_localizations": {"de": "Kisten"}},
        {"options": []},
    ],
)
def test_whatever_a_person_would_see_otherwise_is_a_difference(change):
    assert not is_same(OURS, AS_DISCORD_HAS_IT | change)


@pytest.mark.parametrize(
    "change",
    [
        {"required": True},
        {"autocomplete": False},
        {"min_length": 4},
        {"max_length": 9},
        {"choices": [{"name": "a", "value": "c"}]},
        {"choices": []},
        {"name_localizations": {"de": "Name"}},
        {"type": 4},
    ],
)
def test_it_is_seen_however_deep_in_the_options_it_is(change):
    changed = copy.deepcopy(AS_DISCORD_HAS_IT)
    changed["options"][0]["options"][0] |= change
    assert not is_same(OURS, changed)


def test_where_nothing_is_said_about_places_discords_own_choice_holds():
    silent = OURS | {"contexts": None, "integration_types": None}
    chosen = AS_DISCORD_HAS_IT | {"contexts": [0, 1, 2], "integration_types": [0, 1], "dm_permission": True}
    assert is_same(silent, chosen)
    assert not is_same(silent, chosen | {"dm_permission": False})


def test_before_an_id_is_known_the_name_decides():
    own = OwnCommands(NAMES)
    assert own.include("sandbox", 5)
    assert not own.include("play", 5)


def test_known_ids_decide_and_a_higher_one_has_taken_the_place_of_ours():
    own = OwnCommands(NAMES)
    own.learn({50, 60})
    assert [own.include("sandbox", number) for number in (50, 60, 5, 55, 61)] == [True, True, False, False, True]
    assert not own.include("play", 50)


async def test_once_they_were_taken_away_nothing_is_ours_and_another_look_is_asked_for():
    own = OwnCommands(NAMES)
    own.learn(())
    assert not own.include("sandbox", 61)
    await own.wait_unknown()
    own.learn({61})
    assert own.include("sandbox", 61)
