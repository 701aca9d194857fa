"""Whose connections to NATS are ended where nobody could be asked when their credentials were."""

import time
from types import SimpleNamespace
from uuid import UUID

import pytest

from bot.stores.nats_connection_watch import ConnectionWatch
from bot.stores.nats_connections import Connection, LiveConnection

BLUE = UUID(int=1)
ONE = Connection("server", 1)


class Connections:
    """Says at each look what it was given for it, the last again and again; times are seconds ago."""

    servers = None

    def __init__(self, *looks):
        self._looks, self.looks, self.ended = looks, 0, []

    async def list_live(self, _):
        now = time.monotonic()
        after, before = self._looks[min(self.looks, len(self._looks) - 1)]
        self.looks += 1
        return [] if self.ended else [LiveConnection(ONE, BLUE, now - after, now - before)]

    async def disconnect(self, connections):
        self.ended += connections


@pytest.mark.parametrize(
    ("looks", "age_s", "is_ended", "count"),
    [
        ([(9.0, 9.0)], 5.0, True, 2),
        ([(1.0, 1.0)], 5.0, False, 1),
        ([(7.0, 3.0), (4.8, 4.7)], 5.0, False, 2),
        ([(7.0, 3.0), (5.3, 5.2)], 5.0, True, 3),
        ([(1.0, 1.0)], None, True, 2),
        ([(9.0, 9.0)], float("inf"), False, 1),
    ],
    ids=["older", "newer", "newer after a slow answer", "older after a slow answer", "none counts", "clock set back"],
)
async def test_who_began_before_what_counts_now_is_ended_and_nobody_else(looks, age_s, is_ended, count):
    connections = Connections(*looks)

    async def read_ages(_):
        return {BLUE: age_s}

    await ConnectionWatch(connections, read_ages)._end_outdated(SimpleNamespace(name="n"))
    assert (connections.ended == [ONE], connections.looks) == (is_ended, count)
