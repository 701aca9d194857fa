"""What bounds the cost of logins to NATS, without a server."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
from loguru import logger

from bot import constants
from bot.stores.nats_logins import BatchedLookUp, Login, LoginLimits, RecentLogins, Unanswered


def test_a_sandbox_that_logs_in_without_end_takes_nobody_elses_place(monkeypatch):
    monkeypatch.setattr(constants, "NATS_MOST_LOGINS", 3)
    limits, one, other = LoginLimits(), uuid.uuid4(), uuid.uuid4()
    assert [limits.admit(one) for _ in range(5)] == [True] * 3 + [False] * 2
    assert limits.admit(other)


def test_counting_begins_anew_after_a_while(monkeypatch):
    monkeypatch.setattr(constants, "NATS_MOST_LOGINS", 1)
    monkeypatch.setattr(constants, "NATS_LOGINS_COUNTED_FOR_S", 0)
    limits, sandbox_id = LoginLimits(), uuid.uuid4()
    assert all(limits.admit(sandbox_id) for _ in range(3))


def test_strangers_are_refused_so_often_and_then_not_answered(monkeypatch):
    monkeypatch.setattr(constants, "NATS_MOST_REFUSALS", 2)
    limits = LoginLimits()
    assert [limits.may_refuse() for _ in range(3)] == [True, True, False]


def test_a_barred_sandbox_is_not_admitted_and_others_are():
    limits, sandbox_id = LoginLimits(), uuid.uuid4()
    limits.bars.bar(sandbox_id)
    assert not limits.admit(sandbox_id)
    assert limits.admit(uuid.uuid4())


def test_who_was_barred_lately_is_barred_twice_as_long(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("bot.stores.bars.time.monotonic", lambda: now)
    limits, sandbox_id = LoginLimits(), uuid.uuid4()
    for seconds in (5, 10, 20):
        limits.bars.bar(sandbox_id)
        now += seconds - 0.1
        assert not limits.admit(sandbox_id)
        now += 0.1
        assert limits.admit(sandbox_id)
    now += constants.FLOOD_BARS_LONGEST_S
    limits.bars.bar(sandbox_id)
    now += constants.FLOOD_BARS_FIRST_S
    assert limits.admit(sandbox_id)


async def test_what_waits_while_a_question_is_out_is_asked_with_the_next_one():
    known, strangers = uuid.uuid4(), [uuid.uuid4() for _ in range(500)]
    login = Login("digest", datetime(2030, 1, 1, tzinfo=UTC))
    asked, may_answer = [], asyncio.Event()

    async def look_up(sandbox_ids):
        asked.append(set(sandbox_ids))
        await may_answer.wait()
        return {known: login}

    lookup = BatchedLookUp(look_up)
    first = asyncio.create_task(lookup.get(strangers[0]))
    while not asked:
        await asyncio.sleep(0)
    others = [asyncio.create_task(lookup.get(sandbox_id)) for sandbox_id in (*strangers, known)]
    await asyncio.sleep(0)
    may_answer.set()
    assert await first is None
    assert await asyncio.gather(*others) == [None] * 500 + [login]
    assert asked == [{strangers[0]}, {*strangers, known}]  # the first again, for it may have changed


async def test_whoever_waits_hears_why_there_is_no_answer():
    async def fail(_):
        raise OSError("away")

    lookup = BatchedLookUp(fail)
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await lookup.get(uuid.uuid4())


def test_logins_without_an_answer_are_told_of_once_and_their_end_when_it_is_sure(monkeypatch):
    now, told = 1000.0, []
    monkeypatch.setattr("bot.stores.nats_logins.time.monotonic", lambda: now)
    sink = logger.add(lambda message: told.append(message.record["level"].name), level="INFO")
    unanswered = Unanswered()
    for _ in range(100):
        unanswered.note(OSError("PostgreSQL is away"))
        unanswered.over()
    assert told == ["WARNING"]
    now += constants.NATS_LOGINS_COUNTED_FOR_S + 1
    for _ in range(2):
        unanswered.over()
    logger.remove(sink)
    assert told == ["WARNING", "INFO"]


def test_a_login_counts_from_the_question_on_until_its_server_surely_lists_it(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("bot.stores.nats_logins.time.monotonic", lambda: now)
    recent, sandbox_id = RecentLogins(), uuid.uuid4()
    with recent.count(sandbox_id, ("server", 1)) as earlier:
        assert earlier == set()
        now += 3 * constants.NATS_LOGIN_UNLISTED_S  # a far PostgreSQL is asked meanwhile
        with recent.count(sandbox_id, ("server", 2)) as earlier:
            assert earlier == {("server", 1)}
    now += constants.NATS_LOGIN_UNLISTED_S / 2
    with recent.count(sandbox_id, ("server", 3)) as earlier:
        assert earlier == {("server", 1), ("server", 2)}
    now += constants.NATS_LOGIN_UNLISTED_S / 2
    with recent.count(sandbox_id, ("server", 4)) as earlier:
        assert earlier == {("server", 3)}


def test_a_login_that_is_refused_does_not_count_whoever_has_asked_meanwhile(monkeypatch):
    recent, sandbox_id = RecentLogins(), uuid.uuid4()
    with pytest.raises(OSError, match="away"), recent.count(sandbox_id, ("server", 1)):  # noqa: PT012
        with recent.count(sandbox_id, ("server", 2)):
            pass
        raise OSError("away")
    with recent.count(sandbox_id, ("server", 3)) as earlier:
        assert earlier == {("server", 2)}
