"""The local Discord's rules hold against whatever is thrown at them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.demo.local_discord import command_rules, forms, message_rules
from bot.demo.local_discord.errors import ApiError
from bot.demo.local_discord.sessions import Session
from bot.demo.local_discord.snowflakes import Snowflakes

KEYS = (
    "content embeds components attachments flags nonce title description fields footer author text name value style "
    "label custom_id url type options choices required autocomplete min_value max_length id data placeholder contexts "
    "name_localizations de default_member_permissions accessory component message_reference message_id allowed_mentions"
).split()
LEAVES = st.none() | st.booleans() | st.integers(-1, 12) | st.sampled_from(["", "x", "7", "x" * 5000])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8)


@given(OBJECTS)
@settings(max_examples=300, deadline=None)
def test_no_form_of_a_message_breaks_the_rules_themselves(form: dict[str, Any]):
    with suppress(ApiError):
        forms.draft(form, {}, Snowflakes())
    with suppress(ApiError):
        message_rules.check_modal(form)


@given(JSON | st.lists(OBJECTS, max_size=3))
@settings(max_examples=300, deadline=None)
def test_no_form_of_a_command_breaks_the_rules_themselves(form: Any):
    with suppress(ApiError):
        command_rules.check_all(form)


def test_ids_only_grow_and_lie_on_the_shard_they_are_asked_for():
    snowflakes = Snowflakes()
    ids = [snowflakes.next() for _ in range(1000)]
    ids += [snowflakes.next_on_shard(shard, 5) for shard in (3, 0, 4, 4)]
    assert ids == sorted(set(ids))
    assert [(number >> 22) % 5 for number in ids[-4:]] == [3, 0, 4, 4]
    assert all(17 <= len(str(number)) <= 20 for number in ids)


def test_a_session_replays_only_what_it_has_kept():
    session = Session(0, 1, 0)
    for number in range(10_005):
        session.send("SOMETHING_NEW", {"number": number})
    missed = session.missed_since(10_000)
    assert missed is not None
    assert len(missed) == 5
    assert session.missed_since(session.sequence) == []
    assert session.missed_since(1) is None
