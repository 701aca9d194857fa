"""How far a sandbox's bot on the relay has come, as other processes find it."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from bot.relay.gateway.numbering import Numbering
from bot.relay.gateway.sessions import Session, Sessions


@pytest.fixture
def clock(monkeypatch):
    """Of what settles: moved by hand."""
    now = [0.0]
    monkeypatch.setattr("bot.settled.monotonic", lambda: now[0])
    return now


async def test_a_position_is_written_when_its_event_is_on_the_streams_disk(redis_client, clock):
    session = Session(uuid4(), datetime.now(UTC), Numbering(0, 1, 0), 0, 0, 1, {})
    sessions, found = Sessions(redis_client, settled_after_s=5), []
    for clock[0], sequence in ((0, 10), (3, 20), (5, 20), (7, 30), (8, 30), (20, 30)):
        sessions.note_position(session, sequence)
        await sessions.write()
        written = await Sessions(redis_client).position(session.position_key)
        found.append(written and written.sequence)
    assert found == [None, None, 10, 10, 20, 30]
    assert (await sessions.position(session.position_key)).sequence == 30
