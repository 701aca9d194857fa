"""What a sandbox may say of itself, and what is refused with a sentence."""

from enum import StrEnum

import pytest

from bot.errors import InvalidInput
from bot.sandboxes.metadata import check_metadata, check_tags, read_tags, write_tags


def check(values=None):
    return check_metadata(values, template="default")


def nested(depth):
    value: object = "core"
    for _ in range(depth):
        value = [value]
    return value


def test_without_anything_it_says_where_it_was_made_and_from_what():
    assert check() == {"tags": {}, "created_from": "api", "template": "default"}


def test_what_is_given_is_kept_and_the_template_is_not_the_callers_to_say():
    given = {"tags": {"team": " red "}, "created_from": "cli", "template": "other", "ticket": {"ids": [1, 2.5, None]}}
    assert check(given) == given | {"tags": {"team": "red"}, "template": "default"}
    assert given["template"] == "other"


def test_texts_of_an_enumeration_are_texts():
    class From(StrEnum):
        CLI = "cli"

    assert check({"created_from": From.CLI, "more": (From.CLI,)})["more"] == ["cli"]


def loop():
    value: list[object] = []
    value.append(value)
    return value


def wide():
    value: object = 1
    for _ in range(6):
        value = [value] * 1000
    return value


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"note": "x" * 4096}, "at most 4096 bytes"),
        ({"note": "ä" * 2048}, "at most 4096 bytes"),
        ({"note": wide()}, "at most 4096 bytes"),
        ({"note": nested(8)}, "nested at most 8 deep"),
        ({"note": loop()}, "nested at most 8 deep"),
        ({"note": "a\x00b"}, "NUL"),
        ({"a\x00b": 1}, "NUL"),
        ({"note": ["\ud83d"]}, "half of a pair"),
        ({"tags": {"team": "\udfff"}}, "half of a pair"),
        ({"note": float("nan")}, "a number that is none in JSON: nan"),
        ({"note": float("-inf")}, "-inf"),
        ({"note": 2**63}, "more than 64 bits"),
        ({"note": {1: 2}}, "a key that is no text"),
        ({"note": {1, 2}}, "“set” is not"),
        ({"note": b"bytes"}, "“bytes” is not"),
        ({"tags": ["team"]}, "names with a text each"),
        ({"tags": "team=red"}, "names with a text each"),
        ({"tags": {"team": 7}}, "text of 1 to 64 characters"),
        ({"tags": {"team": ""}}, "text of 1 to 64 characters"),
        ({"tags": {"team": "x" * 65}}, "text of 1 to 64 characters"),
        ({"tags": {"team": "two\nlines"}}, "on one line"),
        ({"tags": {"team": "a,b"}}, "without a comma"),
        ({"tags": {"": "x"}}, "1 to 32 letters"),
        ({"tags": {"a b": "x"}}, "“a b” is none"),
        ({"tags": {"a=b": "x"}}, "“a=b” is none"),
        ({"tags": {"x" * 33: "x"}}, "1 to 32 letters"),
        ({"tags": {f"tag{number}": "x" for number in range(11)}}, "at most 10 tags, not 11"),
        ({"created_from": "moon"}, "one of discord, cli, api"),
        ({"created_from": ["cli"]}, "one of discord, cli, api"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_a_sentence(values, said):
    with pytest.raises(InvalidInput) as refused:
        check(values)
    assert said in str(refused.value)


def test_the_largest_and_the_deepest_that_fit_are_taken():
    without = len('{"tags":{},"created_from":"api","template":"default","note":""}')
    assert len(check({"note": "x" * (4096 - without)})["note"]) == 4096 - without
    assert check({"note": nested(7)})["note"] == nested(7)
    tags = {f"{number}" * 32: "ä" * 64 for number in range(10)}
    assert check_tags(tags) == tags


def test_tags_are_written_as_they_are_read():
    tags = read_tags(["team=red", " url = https://example.org/?a=b "])
    assert tags == {"team": "red", "url": "https://example.org/?a=b"}
    assert read_tags(write_tags(tags)) == tags
    for texts, said in ((["team"], "like team=red, not “team”"), ([""], "like team=red"), (["a=1", "a=2"], "twice")):
        with pytest.raises(InvalidInput, match=said):
            read_tags(texts)
