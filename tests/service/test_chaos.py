import pytest

from tests import chaos


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_random_operations_kills_and_outages_leave_nothing_stuck_or_behind():
    outcomes = await chaos.run(operations=40, seed=7, seconds=30)
    assert sum(outcomes.values()) >= 40
