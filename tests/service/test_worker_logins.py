"""How the worker kit logs in to NATS, and what it says if there is no place for it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bot.stores.urls import without_login
from sandbox_worker import TooManyConnections
from tests.service.workers import make_place, take


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


class Lines(logging.Handler):
    """Warnings of the kit, as they come."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record):
        self.queue.put_nowait(record.getMessage())


@pytest.fixture
def said():
    handler, logger = Lines(), logging.getLogger("sandbox_worker")
    logger.addHandler(handler)
    yield handler.queue
    logger.removeHandler(handler)


async def test_user_and_password_may_stand_in_variables_of_their_own(place):
    url, token = (
        place.environment["SANDBOX_NATS_URL"],
        place.environment["SANDBOX_NATS_URL"].split(":")[2].split("@")[0],
    )
    elsewhere = {"SANDBOX_NATS_USER": str(place.sandbox.id), "SANDBOX_NATS_PASSWORD": token}
    bare = without_login(url)
    await place.send(content="in variables")
    async with place.worker(SANDBOX_NATS_URL=bare, **elsewhere) as sandbox:
        assert [event.data["content"] for event in await take(sandbox.events(), 1)] == ["in variables"]
    assert token not in repr(sandbox.environment)
    await place.send(content="in the address")
    wrong = dict.fromkeys(elsewhere, "wrong")
    async with place.worker(SANDBOX_NATS_URL=f"{url},{url}", **wrong) as sandbox:
        assert [event.data["content"] for event in await take(sandbox.events(), 1)] == ["in the address"]


async def test_a_worker_too_many_says_so_and_waits_for_a_place(place, said, monkeypatch):
    monkeypatch.setattr(place.manager.access.nats, "_max_connections", 1)
    monkeypatch.setattr("sandbox_worker.constants.REACHABLE_WITHIN_S", 0.5)
    monkeypatch.setattr("sandbox_worker.constants.REFUSED_FOR_S", 0.2)
    await place.send(content="first")
    async with place.worker() as second:
        async with place.worker() as first:
            events = first.events()
            await take(events, 1)
            waiting = asyncio.create_task(take(second.events(), 1))
            async with asyncio.timeout(5):
                line = await said.get()
            assert "too many connections" in line
            assert "isolation.max_connections" in line
            with pytest.raises(TooManyConnections, match="too many connections"):
                await anext(second.tail())
            assert not waiting.done()
        await place.send(content="second")
        assert [event.data["content"] for event in await waiting] == ["second"]
    assert said.empty()
