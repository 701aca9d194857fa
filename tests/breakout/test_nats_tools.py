"""What NATS's client libraries do by themselves works in a sandbox, and reaches nobody else's: on servers that write
acknowledgements in either format, with and without a domain."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, suppress

import nats
import nats.errors
import pytest

from bot import constants
from bot.relay.gateway.stream_reader import StreamReader
from bot.stores.nats_account import hash_of, read_workers_account
from bot.stores.nats_client import open_nats
from sandbox_worker import Sandbox, protocol
from tests.breakout.conftest import until
from tests.breakout.raw import dial, logged_in
from tests.breakout.sessions import until_async
from tests.breakout.test_nats import acknowledge_in_every_form, look, pull

LESS = [pytest.param(kind, marks=pytest.mark.long) for kind in ("nats-domain", "nats-flag")]
pytestmark = pytest.mark.parametrize("servers", ["embedded", *LESS, "nats-flag-domain"], indirect=True, scope="package")


@pytest.fixture(scope="module")
async def wire(world):
    """A connection of A's, and what A may know."""
    kind = world.servers.nats_changes if hasattr(world.servers, "nats_changes") else {}
    domain = "hub" if "$JS.ACK._." in kind else "_"
    async with logged_in(world, world.a) as connection:
        yield connection, world.names | {"domain": domain, "hash": hash_of("APP")}


@pytest.fixture
async def harmless(world):
    """To B's stream and consumer, and to what B hears."""
    await world.b.nats.flush()
    before, heard = await look_at(world), list(world.b.heard)
    world.a.errors.clear()
    yield
    await world.b.nats.flush()
    assert (await look_at(world), world.b.heard) == (before, heard)


async def look_at(world):
    return (await look(world))[:-1]  # without the names of all streams: other tests make some


async def publish_events(world, worker, count):
    for number in range(count):
        event = b'{"op":0,"t":"OWN","d":{"n":%d}}' % number
        await world.stores.nats.jetstream().publish(f"{worker.sandbox.nats_prefix}events.OWN", event)


async def test_unmodified_clients_look_at_their_stream_and_consumer(world):
    a, stream = world.a, world.a.sandbox.stream
    a.errors.clear()
    jetstream = a.nats.jetstream()
    info, consumer = await jetstream.stream_info(stream), await jetstream.consumer_info(stream, "worker")
    assert (info.config.name, info.config.subjects) == (stream, [f"{a.sandbox.nats_prefix}events.>"])
    assert (consumer.stream_name, consumer.name) == (stream, "worker")
    own = await jetstream.pull_subscribe(f"{a.sandbox.nats_prefix}events.>", durable="worker", stream=stream)
    assert (await own.consumer_info()).config.durable_name == "worker"
    await own.unsubscribe()
    assert not a.errors


async def test_events_are_acknowledged_in_every_form(world):
    a = await world.add()
    own = await a.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=a.sandbox.stream)
    await publish_events(world, a, 6)
    await acknowledge_in_every_form(*await pull(own, 6))
    again = await pull(own, 2)
    assert sorted([json.loads(message.data)["d"]["n"] for message in again]) == [4, 5]
    assert {message.metadata.stream for message in again} == {a.sandbox.stream}
    await publish_events(world, a, 1)
    inbox = a.nats.new_inbox()
    following = await a.nats.subscribe(inbox)
    await a.nats.publish(again[0].reply, b"+NXT", reply=inbox)
    assert json.loads((await following.next_msg(timeout=5)).data)["d"] == {"n": 0}
    assert not a.errors
    await a.close()


async def test_the_kit_takes_and_settles_events(world):
    worker = await world.add()
    await publish_events(world, worker, 3)
    seen = []
    async with Sandbox.from_env(worker.urls) as sandbox, asyncio.timeout(10):
        async for event in sandbox.events():
            seen.append((event.data["n"], event.redelivered))
            if event.data["n"] == 1 and not event.redelivered:
                await event.retry()
            elif event.data["n"] == 2:
                await event.terminate()
            else:
                await event.in_progress()
                await event.ack()
            if len(seen) == 4:
                break
    assert sorted(seen) == [(0, 0), (1, 0), (1, 1), (2, 0)]

    async def is_settled():
        return (await world.manager.streams.stats(worker.sandbox.id)).waiting == 0

    await until_async(is_settled, 5)
    await worker.close()


