"""Where a metric says only that something is wrong, the log says whose sandbox it is, and not by the hundred."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from loguru import logger

from bot import constants
from bot.relay.fairness import FairQueue, InvalidRequests, TooManyRequests
from bot.routing.refusals import RefusalLog

BLUE, RED = uuid4(), uuid4()


@pytest.fixture
def told():
    """The log's lines, as (message, what stands beside it)."""
    lines = []
    number = logger.add(lambda line: lines.append((line.record["message"], line.record["extra"])))
    yield lines
    logger.remove(number)


async def test_the_log_names_a_sandbox_whose_requests_wait_long_and_no_other(told, monkeypatch):
    monkeypatch.setattr(constants, "RELAY_REQUESTS_BURST", 1)
    monkeypatch.setattr(constants, "RELAY_REQUESTS_TOLD_OF", 3)
    queue = FairQueue()
    async with asyncio.TaskGroup() as waiting:
        tasks = [waiting.create_task(queue.turn(sandbox)) for sandbox in [BLUE, *[BLUE] * 5, RED]]
        while queue.waiting() < len(tasks) - 1:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
    facts = {"sandbox": str(BLUE), "requests": 3}
    assert told == [("a sandbox's requests wait for their turn", facts)]


def test_the_log_names_a_sandbox_that_discord_has_refused_too_often_once_a_minute(told, monkeypatch):
    refusals = InvalidRequests()
    for sandbox in [RED, *[BLUE] * constants.RELAY_INVALID_REQUESTS]:
        refusals.count(sandbox)
    refusals.require_few(RED)
    for every_s in (60.0, 60.0, 0.0):
        monkeypatch.setattr(constants, "RELAY_SANDBOX_NAMED_EVERY_S", every_s)
        with pytest.raises(TooManyRequests):
            refusals.require_few(BLUE)
    message = "a sandbox's requests are not passed on, Discord has refused too many"
    assert told == [(message, {"sandbox": str(BLUE)})] * 2


def test_the_log_says_which_streams_refuse_events(told, monkeypatch):
    monkeypatch.setattr(constants, "REFUSED_STREAMS_NAMED", 2)
    refusals = RefusalLog()
    refusals.add("no such stream", "sandbox.1.events")
    for number in (2, 3, 3, 3, 4, 4):
        refusals.add("no such stream", f"sandbox.{number}.events")
    refusals.flush()
    assert [facts["subjects"] for _, facts in told] == [
        {"sandbox.1.events.>": 1},
        {"sandbox.3.events.>": 3, "sandbox.4.events.>": 2},
    ]
