import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.routing import dispatch
from sandbox_worker.gateway_events import LOCATIONS, Location

GUILD, OTHER = 10**17 + 1, 10**17 + 2
frames = {
    '{"op":10,"d":{"heartbeat_interval":41250}}': 10,
    '{"op":11}': 11,
    '{"op":9,"d":false}': 9,
    '{"op":7,"d":null}': 7,
}
snowflakes = st.integers(min_value=10**16, max_value=2**64 - 1)
noise = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
surroundings = st.dictionaries(st.text(max_size=10), noise, max_size=4)


def gateway_text(name, data, sequence=7):
    return json.dumps({"t": name, "s": sequence, "op": 0, "d": data})


def body(location, guild_id):
    """A payload with the guild's id in its place, and other ids wherever else one could look."""
    nested = {"guild_id": str(OTHER), "id": str(OTHER)}
    if location is Location.ID:
        return {"id": str(guild_id), "guild_id": str(OTHER), "channels": [nested]}
    if location is Location.META:
        return {"id": str(OTHER), "guild_id": str(OTHER), "meta": {"guild_id": str(guild_id)}}
    return {"id": str(OTHER), "channel_id": str(OTHER), "guild_id": str(guild_id), "message": nested, "channel": nested}


def test_all_79_dispatch_events_are_known():
    assert len(LOCATIONS) == 79


@pytest.mark.parametrize("name", sorted(LOCATIONS))
def test_every_events_guild_is_found_in_its_place_and_nowhere_else(name):
    location = LOCATIONS[name]
    message = dispatch.read(gateway_text(name, body(location, GUILD)))
    expected = None if location is Location.NOWHERE else GUILD
    assert message.guild_id == expected


@pytest.mark.parametrize(
    "odd",
    [
        '{"op":0,"t":"TYPING_START","s":1,"d":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"op":0,"t":"TYPING_START","s":1,"d":{"x":' + '{"x":' * 100_000,
        '{"op":"0"}',
        '{"op":0,"t":5}',
        "{",
        "",
        "null",
        "[]",
        '"text"',
        "\x00",
    ],
)
def test_what_is_no_gateway_message_is_none_and_no_exception(odd):
    assert dispatch.read(odd) is None


@pytest.mark.parametrize("value", ["1" * 400, "-1e400", "1e-400", '"\\u0000"', "true", "[[[]]]"])
def test_what_routing_does_not_read_may_hold_anything(value):
    body = f'{{"guild_id":"{GUILD}","x":{value},"y":[{{"guild_id":{value}}}]}}'
    text = f'{{"op":0,"t":"TYPING_START","s":1,"d":{body}}}'
    assert dispatch.read(text).guild_id == GUILD


@pytest.mark.parametrize("name", ["CHANNEL_CREATE", "THREAD_DELETE", "MESSAGE_CREATE", "NEVER_HEARD_OF"])
def test_an_objects_own_id_is_never_taken_for_its_guilds(name):
    assert dispatch.read(gateway_text(name, {"id": str(GUILD), "channel_id": str(GUILD)})).guild_id is None


@given(st.sampled_from(sorted(LOCATIONS)), snowflakes, st.booleans(), surroundings)
def test_an_id_is_read_as_text_and_as_number_whatever_stands_around_it(name, guild_id, as_text, around):
    data = body(LOCATIONS[name], guild_id)
    if not as_text:
        data = json.loads(json.dumps(data).replace(f'"{guild_id}"', str(guild_id)))
    message = dispatch.read(gateway_text(name, {**{f"x_{key}": value for key, value in around.items()}, **data}))
    expected = None if LOCATIONS[name] is Location.NOWHERE else guild_id
    assert message.guild_id == expected


@given(st.text(max_size=200) | noise.map(json.dumps))
def test_no_text_at_all_breaks_the_decoding(text):
    message = dispatch.read(text)
    if message is not None:
        for number in (message.guild_id, message.channel_id, message.id, message.answered_interaction):
            assert number is None or isinstance(number, int)
        assert isinstance(message.interaction_data.command_id, int)
        assert message.message_id is None or isinstance(message.message_id, int)


@pytest.mark.parametrize(("message", "op"), frames.items())
def test_what_is_no_dispatch_is_decoded_too(message, op):
    read = dispatch.read(message)
    assert read is not None
    assert read.op == op


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (
            {"type": 2, "data": {"id": "7", "name": "sandbox", "type": 1, "options": []}},
            (2, 7, 1, None, "sandbox", None),
        ),
        ({"type": 2, "data": {"id": 7, "name": "x", "type": 3, "guild_id": "9"}}, (2, 7, 3, "9", "x", None)),
        ({"type": 4, "data": {"name": "sandbox"}}, (4, 0, 1, None, "sandbox", None)),
        ({"type": 3, "data": {"custom_id": "sbx:v1:x", "component_type": 2}}, (3, 0, 1, None, None, "sbx:v1:x")),
        ({"type": 5, "data": {"custom_id": "form", "components": []}}, (5, 0, 1, None, None, "form")),
        ({"type": 1}, (1, 0, 1, None, None, None)),
        ({"type": 2, "data": None}, (2, 0, 1, None, None, None)),
        ({"type": "2", "data": {"name": 5}}, (None, 0, 1, None, None, None)),
    ],
)
def test_an_interaction_says_what_it_is_with(data, facts):
    message = dispatch.read(gateway_text("INTERACTION_CREATE", data))
    found = message.interaction_data
    kind = message.interaction_kind
    assert (kind, found.command_id, found.type, found.guild_id, found.name, found.custom_id) == facts


@pytest.mark.parametrize(
    ("data", "message_id"),
    [({"message": {"id": "8", "content": ""}}, 8), ({"message": {"id": 8}}, 8), ({"message": []}, None), ({}, None)],
)
def test_an_interaction_says_which_message_it_is_in(data, message_id):
    assert dispatch.read(gateway_text("INTERACTION_CREATE", data)).message_id == message_id


@pytest.mark.parametrize(
    ("data", "user"),
    [
        ({"guild_id": "1", "user": {"id": "22", "username": "ada"}, "roles": []}, 22),
        ({"guild_id": "1", "user": {"id": 22}}, 22),
        ({"guild_id": "1", "user": {"id": "ada"}}, None),
        ({"guild_id": "1", "user": "22"}, None),
        ({"guild_id": "1"}, None),
        ([], None),
    ],
)
def test_whom_an_event_about_a_member_is_about_is_read_only_when_asked_for(data, user):
    assert dispatch.user_in(gateway_text("GUILD_MEMBER_REMOVE", data)) == user


def test_half_an_emoji_stops_no_reading_and_whatever_is_broken_besides_does():
    text = '{"op":0,"t":"MESSAGE_CREATE","s":7,"d":{"guild_id":"5","content":"half \\ud83d of it"}}'
    message, readable = dispatch.read_as_sent(text)
    assert (message.guild_id, message.sequence) == (5, 7)
    assert json.loads(readable)["d"]["content"] == "half � of it"
    assert dispatch.read_as_sent(text[:-1])[0] is None
    whole = gateway_text("MESSAGE_CREATE", {"content": "😀"})
    assert dispatch.read_as_sent(whole)[1] is whole