async def test_the_relay_reads_events_as_the_server_writes_them(world):
    worker = await world.add()
    await publish_events(world, worker, 3)
    client = await open_nats(world.servers.nats_url)
    reader, receiver = StreamReader(client), Receiver()
    inbox = client.new_inbox()
    await reader.open(inbox, receiver)
    await client.publish(protocol.pull_subject(worker.sandbox.stream), b'{"batch":3,"no_wait":true}', reply=inbox)
    await until(lambda: len(receiver.events) == 3)
    assert [(event.name, event.sequence) for event in receiver.events] == [(b"OWN", number) for number in (1, 2, 3)]
    assert all(event.stored_at > time.time() - 60 for event in receiver.events)
    await client.close()
    await worker.close()


class Receiver:
    def __init__(self):
        self.events = []

    def on_events(self, events):
        self.events += events

    def on_status(self, status, left_over):
        raise AssertionError(status)

    def on_lost(self):
        raise AssertionError


async def test_the_server_writes_the_format_that_it_was_told_to(world, wire):
    _, may_know = wire
    worker, account = await world.add(), await read_workers_account(world.stores.callout.system)
    await publish_events(world, worker, 1)
    own = await worker.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=worker.sandbox.stream)
    (event,) = await pull(own, 1)
    origin = "{domain}.{hash}." if account.writes_origin else ""
    assert event.reply.startswith(f"$JS.ACK.{origin}{worker.sandbox.stream}.worker.".format(**may_know))
    assert account.list_gaps() == []
    await worker.close()
    assert account.ack_origin == "{domain}.{hash}".format(**may_know)


OWN_ACKS = [
    "$JS.ACK.{a_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{domain}.{hash}.{a_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{domain}.{hash}.{a_stream}.worker.1.1.1.1.0.token",
]


@pytest.mark.parametrize("subject", OWN_ACKS)
async def test_ones_own_acknowledgements_are_let_through_in_both_formats(wire, subject):
    connection, may_know = wire
    answers = await connection.send(f"PUB {subject.format(**may_know)} 4".encode(), b"+WPI")
    assert not any(b"-ERR" in answer for answer in answers), answers


FORGED_ACKS = [
    "$JS.ACK.{b_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{b_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{b_stream}.worker.{a_stream}.worker.1.1.1",
    "$JS.ACK.{b_stream}.worker.{a_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{b_stream}.{hash}.{a_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{b_stream}.worker.{hash}.{a_stream}.worker.1.1.1",
    "$JS.ACK.{a_stream}.worker.{b_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{a_stream}.worker.{b_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{domain}.{hash}.{b_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{domain}.{hash}.{b_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{domain}.{a_stream}.worker.worker.1.1.1.1.0.x",
    "$JS.ACK.{domain}.{a_stream}.{b_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{domain}.worker.{a_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.x.{hash}.{a_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{hash}.{domain}.{a_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.*.*.{a_stream}.worker.1.1.1.1.0.x",
    "$JS.ACK.{domain}.{hash}.{a_stream}.other.1.1.1.1.0.x",
    "$JS.ACK.{domain}.{hash}.{a_stream}.worker",
    "$JS.ACK.{domain}.{hash}.*.worker.1.1.1.1.0.x",
    "$JS.FC.{domain}.{hash}.{a_stream}.worker.1",
]


@pytest.mark.parametrize("body", ["+NXT", "+TERM"])
@pytest.mark.parametrize("subject", FORGED_ACKS)
@pytest.mark.usefixtures("harmless")
async def test_forged_acknowledgements_are_refused(wire, subject, body):
    connection, may_know = wire
    line = f"PUB {subject.format(**may_know)} _INBOX_{may_know['a_hex']}.x {len(body)}"
    answers = await connection.send(f"SUB _INBOX_{may_know['a_hex']}.x 3".encode(), line.encode(), body.encode())
    answers += await connection.send(b"UNSUB 3")
    assert any(b"Permissions Violation for Publish" in answer for answer in answers), answers
    assert not any(b"MSG" in answer for answer in answers)


