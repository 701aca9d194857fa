"""What the bot does for one sandbox by itself is logged with that sandbox's id, also deep down."""

from __future__ import annotations

import json
from datetime import timedelta

from loguru import logger

from bot import log
from bot.sandboxes.lifecycle.notices import NoticeDispatcher, Outcome
from bot.stores.nats import StreamStore
from tests.service.conftest import ADA, STREAM_LIMITS

HOUR = timedelta(hours=1)


class TellingStreams(StreamStore):
    async def delete(self, sandbox_id):
        logger.info("deleting")
        await super().delete(sandbox_id)


async def deliver(*_):
    logger.info("delivering")
    return Outcome.SENT


async def test_an_end_and_a_notice_are_of_their_sandbox(make_manager, nats_client, age, monkeypatch):
    manager = make_manager(streams=TellingStreams(nats_client, STREAM_LIMITS))
    mark_expired = manager.mark_expired

    async def mark(sandbox_id):
        logger.info("marking")
        return await mark_expired(sandbox_id)

    monkeypatch.setattr(manager, "mark_expired", mark)
    reaper = manager.make_reaper(warn_before=HOUR, grace=HOUR, stuck_after=HOUR)
    ending = [await manager.create(ADA, ttl=HOUR) for _ in range(2)]
    for sandbox in ending:
        await age(sandbox, 10 * HOUR)
    lines: list[str] = []
    monkeypatch.setattr(log, "_write", lines.append)
    log.configure(json_lines=True)
    await reaper.sweep()
    await NoticeDispatcher(manager.outbox, manager.get_by_id, deliver).dispatch([])
    logger.remove()
    records = [json.loads(line)["record"] for line in lines]
    for message in ("marking", "deleting", "delivering"):
        told = [record["extra"]["sandbox"] for record in records if record["message"] == message]
        assert sorted(told) == sorted(str(sandbox.id) for sandbox in ending), message
