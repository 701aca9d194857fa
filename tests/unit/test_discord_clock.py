"""A deadline by Discord's clock, whatever ours shows."""

import pytest

from bot import constants
from bot.routing.discord_clock import DiscordClock


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def clock(now):
    return DiscordClock(lambda: now[0])


def test_nothing_is_known_before_something_has_come(clock):
    assert clock.now() is None


def test_what_came_the_fastest_tells_discords_time_whatever_ours_shows(clock, now):
    for travelled in (0.3, 0.1, 2.0):  # the last one waited for a RESUME
        now[0] += 10
        clock.observe(7_200_000 + now[0] - travelled)
    assert clock.now() == pytest.approx(7_200_000 + now[0] - 0.1)


def test_an_offset_that_has_grown_is_followed_when_the_window_is_over(clock, now):
    clock.observe(now[0])
    for _ in range(3):
        now[0] += constants.DISCORD_CLOCK_WINDOW_S + 1
        clock.observe(now[0] - 0.5)  # Discord's clock has fallen behind ours since
    assert clock.now() == pytest.approx(now[0] - 0.5)
