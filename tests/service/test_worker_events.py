"""A worker receives its sandbox's events, with the sandbox's own credentials."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from sandbox_worker import NotAnInteraction
from tests.service.workers import GUILD, dispatch, make_place, take


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


async def comes_again_after(place, seconds):
    """What is handed out and not settled, instead of after 30 seconds."""
    jetstream = place.nats.jetstream()
    consumer = (await jetstream.consumer_info(place.sandbox.stream, "worker")).config
    await jetstream.add_consumer(place.sandbox.stream, consumer.evolve(ack_wait=seconds))


async def test_an_event_tells_what_it_is(place):
    sequence = await place.send(content="hi")
    await place.send("GUILD_UPDATE", guild_id=None, id=str(GUILD))
    await place.send("THREAD_LIST_SYNC", raw=b'{"op":0,"t":"THREAD_LIST_SYNC","s":2,"d":[]}')
    async with place.worker() as sandbox:
        message, guild, odd = await take(sandbox.events(), 3)
    assert (message.name, message.sequence, message.redelivered) == ("MESSAGE_CREATE", sequence, 0)
    assert message.raw == dispatch("MESSAGE_CREATE", content="hi")
    assert (message.data["content"], message.guild_id, message.too_large) == ("hi", GUILD, None)
    assert abs(datetime.now(UTC) - message.stored_at) < timedelta(minutes=1)
    assert (guild.name, guild.guild_id) == ("GUILD_UPDATE", GUILD)
    assert (odd.guild_id, odd.data) == (None, [])


async def test_an_event_that_did_not_fit_says_how_large_it_was(place):
    await place.send("GUILD_CREATE", headers={"Sandbox-Too-Large": "2000000"}, guild_id=str(GUILD), id=str(GUILD))
    async with place.worker() as sandbox:
        (event,) = await take(sandbox.events(), 1)
    assert (event.too_large, event.guild_id) == (2_000_000, GUILD)


async def test_what_is_acknowledged_does_not_come_again(place):
    await place.send_many(3)
    async with place.worker() as sandbox:
        await take(sandbox.events(), 3)
        await place.until_settled()


async def test_what_is_to_be_retried_comes_again_but_not_too_early(place):
    await place.send(content="first")
    await place.send(content="second")
    seen = []
    async with place.worker() as sandbox, asyncio.timeout(10):
        async for event in sandbox.events():
            seen.append((event.data["content"], event.redelivered))
            if seen == [("first", 0)]:
                asked_at = datetime.now(UTC)
                await event.retry(after=timedelta(seconds=0.5))
            else:
                await event.ack()
            if len(seen) == 3:
                break
    assert seen == [("first", 0), ("second", 0), ("first", 1)]
    assert datetime.now(UTC) - asked_at > timedelta(seconds=0.45)


async def test_what_is_in_progress_does_not_come_again(place):
    """The other event, of which nobody says so, shows when its time is over."""
    await comes_again_after(place, seconds=1)
    async with place.worker() as sandbox, asyncio.timeout(10):
        events = sandbox.events()
        await place.send(content="long")
        await place.send(content="forgotten")
        long, _ = [await anext(events) for _ in range(2)]
        again = asyncio.create_task(anext(events))
        while not (await asyncio.wait([again], timeout=0.2))[0]:
            await long.in_progress()
        assert (again.result().data["content"], again.result().redelivered) == ("forgotten", 1)
        await long.ack()
        await again.result().ack()
        await place.until_settled()


async def test_a_retry_without_a_delay_comes_at_once(place):
    await place.send(content="once more")
    async with place.worker() as sandbox, asyncio.timeout(5):
        async for event in sandbox.events():
            if event.redelivered:
                break
            await event.retry()


async def test_what_is_terminated_never_comes_again(place):
    await place.send(content="hopeless")
    async with place.worker() as sandbox, asyncio.timeout(10):
        async for event in sandbox.events():
            await event.terminate()
            break
        await place.until_settled()


async def test_only_the_wanted_events_are_handed_out_and_the_others_are_settled(place):
    for name in ("TYPING_START", "MESSAGE_CREATE", "PRESENCE_UPDATE", "MESSAGE_DELETE", "TYPING_START"):
        await place.send(name)
    async with place.worker() as sandbox:
        found = await take(sandbox.events("MESSAGE_CREATE", "MESSAGE_DELETE"), 2)
        assert [event.name for event in found] == ["MESSAGE_CREATE", "MESSAGE_DELETE"]
        await place.until_settled(1)
        async with asyncio.timeout(5):
            await place.send("MESSAGE_CREATE")
            await take(sandbox.events("MESSAGE_CREATE"), 1)
        await place.until_settled()


@pytest.mark.parametrize("body", [b"", dispatch("MESSAGE_CREATE", content="forged")], ids=["empty", "like an event"])
async def test_a_reply_that_is_no_acknowledgement_of_ones_own_is_never_answered(place, body):
    """It may name any subject; here it names the sandbox's own, which the worker may publish to."""
    trap = f"{place.sandbox.nats_prefix}work.trap"
    async with place.worker() as sandbox, sandbox.subscribe("*") as heard, asyncio.timeout(10):
        events = sandbox.events()
        await place.send(content="first")
        await take(events, 1)
        client, (consumer,) = await sandbox._connection.client(), sandbox._consumers
        inbox = consumer._subscription.address
        await client.publish(inbox, body, reply=trap)
        await client.flush()
        await place.send(content="second")
        (event,) = await take(events, 1)
        await events.aclose()
        await sandbox.publish("end")
        assert (await anext(heard)).subject == "end"
    assert (event.data["content"], sandbox.dropped) == ("second", 1)


