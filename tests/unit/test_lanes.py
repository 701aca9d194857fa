"""How streams share the window, how one that takes nothing is tried, and what becomes of what is too much for it."""

import pytest

from bot import constants
from bot.clock import elapsed
from bot.routing.backlog import Backlog
from bot.routing.lanes import Lane

PATIENCE_S = 2.0


@pytest.fixture(autouse=True)
def room(monkeypatch):
    """For ten frames of a stream that is set apart, and twenty of all of them."""
    monkeypatch.setattr(constants, "LANE_BYTES", 10 * len(frame(0)))
    monkeypatch.setattr(constants, "LANES_BYTES", 20 * len(frame(0)))


def frame(number):
    return b"PUB x %06d\r\n\r\n" % number


def marker(lane, gap):
    return b"PUB gap %d\r\n\r\n" % gap.events


@pytest.fixture
def backlog():
    return Backlog(30, marker)


def publish(backlog, prefix, count=1):
    """As the publisher does."""
    lane = backlog.find_lane(f"{prefix}.EVENT")
    for _ in range(count):
        if not backlog.loses(lane):
            backlog.keep(lane, backlog.last_number + 1, frame(backlog.last_number + 1))
    return lane


def hold_apart(backlog, lane):
    lane.hold_back(0.0, backlog.last_number)
    backlog.set_apart(lane)


def store(backlog, lane, count):
    for number in list(lane.pending)[:count]:
        backlog.complete(number)


def test_a_stream_that_takes_nothing_is_tried_with_one_event_then_with_twice_as_many_each_time(backlog):
    lane = publish(backlog, "dead", 20)
    lane.hold_back(0.0, backlog.last_number)
    lane.try_again(0.1)
    sent = [list(lane.unsent)]
    while not lane.is_all_sent:
        store(backlog, lane, len(sent[-1]))
        lane.go_on(0.2, PATIENCE_S)
        sent.append(list(lane.unsent))
    assert [len(burst) for burst in sent] == [1, 2, 4, 8, 5]
    assert [event for burst in sent for event in burst] == list(map(frame, range(1, 21)))


def test_nothing_more_is_sent_before_the_burst_is_stored(backlog):
    lane = publish(backlog, "dead", 20)
    lane.hold_back(0.0, backlog.last_number)
    lane.try_again(0.1)
    store(backlog, lane, 1)
    lane.go_on(0.2, PATIENCE_S)
    lane.unsent.clear()  # they are under way
    store(backlog, lane, 1)
    assert lane.go_on(0.3, PATIENCE_S) == 0
    assert lane.unsent == []


def test_a_burst_that_fails_leads_back_to_one_event(backlog):
    lane = publish(backlog, "dead", 20)
    lane.hold_back(0.0, backlog.last_number)
    lane.try_again(0.1)
    store(backlog, lane, 1)
    lane.go_on(0.2, PATIENCE_S)
    assert lane.hold_back(0.3, backlog.last_number)
    assert not lane.hold_back(0.3, backlog.last_number)
    assert lane.unsent == []
    lane.try_again(0.4)
    assert lane.unsent == [frame(2)]


def test_the_pause_between_tries_doubles_up_to_the_longest():
    lane, now, pauses = Lane("dead"), 0.0, []
    lane.hold_back(now, 0)
    for _ in range(6):
        pauses.append(lane.recovery.due_at - now)
        now = lane.recovery.due_at
        lane.try_again(now)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_a_stream_is_silent_if_its_oldest_event_stays_the_same(backlog):
    lane = publish(backlog, "slow", 3)
    assert not lane.is_silent(10.0, PATIENCE_S)
    assert not lane.is_silent(11.9, PATIENCE_S)
    store(backlog, lane, 1)
    assert not lane.is_silent(12.1, PATIENCE_S)
    assert lane.is_silent(14.2, PATIENCE_S)
    store(backlog, lane, 2)
    assert not lane.is_silent(99.0, PATIENCE_S)


def test_what_waits_for_a_dead_stream_takes_no_room_in_the_window_until_it_recovers(backlog):
    dead = publish(backlog, "dead", 5)
    publish(backlog, "live", 25)
    assert backlog.is_full
    hold_apart(backlog, dead)
    assert (backlog.is_full, len(backlog), backlog.oldest_in_window) == (False, 30, 6)
    publish(backlog, "live", 4)
    store(backlog, dead, 2)
    assert not backlog.is_full
    backlog.recover(dead)
    assert (backlog.is_full, backlog.oldest_in_window) == (True, 3)


def test_what_is_too_much_for_a_dead_stream_is_lost_and_a_marker_stands_for_it_in_its_place(backlog):
    dead, before = publish(backlog, "dead", 4), elapsed()
    hold_apart(backlog, dead)
    publish(backlog, "dead", 20)
    assert (len(dead.pending), dead.gap.events) == (11, 14)
    assert before <= dead.gap.since <= dead.gap.until <= elapsed()
    backlog.close_gap(dead)
    assert dead.gap is not None, "at the brim there would be a gap for each event"
    store(backlog, dead, 6)
    backlog.close_gap(dead)
    publish(backlog, "dead", 2)
    assert list(dead.pending.values()) == [*map(frame, range(7, 11)), b"PUB gap 14\r\n\r\n", frame(12), frame(13)]


def test_no_position_passes_what_is_lost_before_its_marker_is_stored(backlog):
    dead = publish(backlog, "dead", 4)
    hold_apart(backlog, dead)
    publish(backlog, "dead", 20)
    live = publish(backlog, "live", 5)
    store(backlog, live, 5)
    assert backlog.low_water_mark == 0
    store(backlog, dead, 10)
    assert backlog.low_water_mark == 10
    backlog.close_gap(dead)
    store(backlog, dead, 1)
    assert backlog.low_water_mark == backlog.last_number == 16


def test_a_stream_that_is_not_known_to_be_alone_in_its_trouble_loses_nothing(backlog):
    lane = publish(backlog, "dead", 4)
    lane.hold_back(0.0, backlog.last_number)
    publish(backlog, "dead", 40)
    assert (len(lane.pending), lane.gap, backlog.is_full) == (44, None, True)


def test_all_dead_streams_together_keep_no_more_than_they_may(backlog):
    lanes = [publish(backlog, f"dead {number}") for number in range(5)]
    for lane in lanes:
        hold_apart(backlog, lane)
        publish(backlog, lane.prefix, 9)
    kept = [len(lane.pending) - (lane.gap is not None) for lane in lanes]
    assert kept == [10, 10, 1, 1, 1]
