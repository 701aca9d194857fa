from hypothesis import given
from hypothesis import strategies as st

from bot.sandboxes.model import TRANSITIONS, SandboxStatus, may_become

S = SandboxStatus
ALLOWED = {
    (S.PENDING, S.CREATING),
    (S.CREATING, S.RUNNING),
    (S.CREATING, S.DESTROYING),
    (S.RUNNING, S.EXPIRED),
    (S.RUNNING, S.DESTROYING),
    (S.EXPIRED, S.RUNNING),
    (S.EXPIRED, S.DESTROYING),
    (S.DESTROYING, S.DESTROYED),
}


@given(st.sampled_from(S), st.sampled_from(S))
def test_a_status_may_change_just_as_the_table_says(current, wanted):
    assert may_become(current, wanted) is ((current, wanted) in ALLOWED)


def test_every_status_can_end_destroyed():
    for start in S:
        reachable, frontier = {start}, {start}
        while frontier:
            frontier = {after for before in frontier for after in TRANSITIONS[before]} - reachable
            reachable |= frontier
        assert S.DESTROYED in reachable
