"""The local Discord's rules hold against whatever is thrown at them."""

from __future__ import annotations

import copy
import functools
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from local_discord import wire
from local_discord.errors import ApiError
from local_discord.gateway.compression import compression
from local_discord.gateway.sessions import Session
from local_discord.http import forms
from local_discord.rules import command_rules, message_rules
from local_discord.snowflakes import Snowflakes

MESSAGE: dict[str, Any] = {
    "content": "x",
    "flags": 4,
    "nonce": "1",
    "allowed_mentions": {"parse": ["roles"], "users": ["1"]},
    "message_reference": {"message_id": "1", "channel_id": 2},
    "attachments": [{"id": "0", "filename": "a.txt", "description": "b"}],
    "embeds": [
        {
            "title": "x",
            "color": 1,
            "footer": {"text": "x"},
            "author": {"name": "x"},
            "fields": [{"name": "x", "value": "x"}],
        }
    ],
    "components": [
        {"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "a"}]},
        {"type": 1, "components": [{"type": 2, "style": 5, "label": "x", "url": "http://x"}]},
        {"type": 1, "components": [{"type": 3, "custom_id": "b", "options": [{"label": "x", "value": "x"}]}]},
    ],
}
COMMAND: dict[str, Any] = {
    "type": 1,
    "name": "x",
    "description": "x",
    "name_localizations": {"de": "x"},
    "description_localizations": {"de": "x"},
    "default_member_permissions": "8",
    "contexts": [0],
    "integration_types": [0],
    "options": [
        {
            "type": 2,
            "name": "x",
            "description": "x",
            "options": [
                {
                    "type": 1,
                    "name": "x",
                    "description": "x",
                    "options": [
                        {
                            "type": 3,
                            "name": "a",
                            "description": "x",
                            "required": True,
                            "min_length": 1,
                            "max_length": 2,
                        },
                        {"type": 4, "name": "b", "description": "x", "choices": [{"name": "x", "value": 1}]},
                        {"type": 3, "name": "c", "description": "x", "autocomplete": True},
                    ],
                }
            ],
        }
    ],
}
MODAL: dict[str, Any] = {
    "title": "x",
    "custom_id": "x",
    "components": [{"type": 1, "components": [{"type": 4, "custom_id": "a", "label": "x", "style": 1}]}],
}
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 3, 99, 1.5, "", "7", "x" * 5000, [], [[]], {}, {"a": []}, [None], ["x"]]
)


def broken(form: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The form with something else in up to three places."""
    places = list(paths(form))
    changes = st.lists(st.tuples(st.sampled_from(places), JUNK), min_size=1, max_size=3)
    return changes.map(lambda chosen: changed(form, chosen))


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


def changed(form: dict[str, Any], changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    copied = copy.deepcopy(form)
    for path, junk in changes:
        with suppress(KeyError, IndexError, TypeError):  # an earlier change may have removed the place
            functools.reduce(lambda node, key: node[key], path[:-1], copied)[path[-1]] = junk
    return copied


def test_the_forms_to_be_broken_are_whole():
    forms.draft(MESSAGE, {0: ("a.txt", b"")}, Snowflakes())
    command_rules.check_all([COMMAND])
    message_rules.check_modal(MODAL)


@given(broken(MESSAGE))
@settings(max_examples=200, deadline=None)
def test_a_broken_message_never_breaks_the_rules_themselves(form: dict[str, Any]):
    with suppress(ApiError):
        forms.draft(form, {0: ("a.txt", b"")}, Snowflakes())


@given(broken(COMMAND))
@settings(max_examples=200, deadline=None)
def test_a_broken_command_never_breaks_the_rules_themselves(form: dict[str, Any]):
    with suppress(ApiError):
        command_rules.check_all([form])


@given(broken(MODAL))
@settings(max_examples=100, deadline=None)
def test_a_broken_modal_never_breaks_the_rules_themselves(form: dict[str, Any]):
    with suppress(ApiError):
        message_rules.check_modal(form)


def test_ids_only_grow_and_lie_on_the_shard_they_are_asked_for():
    snowflakes = Snowflakes()
    ids = [snowflakes.next() for _ in range(1000)]
    ids += [snowflakes.next_on_shard(shard, 5) for shard in (3, 0, 4, 4)]
    assert ids == sorted(set(ids))
    assert [(number >> 22) % 5 for number in ids[-4:]] == [3, 0, 4, 4]
    assert all(17 <= len(str(number)) <= 20 for number in ids)


def test_a_session_replays_only_what_it_has_kept():
    session = Session(0, 1, 0, kept_events=10_000)
    for number in range(10_005):
        session.send("SOMETHING_NEW", {"number": number})
    missed = session.missed_since(10_000)
    assert missed is not None
    assert len(missed) == 5
    assert session.missed_since(session.sequence) == []
    assert session.missed_since(1) is None


def test_each_message_can_be_read_when_it_is_sent_whatever_the_compression():
    inflate, stream = zlib.decompressobj(), zstandard.ZstdDecompressor().decompressobj()
    for method, decompress in (("zlib-stream", inflate.decompress), ("zstd-stream", stream.decompress)):
        compress = compression(method)
        assert compress is not None
        assert [decompress(compress(text)) for text in (b"one", b"two" * 1000)] == [b"one", b"two" * 1000]
    assert compression("brotli") is None


def test_json_is_compact_and_keeps_every_digit_and_letter():
    data = {"id": 2**63 + 1, "content": "ünïcode 👋", "none": None}
    assert wire.encode(data) == '{"id":9223372036854775809,"content":"ünïcode 👋","none":null}'.encode()
    assert wire.decode(wire.encode(data)) == data
    assert wire.encode(wire.decode(b'"half a pair: \\ud83d"')) == b'"half a pair: \\ud83d"'


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "{", b"\xff", "{}".encode("utf-16"), "[" * 100_000])
def test_what_is_no_json_is_a_value_error(text: str | bytes):
    with pytest.raises(ValueError):  # noqa: PT011
        wire.decode(text)
