from collections import Counter
from datetime import timedelta

import pytest

from bot import constants
from bot.sandboxes.lifecycle.notices import NoticeDispatcher, NoticeKind, Outcome
from tests.service.conftest import ADA, ADMIN

HOUR = timedelta(hours=1)


@pytest.fixture
def mailbox():
    return []


@pytest.fixture
def make_dispatcher(manager, outbox, mailbox):
    def make(outcome=Outcome.SENT):
        async def deliver(delivery, sandbox):
            mailbox.append((delivery.kind, delivery.recipient_id, sandbox.name))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return NoticeDispatcher(outbox, manager.get_by_id, deliver)

    return make


async def test_owner_and_admins_hear_once_of_a_coming_and_of_a_come_expiry(
    manager, make_reaper, make_dispatcher, mailbox, age
):
    sandbox = await manager.create(ADA, name="blue", ttl=4 * HOUR)
    reaper, dispatcher = make_reaper(), make_dispatcher()

    async def turn():
        await reaper.sweep()
        await dispatcher.dispatch({ADMIN.id, ADA.id})

    await turn()
    assert mailbox == []
    await age(sandbox, timedelta(hours=3, minutes=30))
    for _ in range(3):
        await turn()
    await age(sandbox, timedelta(minutes=30))
    for _ in range(3):
        await turn()

    kinds = (NoticeKind.EXPIRY_WARNING, NoticeKind.EXPIRED)
    assert Counter(mailbox) == {(kind, recipient, "blue"): 1 for kind in kinds for recipient in (ADA.id, ADMIN.id)}


async def test_a_short_life_is_warned_of_at_its_half(manager, make_reaper, make_dispatcher, mailbox, age):
    sandbox = await manager.create(ADA, ttl=timedelta(minutes=20))
    assert (await make_reaper().sweep()).warned == 0
    await age(sandbox, timedelta(minutes=11))
    assert (await make_reaper().sweep()).warned == 1


async def test_an_extension_makes_the_old_warning_obsolete_and_a_new_one_possible(
    manager, make_reaper, make_dispatcher, mailbox, age, pool
):
    sandbox = await manager.create(ADA, ttl=2 * HOUR)
    await age(sandbox, timedelta(minutes=90))
    await make_reaper().sweep()
    await manager.extend_ttl(ADA, sandbox.id, 2 * HOUR)
    await make_dispatcher().dispatch(())
    assert mailbox == []
    assert await pool.fetchval("SELECT outcome FROM sandbox_notice_deliveries") == "obsolete"
    await age(sandbox, timedelta(minutes=110))
    await make_reaper().sweep()
    await make_dispatcher().dispatch(())
    assert len(mailbox) == 1


async def test_a_process_that_dies_while_it_delivers_leaves_the_notice_to_the_next(
    manager, make_reaper, make_dispatcher, mailbox, age, outbox, pool
):
    sandbox = await manager.create(ADA, ttl=2 * HOUR)
    await age(sandbox, timedelta(minutes=90))
    await make_reaper().sweep()
    await outbox.fan_out(())
    claimed = await outbox.claim()
    assert await make_dispatcher().dispatch(()) == 0  # leased
    await pool.execute("UPDATE sandbox_notice_deliveries SET next_attempt_at = now()")
    again = await outbox.claim()
    assert (again.key, again.attempts) == (claimed.key, 2)
    assert len(again.key) <= 25


async def test_what_fails_is_tried_again_later(manager, make_reaper, make_dispatcher, mailbox, age, pool):
    sandbox = await manager.create(ADA, ttl=2 * HOUR)
    await age(sandbox, timedelta(minutes=90))
    await make_reaper().sweep()
    assert await make_dispatcher(ConnectionError("Discord is away")).dispatch(()) == 1
    assert await make_dispatcher().dispatch(()) == 0  # postponed
    await pool.execute("UPDATE sandbox_notice_deliveries SET next_attempt_at = now()")
    assert await make_dispatcher().dispatch(()) == 1
    assert len(mailbox) == 2


async def test_a_notice_that_fails_again_and_again_is_told_at_first_and_at_last(
    manager, make_reaper, make_dispatcher, age, pool, told, audit
):
    sandbox = await manager.create(ADA, ttl=2 * HOUR)
    await age(sandbox, timedelta(minutes=90))
    await make_reaper().sweep()
    dispatcher = make_dispatcher(ConnectionError("Discord is away"))
    for _ in range(constants.NOTICE_MAX_ATTEMPTS):
        assert await dispatcher.dispatch(()) == 1
        await pool.execute("UPDATE sandbox_notice_deliveries SET next_attempt_at = now()")
    assert await dispatcher.dispatch(()) == 0
    attempts = [line[2]["attempt"] for line in told if line[0] == "WARNING"]
    assert attempts == [1, constants.NOTICE_MAX_ATTEMPTS]
    assert (await audit(sandbox.id))[-1] == "notice_undelivered"


async def test_what_can_be_delivered_nowhere_stands_in_the_audit_log(manager, make_reaper, make_dispatcher, age, audit):
    sandbox = await manager.create(ADA, ttl=2 * HOUR)
    await age(sandbox, timedelta(minutes=90))
    await make_reaper().sweep()
    await make_dispatcher(Outcome.UNDELIVERABLE).dispatch(())
    assert (await audit(sandbox.id))[-1] == "notice_undelivered"