async def test_a_known_token_of_anothers_event_settles_nothing_in_either_format(world, wire):
    connection, may_know = wire
    await publish_events(world, world.b, 1)
    theirs = await world.b.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=world.b.sandbox.stream)
    (event,) = await pull(theirs, 1)
    before, token = await look_at(world), event.reply.split(".worker.", 1)[1]
    for form in ("{b_stream}.worker.{token}", "{domain}.{hash}.{b_stream}.worker.{token}"):
        subject = "$JS.ACK." + form.format(token=token, **may_know)
        answers = await connection.send(f"PUB {subject} 4".encode(), b"+ACK")
        assert any(b"Violation" in answer for answer in answers), answers
    # on one's own consumer, numbers of another's are nothing that has been handed out
    subject = "$JS.ACK.{domain}.{hash}.{a_stream}.worker.{token}".format(token=token, **may_know)
    await connection.send(f"PUB {subject} 4".encode(), b"+ACK")
    assert await look_at(world) == before
    await event.nak()
    await theirs.unsubscribe()


OTHERS_INFO = [
    "$JS.API.STREAM.INFO.{b_stream}",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.INFO.{a_stream}.x",
    "$JS.API.CONSUMER.INFO.{b_stream}.worker",
    "$JS.API.CONSUMER.INFO.{b_stream}.*",
    "$JS.API.CONSUMER.INFO.*.worker",
    "$JS.API.CONSUMER.INFO.{a_stream}.other",
    "$JS.API.CONSUMER.INFO.{a_stream}.worker.x",
    "$JS.API.CONSUMER.LIST.{a_stream}",
    "$JS.API.STREAM.NAMES",
    "$JS.{domain}.API.STREAM.INFO.{b_stream}",
    "$JS.{domain}.API.CONSUMER.INFO.{b_stream}.worker",
    "$JS.hub.API.STREAM.DELETE.{b_stream}",
    "sandbox-info.{b_stream}.stream",
    "sandbox-info.{b_stream}.consumer",
    "sandbox-info.*.stream",
    "sandbox-info.{a_stream}",
    "sandbox-info.{a_stream}.stream.x",
]


@pytest.mark.parametrize("subject", OTHERS_INFO)
@pytest.mark.usefixtures("harmless")
async def test_nothing_is_told_of_others_streams(wire, subject):
    connection, may_know = wire
    inbox = f"_INBOX_{may_know['a_hex']}.info"
    line = f"PUB {subject.format(**may_know)} {inbox} 2".encode()
    answers = await connection.send(f"SUB {inbox} 4".encode(), line, b"{}")
    answers += await connection.send(b"UNSUB 4")
    assert any(b"Permissions Violation for Publish" in answer for answer in answers), answers
    assert not any(b"MSG" in answer for answer in answers)


ELSEWHERE = [
    "sandbox.{b_id}.work.x",
    "sandbox.{b_id}.events.FORGED",
    "sandbox.{b_id}.replay",
    "_INBOX_{b_hex}.x",
    "sandbox-info.{b_stream}.stream",
    "$JS.API.STREAM.INFO.{b_stream}",
    "$JS.API.STREAM.DELETE.{b_stream}",
    "$JS.API.CONSUMER.DELETE.{b_stream}.worker",
    "$SYS.REQ.USER.AUTH",
    "sandbox.{a_id}.work.x",
    "_INBOX_{a_hex}",
    "_INBOX_{a_hex}.*",
]


@pytest.mark.parametrize("question", ["$JS.API.STREAM.INFO.{a_stream}", "$JS.API.CONSUMER.INFO.{a_stream}.worker"])
@pytest.mark.parametrize("subject", ELSEWHERE)
@pytest.mark.usefixtures("harmless")
async def test_what_a_stream_is_like_is_told_to_the_askers_inbox_alone(world, wire, question, subject):
    connection, may_know = wire
    question, subject = question.format(**may_know), subject.format(**may_know)
    world.a.heard.clear()
    answers = await connection.send(f"PUB {question} {subject} 0".encode(), b"")
    assert not any(b"-ERR" in answer for answer in answers), answers
    assert (await ask(world.a, question))["config"]
    assert subject not in [heard for heard, _ in world.a.heard]


