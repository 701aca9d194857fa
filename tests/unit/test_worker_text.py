"""What others have written steers no terminal."""

import json
from datetime import UTC, datetime

import pytest

from sandbox_worker.cli import _as_json, _as_line
from sandbox_worker.events import StoredEvent
from sandbox_worker.text import plain, printable_json, replace_lone_surrogates

ASCII = ["\x1b[2J", "\x7f", "\x00", "\r", "\n"]
WIDER = ["\x9b2J", "\x85", "\u202e", "\u2066", "\u200f", "\u2028", "\U000e0001"]


@pytest.mark.parametrize("steering", ASCII + WIDER, ids=ascii)
def test_no_character_that_steers_a_terminal_is_left(steering):
    text = f"a{steering}ü😀"
    assert plain(text).isprintable()
    assert plain(text).endswith("ü😀")
    written = printable_json(json.dumps({"t": text}, ensure_ascii=False))
    assert written.isprintable()
    assert json.loads(written) == {"t": text}


def test_half_of_a_pair_can_be_printed_and_lines_between_values_stay():
    assert printable_json('{\n  "t": "\ud800"\n}') == '{\n  "t": "\\ud800"\n}'


@pytest.mark.parametrize("steering", ASCII + WIDER, ids=ascii)
def test_a_message_on_discord_steers_no_terminal_of_tail(steering):
    raw = json.dumps({"d": {"content": f"a{steering}b"}}, ensure_ascii=False).encode()
    event = StoredEvent(f"MESSAGE{steering}", 1, datetime.now(UTC), 0, raw, None)
    assert _as_line(event).isprintable()
    assert _as_json(event).isprintable()
    assert json.loads(_as_json(event))["data"] == {"content": f"a{steering}b"}


@pytest.mark.parametrize(
    ("sent", "readable"),
    [
        (r'"half \ud83d of it"', r'"half \ufffd of it"'),
        (r'"\uD83D"', r'"\ufffd"'),
        (r'"\ude00\ud83d"', r'"\ufffd\ufffd"'),
        (r'"\ud83d\ud83d\ude00"', r'"\ufffd\ud83d\ude00"'),
        (r'"\\\ud83d"', r'"\\\ufffd"'),
        (r'"\\ud83d"', r'"\\ud83d"'),
        (r'"\ud83d\ude00 \u00e9 \n"', r'"\ud83d\ude00 \u00e9 \n"'),
        ("\x00{\\", "\x00{\\"),
    ],
)
def test_only_half_of_a_surrogate_pair_is_replaced(sent, readable):
    assert replace_lone_surrogates(sent) == readable
