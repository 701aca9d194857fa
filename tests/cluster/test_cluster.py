"""`make cluster` in short: one of each kind of server is lost, everything goes on, and nothing comes twice."""

import pytest

from tests.cluster.events import Account
from tests.cluster.faults import Step, failover, kill, named, promotion, together
from tests.cluster.run import Run
from tests.cluster.scene import Order

ONE_OF_EACH = Step("one of each", together(kill(named("nats-1")), promotion, failover), 3.0)


@pytest.mark.timeout(180)  # ten servers and two bots are started
async def test_one_of_each_kind_of_server_is_lost_and_no_event_nor_command_and_nobody_is_let_in(tmp_path):
    running = Run(Order(tmp_path, tmp_path, rate=200, relays=0), [ONE_OF_EACH])
    rows = [row async for row in running.run()]
    assert [row for row in rows if not row.is_right] == []
    assert rows[0].events > 200
    assert rows[0].commands > 5
    assert rows[0].dead_s is not None


def test_what_is_lost_doubled_and_out_of_order_is_counted():
    account = Account()
    for number in (0, 1, 3, 2, 3, 6):
        account.note(number)
    assert (account.lost(0, 7), account.doubled, account.out_of_order) == (2, 1, 1)
