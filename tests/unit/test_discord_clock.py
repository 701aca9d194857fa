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


def test_what_came_the_fastest_tells_discords_time(clock, now):
    for travelled in (0.3, 0.1, 2.0):  # the last one waited for a RESUME
        now[0] += 10
        clock.observe(now[0] - travelled + 7_200_000)
    assert clock.monotonic_at(7_201_030 - 2.0) == pytest.approx(1030 - 2.0 + 0.1)


def test_an_offset_that_has_grown_is_followed_when_the_window_is_over(clock, now):
    clock.observe(now[0])
    for _ in range(3):
        now[0] += constants.DISCORD_CLOCK_WINDOW_S + 1
        clock.observe(now[0] - 0.5)  # Discord's clock has fallen behind ours since
    assert clock.monotonic_at(50) == pytest.approx(50.5)