async def test_what_is_no_event_is_dropped_and_counted(place):
    for raw in (b"no json", b"[1, 2]", b'{"op": 0}'):
        await place.send(raw=raw)
    await place.send(content="real")
    async with place.worker() as sandbox:
        events = sandbox.events()
        (event,) = await take(events, 1)
        assert (event.data["content"], sandbox.dropped) == ("real", 3)
        await place.until_settled()


async def test_an_empty_message_does_not_stop_what_comes_after_it(place):
    async with place.worker() as sandbox:
        events = sandbox.events()
        following = asyncio.create_task(take(events, 1))
        await place.send(raw=b"")
        await place.until(lambda: _holds(sandbox.dropped == 1))
        await place.until_settled()
        await place.send(content="real")
        assert (await following)[0].data["content"] == "real"


async def test_what_was_missed_while_no_worker_was_there_is_all_received_once_and_in_order(place):
    await place.send_many(3000)
    async with place.worker() as sandbox:
        found = await take(sandbox.events(), 3000, seconds=30)
        await place.until_settled()
    assert [event.data["content"] for event in found] == [str(number) for number in range(3000)]
    assert not any(event.redelivered for event in found)


async def test_what_was_fetched_and_not_handed_out_is_there_at_once_for_the_next_one(place):
    await place.send_many(60)
    async with place.worker() as sandbox:
        first = await take(sandbox.events(), 10)
        rest = await take(sandbox.events(), 50, seconds=5)
    assert sorted(int(event.data["content"]) for event in first + rest) == list(range(60))


async def test_a_worker_that_is_cancelled_gives_back_what_it_had_fetched(place):
    await place.send_many(60)
    begun = asyncio.Event()

    async def work():
        async with place.worker() as sandbox:
            async for _ in sandbox.events():
                begun.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    async with asyncio.timeout(
        10
    ):  # what the server has yet to send goes nowhere, and comes again only after 30 seconds
        while (await place.nats.jetstream().consumer_info(place.sandbox.stream, "worker")).num_ack_pending < 60:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    async with place.worker() as sandbox:
        found = await take(sandbox.events(), 59)
    assert sorted(int(event.data["content"]) for event in found) == list(range(1, 60))


async def test_what_waited_too_long_for_a_slow_worker_is_not_done_twice(place, monkeypatch):
    monkeypatch.setattr("sandbox_worker.constants.KEPT_FOR_S", 0.5)
    await comes_again_after(place, seconds=1)
    await place.send_many(10)
    contents = []
    async with place.worker() as sandbox, asyncio.timeout(10):
        async for event in sandbox.events():
            contents.append(int(event.data["content"]))
            await event.ack()
            if contents == [0]:
                await asyncio.sleep(1.3)  # meanwhile the server delivers the other nine anew
                await place.send(content="10")
            if contents[-1] == 10:
                break
    assert sorted(contents) == list(range(11))


async def test_two_workers_share_the_events(place):
    await place.send_many(100)
    async with place.worker() as one, place.worker() as two:
        halves = await asyncio.gather(take(one.events(batch=10), 50), take(two.events(batch=10), 50))
        await place.until_settled()
    contents = [int(event.data["content"]) for half in halves for event in half]
    assert sorted(contents) == list(range(100))


async def test_what_is_no_interaction_cannot_be_answered(place):
    await place.send()
    async with place.worker() as sandbox:
        (event,) = await take(sandbox.events(), 1)
        with pytest.raises(NotAnInteraction, match="MESSAGE_CREATE cannot be answered"):
            await event.reply("hello")


async def _holds(fact):
    return fact
