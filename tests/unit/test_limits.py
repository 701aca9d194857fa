from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.errors import InvalidInput
from bot.sandboxes.limits import Limits
from bot.sandboxes.model import Sandbox, SandboxStatus

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
LIMITS = Limits(max_guilds=2)
hours = st.integers(min_value=1, max_value=400).map(lambda number: timedelta(hours=number))


def sandbox(*, created_at=NOW, expires_at=NOW + timedelta(hours=24)):
    return Sandbox(uuid4(), "blue", 10**17, None, SandboxStatus.RUNNING, "sandbox_x", created_at, expires_at, None, ())


@given(age=hours, left=st.integers(min_value=-50, max_value=200), by=hours)
def test_an_extension_moves_the_expiry_ahead_and_never_past_the_longest_life(age, left, by):
    created_at = NOW - age
    before = NOW + timedelta(hours=left)
    assume(created_at < before)
    try:
        after, capped = LIMITS.extended(sandbox(created_at=created_at, expires_at=before), by, NOW)
    except InvalidInput:
        assert created_at + LIMITS.max_ttl <= max(before, NOW)
        return
    assert after > max(before, NOW)
    assert after <= created_at + LIMITS.max_ttl
    assert capped is (max(before, NOW) + by > created_at + LIMITS.max_ttl)


@pytest.mark.parametrize("by", [timedelta(0), timedelta(hours=-100)])
def test_an_extension_by_nothing_or_less_is_refused(by):
    with pytest.raises(InvalidInput):
        LIMITS.extended(sandbox(), by, NOW)


def test_a_time_to_live_is_the_default_or_within_the_limits():
    assert LIMITS.check_ttl(None) == timedelta(hours=24)
    assert LIMITS.check_ttl(timedelta(hours=168)) == timedelta(hours=168)
    with pytest.raises(InvalidInput, match="at most 7d"):
        LIMITS.check_ttl(timedelta(hours=169))
    with pytest.raises(InvalidInput):
        LIMITS.check_ttl(timedelta(0))


def test_a_name_is_as_long_as_the_operator_wants_it():
    limits = Limits(min_name_length=12, max_name_length=20)
    assert limits.check_name(" Twelve-chars ") == "twelve-chars"
    for name in ("eleven-char", "twenty-one-characters"):
        with pytest.raises(InvalidInput, match="12 to 20"):
            limits.check_name(name)


@given(st.text(max_size=60), st.integers(3, 40), st.integers(8, 40))
def test_a_made_up_name_is_as_long_as_the_operator_wants_it(owner, least, most):
    assume(least <= most)
    limits = Limits(min_name_length=least, max_name_length=most)
    assert limits.check_name(limits.default_name(owner))


def test_guilds_are_counted_once_each_and_limited():
    first, second, third = 10**17, 10**17 + 1, 10**17 + 2
    assert LIMITS.check_guilds([first, first, second]) == [first, second]
    with pytest.raises(InvalidInput, match="at most 2"):
        LIMITS.check_guilds([first, second, third])


def test_a_description_is_one_line_of_at_most_200_characters():
    assert LIMITS.check_description("  two\nlines\x00 ") == "two lines"
    assert LIMITS.check_description("   ") is None
    with pytest.raises(InvalidInput, match="200"):
        LIMITS.check_description("x" * 201)
