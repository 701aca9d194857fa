"""A NATS that is so far away that each answer takes 300 ms."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot import constants
from bot.stores.nats_account import ACCOUNT
from bot.stores.nats_answers import ask_all
from bot.stores.nats_client import flush, open_nats
from bot.stores.nats_connections import NatsConnections
from tests.faults.wires import Gate, wired
from tests.service.workers import make_place


@pytest.fixture
async def far_system(stores):
    """The system account's client, by a slow line."""
    async with wired({"nats_system": stores.nats_callout.system_url}, Gate()) as (detours, wires):
        wires["nats_system"].one_way_s = constants.SLOW_ROUND_TRIP_S / 2
        client = await open_nats(detours["nats_system"], jetstream=False)
        yield client
        await client.close()


async def test_who_is_connected_is_found_and_disconnected(enforced, nats_client, far_system):
    place = await make_place(enforced, nats_client)
    async with place.worker() as first, place.worker() as second:
        await asyncio.gather(first.publish("here"), second.publish("here"))
        connections = NatsConnections(far_system, ACCOUNT)
        found = await connections.list_all(place.sandbox.id)
        assert len(found) == 2
        began = time.monotonic()
        await connections.disconnect(found)
        assert time.monotonic() - began < 1.5 * constants.SLOW_ROUND_TRIP_S  # both at a time
        await place.until(lambda: were_lost(first, second))


async def were_lost(*workers):
    return all(worker._connection.connections > 1 for worker in workers)


async def test_further_answers_are_waited_for_as_long_as_the_line_takes(stores, nats_client):
    """As those of a cluster's servers, or of several bots, of which one is slower than the other."""

    async def hear(seconds):
        async def answer(message):
            await asyncio.sleep(seconds)
            await message.respond(b"here")

        await nats_client.subscribe("everybody", cb=answer)

    for seconds in (0, 0.2, 0.4):
        await hear(seconds)
    await nats_client.flush()
    async with wired({"nats": stores.nats_url}, Gate()) as (detours, wires):
        wires["nats"].one_way_s = constants.SLOW_ROUND_TRIP_S / 2
        client = await open_nats(detours["nats"], jetstream=False)
        answers = await ask_all(client, "everybody", first_within_s=2, others_within_s=0.05)
        assert len(answers) == 3
        alone = await ask_all(client, "everybody", first_within_s=2, others_within_s=0.05, is_last=lambda _: True)
        assert len(alone) == 1
        with pytest.raises(TimeoutError):
            await ask_all(client, "everybody", first_within_s=0.1, others_within_s=5)
        await client.close()


async def test_a_question_that_was_lost_is_asked_again_until_the_first_answer(nats_client):
    asked = []

    async def answer_the_second(message):
        asked.append(message)
        if len(asked) == 2:
            await message.respond(b"here")

    await nats_client.subscribe("everybody.again", cb=answer_the_second)
    answers = await ask_all(nats_client, "everybody.again", first_within_s=2, others_within_s=0.05, again_s=0.1)
    assert len(answers) == 1


async def test_a_flush_that_is_broken_off_costs_nobody_the_connection(far_system):
    """As a login's end breaks off what it waits for. nats-py's own flush would have the client read nothing more."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(constants.SLOW_ROUND_TRIP_S / 3):
            await flush(far_system)
    await flush(far_system)
    assert (await far_system.request("$SYS.REQ.USER.INFO", timeout=2)).data
