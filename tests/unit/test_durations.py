from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.durations import format_duration, parse_duration
from bot.errors import InvalidInput

TEN_YEARS_S = 3650 * 86_400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("45m", timedelta(minutes=45)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("1d12h", timedelta(days=1, hours=12)),
        (" 2H 30M ", timedelta(hours=2, minutes=30)),
    ],
)
def test_a_duration_is_read_as_people_write_it(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "-5h", "5", "h", "1h1h", "1.5h", "٣h", "5 weeks", "99999d", "1h;rm"])
def test_what_is_no_duration_is_refused_with_how_to_write_one(text):
    with pytest.raises(InvalidInput):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=TEN_YEARS_S))
def test_every_duration_survives_being_written_and_read(seconds):
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.text(max_size=30))
def test_any_text_gives_a_duration_or_a_clear_refusal(text):
    with suppress(InvalidInput):
        assert parse_duration(text) > timedelta(0)