async def ask(worker, subject, body=b""):
    """Until there is an answer: others may have used the ration up."""
    async with asyncio.timeout(5):
        while True:
            with suppress(nats.errors.TimeoutError, nats.errors.NoRespondersError):
                return json.loads((await worker.nats.request(subject, body, timeout=0.3)).data)


@pytest.mark.usefixtures("harmless")
async def test_another_bodys_question_gets_no_more_than_the_usual_answer(world):
    wanted = json.dumps({"subjects_filter": ">", "deleted_details": True, "name": world.b.sandbox.stream}).encode()
    told = await ask(world.a, f"$JS.API.STREAM.INFO.{world.a.sandbox.stream}", wanted)
    assert told["config"]["name"] == world.a.sandbox.stream
    assert "subjects" not in told["state"]
    for secret in (str(world.b.sandbox.id), world.b.sandbox.id.hex, world.b.sandbox.stream):
        assert secret not in json.dumps(told)


async def test_the_workers_of_a_sandbox_ask_and_answer_each_other(world):
    a, second = world.a, await world.a.connect_nats()
    a.errors.clear()
    subject = f"{a.sandbox.nats_prefix}work.sum"

    async def answer(message):
        await message.respond(b"%d" % sum(json.loads(message.data)))

    await second.subscribe(subject, cb=answer)
    await second.flush()
    assert (await a.nats.request(subject, b"[1, 2, 3]", timeout=10)).data == b"6"
    assert not a.errors
    await second.close()


@pytest.mark.parametrize(
    "subject",
    ["_INBOX_{b_hex}.x", "_INBOX_{b_hex}.x.y", "_INBOX_*.x", "_INBOX.x", "_INBOX_{a_hex}", "_INBOX_probe.x"],
)
@pytest.mark.usefixtures("harmless")
async def test_nobody_publishes_to_anothers_inbox(wire, subject):
    connection, may_know = wire
    answers = await connection.send(f"PUB {subject.format(**may_know)} 2".encode(), b"hi")
    assert any(b"Permissions Violation for Publish" in answer for answer in answers), answers


async def test_of_questions_after_a_stream_the_bot_sees_a_ration_and_later_another(world, monkeypatch):
    worker, asked = await world.add(), []

    async def note(sandbox_id):
        asked.append(sandbox_id)
        return b"{}"

    monkeypatch.setattr(world.manager.streams, "describe", note)
    subject, inbox = f"$JS.API.STREAM.INFO.{worker.sandbox.stream}", worker.nats.new_inbox()
    for number in range(2000):
        await worker.nats.publish(subject, b"", reply=f"{inbox}-{number}")
    await worker.nats.flush()
    await until(lambda: len(asked) >= constants.RATION)

    async def is_answered():
        try:
            return (await worker.nats.request(subject, b"", timeout=0.2)).data == b"{}"
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
            return False

    async with asyncio.timeout(5):
        while not await is_answered():
            """It is not, until there is another ration."""
    assert len(asked) <= 3 * constants.RATION
    assert set(asked) == {worker.sandbox.id}
    await worker.close()


async def test_who_has_too_many_connections_is_told_that(world):
    worker, most = await world.add(), world.settings.isolation.max_connections
    login = {"user": str(worker.sandbox.id), "pass": worker.token}
    async with AsyncExitStack() as stack:
        for _ in range(most - 1):
            connection = await stack.enter_async_context(dial(world))
            assert await connection.log_in(**login)
        connection = await stack.enter_async_context(dial(world))
        answers = await connection.send(b"CONNECT " + json.dumps(login).encode())
        assert any(b"maximum account active connections exceeded" in answer for answer in answers), answers
        assert connection.is_closed
        wrong = await stack.enter_async_context(dial(world))
        answers = await wrong.send(b"CONNECT " + json.dumps(login | {"pass": "x"}).encode())
        assert any(b"Authorization Violation" in answer for answer in answers), answers
    await worker.close()
