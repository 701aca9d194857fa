"""A NATS of one's own, with the configuration of a version before: it goes on as it did, and says what is missing."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest

from bot.cli.check.of_nats import isolation
from bot.cli.check.surroundings import open_surroundings
from bot.findings import ok
from bot.stores.nats_account import FULL_ACCOUNT, read_workers_account
from tests.breakout.by_hand import other_nats
from tests.breakout.conftest import open_world
from tests.breakout.raw import dial
from tests.breakout.test_nats import pull

ACKNOWLEDGEMENTS = (
    '{ service: "$JS.ACK._.xNZj6HOx.*.worker.>"',
    '{ service: { account: APP, subject: "$JS.ACK._.xNZj6HOx.*.worker.>" } }',
)
QUESTIONS = ('"$JS.API.STREAM.INFO.*": ', '"$JS.API.CONSUMER.INFO.*.worker": ')


@pytest.fixture(scope="module")
async def world(stores, tmp_path_factory):
    without = (*ACKNOWLEDGEMENTS, *QUESTIONS, f"{FULL_ACCOUNT} {{ limits")
    async with (
        other_nats(tmp_path_factory.mktemp("nats"), stores, without=without) as servers,
        open_world(servers) as world,
    ):
        yield world


async def test_what_the_configuration_lacks_is_named_with_the_mend(world):
    gaps = (await read_workers_account(world.stores.callout.system)).list_gaps()
    named = ["$JS.ACK._.xNZj6HOx.*.worker.>", "$JS.API.STREAM.INFO.*", FULL_ACCOUNT]
    assert len(gaps) == len(named)
    assert all(name in gap.message and "examples/nats.conf" in gap.mend for name, gap in zip(named, gaps, strict=True))


async def test_check_warns_of_it_and_calls_nats_enforced(world):
    async with open_surroundings(world.settings, trials=False) as surroundings:
        found = [finding async for finding in isolation(surroundings)]
    gaps = (await read_workers_account(world.stores.callout.system)).list_gaps()
    assert found == [ok("NATS keeps sandboxes apart by itself."), *gaps]


async def test_workers_do_what_they_did_before(world):
    worker = await world.add()
    await world.stores.nats.jetstream().publish(f"{worker.sandbox.nats_prefix}events.OWN", b"{}")
    own = await worker.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=worker.sandbox.stream)
    (event,) = await pull(own, 1)
    await event.ack_sync(timeout=2)
    assert (await world.manager.streams.stats(worker.sandbox.id)).waiting == 0
    await worker.close()


@pytest.mark.parametrize("subject", ["$JS.API.STREAM.INFO.{s}", "$JS.API.CONSUMER.INFO.{s}.worker"])
async def test_a_question_after_the_stream_is_refused(world, subject):
    async with dial(world) as connection:
        assert await connection.log_in(**{"user": str(world.a.sandbox.id), "pass": world.a.token})
        line = f"PUB {subject.format(s=world.a.sandbox.stream)} _INBOX_{world.a.sandbox.id.hex}.x 0"
        answers = await connection.send(line.encode(), b"")
    assert any(b"Permissions Violation for Publish" in answer for answer in answers), answers


async def test_who_has_too_many_connections_is_refused(world):
    worker = await world.add()
    login = {"user": str(worker.sandbox.id), "pass": worker.token}
    async with AsyncExitStack() as stack:
        for _ in range(world.settings.isolation.max_connections - 1):
            assert await (await stack.enter_async_context(dial(world))).log_in(**login)
        connection = await stack.enter_async_context(dial(world))
        answers = await connection.send(b"CONNECT " + json.dumps(login).encode())
    assert any(b"Authorization Violation" in answer for answer in answers), answers
    await worker.close()
