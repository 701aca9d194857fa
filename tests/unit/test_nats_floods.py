from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bot.stores.bars import Bars
from bot.stores.nats_connections import Connection, Traffic
from bot.stores.nats_floods import FloodWatch

ID = UUID("1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d")
LOOK_S = 0.5


class Connections:
    """One worker, which sends so many messages a second."""

    def __init__(self, rate):
        self._rate, self._looks = rate, 0
        self.ended = 0

    async def list_traffic(self):
        self._looks += 1
        began_at = datetime(2026, 1, 1, tzinfo=UTC)
        at = began_at + timedelta(seconds=LOOK_S * self._looks)
        sent = round(self._rate * LOOK_S * self._looks)
        return {Connection("server", 1): Traffic(str(ID), began_at, at, sent, sent)}

    async def disconnect(self, connection):
        self.ended += 1


@pytest.mark.parametrize(
    ("accepted", "is_barred"), [([0, 7_500], False), ([90_000, 7_500], False), ([90_000, 0], True)]
)
async def test_acknowledgements_on_a_consumer_that_was_made_again_are_no_flood(monkeypatch, accepted, is_barred):
    monkeypatch.setattr("bot.constants.FLOODS_LOOKED_FOR_EVERY_S", LOOK_S)
    connections = Connections(rate=30_000)
    watch = FloodWatch(connections, Bars[UUID](5.0, 300.0))
    counts = iter(accepted)

    async def count(_):
        return next(counts)

    watch.count_accepted = count
    for _ in accepted:
        await watch.look()
    assert bool(connections.ended) is is_barred
