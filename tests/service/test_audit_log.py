"""The audit log as a whole is written out, and kept for its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import constants
from bot.sandboxes.audit_log import AuditLog
from tests.service.conftest import ADA

DAYS = timedelta(days=1)


@pytest.fixture
def log(pool, monkeypatch):
    monkeypatch.setattr(constants, "AUDIT_ENTRIES_AT_ONCE", 2)
    return AuditLog(pool)


async def events(pages):
    return [(entry.sandbox_id, entry.event_type) async for page in pages for entry in page]


async def age(pool, sandbox, days):
    query = "UPDATE sandbox_audit_log SET created_at = created_at - $2 * interval '1 day' WHERE sandbox_id = $1"
    await pool.execute(query, sandbox.id, days)


async def test_it_is_read_from_the_oldest_entry_on_of_one_sandbox_or_of_all(manager, log, pool):
    blue, red = await manager.create(ADA, name="blue"), await manager.create(ADA, name="red")
    await manager.extend_ttl(ADA, blue.id, timedelta(hours=1))
    whole = await events(log.read())
    assert whole[0] == (blue.id, "sandbox_created")
    assert whole[-1] == (blue.id, "ttl_extended")
    assert await events(log.read(red.id)) == [entry for entry in whole if entry[0] == red.id]
    await age(pool, blue, 2)
    assert await events(log.read(since=DAYS)) == await events(log.read(red.id))


async def test_what_is_older_is_deleted_but_of_sandboxes_that_have_not_ended(manager, log, pool):
    ended, fresh, lives = [await manager.create(ADA, name=name) for name in ("ended", "fresh", "lives")]
    for sandbox in (ended, fresh):
        await manager.destroy(ADA, sandbox.id)
    await age(pool, ended, 91)
    await age(pool, lives, 91)
    old = await events(log.read(ended.id))
    assert len(old) > 2
    assert await log.expire(90 * DAYS) == len(old)
    assert {sandbox_id for sandbox_id, _ in await events(log.read())} == {fresh.id, lives.id}
    assert await log.expire(90 * DAYS) == 0
