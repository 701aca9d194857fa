import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bot.routing.table import Route, RouteTable

GUILDS = st.integers(min_value=1, max_value=4)


def test_a_route_ends_at_its_expiry_to_the_moment():
    table = RouteTable()
    table.replace(table.next_version(), {1: Route("a.", 100.0)})
    assert table.lookup(1, 99.999) is not None
    assert table.lookup(1, 100.0) is None
    assert table.lookup(2, 0.0) is None


def test_a_read_that_began_before_an_unbind_does_not_revive_the_route():
    table = RouteTable()
    table.replace(table.next_version(), {1: Route("a.", 100.0)})
    slow_whole, slow_single = table.next_version(), table.next_version()
    table.update(table.next_version(), [1], {})
    table.replace(slow_whole, {1: Route("a.", 100.0), 2: Route("b.", 100.0)})
    table.update(slow_single, [1], {1: Route("a.", 100.0)})
    assert table.lookup(1, 0.0) is None
    assert table.lookup(2, 0.0) is not None


def test_an_older_whole_read_does_not_replace_a_newer_one():
    table = RouteTable()
    slow, quick = table.next_version(), table.next_version()
    table.replace(quick, {2: Route("new.", 100.0)})
    table.replace(slow, {1: Route("old.", 100.0)})
    assert (table.lookup(1, 0.0), table.lookup(2, 0.0)) == (None, Route("new.", 100.0))


class Reads(RuleBasedStateMachine):
    """Reads of a changing truth, which end in any order. What was read last of a guild has to be in the table."""

    def __init__(self):
        super().__init__()
        self.table = RouteTable()
        self.truth = {}
        self.under_way = []
        self.newest = {}
        self.version = 0

    @rule(guild=GUILDS, bound=st.booleans())
    def change(self, guild, bound):
        self.version += 1
        if bound:
            self.truth[guild] = Route(f"{self.version}.", 100.0)
        else:
            self.truth.pop(guild, None)

    @rule(guilds=st.none() | st.sets(GUILDS))
    def begin(self, guilds):
        self.under_way.append((self.table.next_version(), guilds, dict(self.truth)))

    @rule(index=st.integers(min_value=0, max_value=9))
    def end(self, index):
        if not self.under_way:
            return
        version, guilds, seen = self.under_way.pop(index % len(self.under_way))
        if guilds is None:
            self.table.replace(version, seen)
        else:
            self.table.update(version, guilds, {guild: seen[guild] for guild in guilds if guild in seen})
        for guild in guilds if guilds is not None else range(1, 5):
            if version > self.newest.get(guild, (0, None))[0]:
                self.newest[guild] = (version, seen.get(guild))

    @invariant()
    def the_newest_read_counts(self):
        for guild in range(1, 5):
            assert self.table.lookup(guild, 0.0) == self.newest.get(guild, (0, None))[1]


TestReads = Reads.TestCase


@given(st.dictionaries(GUILDS, st.floats(min_value=0, max_value=10)), st.floats(min_value=0, max_value=10), GUILDS)
def test_a_lookup_finds_what_is_open_and_nothing_else(expiries, now, guild):
    table = RouteTable()
    table.replace(table.next_version(), {key: Route(f"{key}.", expiry) for key, expiry in expiries.items()})
    found = table.lookup(guild, now)
    assert (found is not None) == (guild in expiries and now < expiries[guild])


@pytest.mark.parametrize("count", [100_000])
def test_100_000_routes_are_small(count):
    routes = {10**17 + number: Route(f"sandbox.{number:036d}.events.", float(number)) for number in range(count)}
    table = RouteTable()
    table.replace(table.next_version(), routes)
    route = routes[10**17]
    each = sum(map(sys.getsizeof, (10**17, route, route.prefix, route.expires_at)))
    size = sys.getsizeof(routes) + count * each
    assert len(table) == count
    assert size < 40_000_000
