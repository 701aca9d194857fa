"""A's worker against NATS."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import nats.errors
import nkeys
import pytest
from nats.aio.msg import Msg

from bot.stores.nats_jwt import Issuer, new_account_seed
from tests.breakout.conftest import try_all
from tests.breakout.nats_tries import API, PUBLISH, REPLY_TO, REPLY_TO_B, SUBSCRIBE
from tests.breakout.raw import dial


@asynccontextmanager
async def logged_in(world, worker):
    """As soon as there is a place: one that was given away lately counts for a second."""
    login = {"user": str(worker.sandbox.id), "pass": worker.token}
    async with asyncio.timeout(4), AsyncExitStack() as stack:
        connection = await stack.enter_async_context(dial(world))
        while not await connection.log_in(**login):
            await asyncio.sleep(0.05)
            connection = await stack.enter_async_context(dial(world))
        yield connection


async def is_let_in(world, **options):
    async with dial(world) as connection:
        return await connection.log_in(**options)


@pytest.fixture
async def subjects(world):
    """The placeholders of a try, with an ack of B's that is under way."""
    pulled = await world.b.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=world.b.sandbox.stream)
    if not hasattr(world, "b_ack"):
        world.b_ack = (await pulled.fetch(1, timeout=2))[0].reply
    return {**world.names, "b_ack": world.b_ack, "server": world.b.nats._server_info["server_id"]}


@pytest.fixture
async def harmless(world, harmless_to_the_stream):
    heard = list(world.b.heard)
    yield
    assert world.b.heard == heard


@pytest.fixture
async def harmless_to_the_stream(world, subjects):
    before = await look(world)
    world.a.errors.clear()
    yield
    await world.b.nats.flush()
    assert await look(world) == before
    assert world.b.nats.is_connected


async def look(world):
    """B's stream and its consumer, and the names of all there are."""
    jetstream, stream = world.stores.nats.jetstream(), world.b.sandbox.stream
    info = await jetstream.stream_info(stream)
    consumer = await jetstream.consumer_info(stream, "worker")
    return (
        info.config,
        (info.state.messages, info.state.last_seq, info.state.consumer_count),
        (consumer.delivered, consumer.ack_floor, consumer.num_ack_pending, consumer.num_pending),
        sorted([stream.config.name for stream in await jetstream.streams_info()]),
    )


async def is_refused(worker):
    """nats-py tells of it a little later than it has read it."""
    await worker.nats.flush()
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while not any("permissions violation" in error.lower() for error in worker.errors):
                await asyncio.sleep(0)
        worker.errors.clear()
        return True
    return False


@pytest.mark.usefixtures("harmless")
async def test_nats_refuses_all_of_jetstreams_api(world, subjects):
    body = {"stream_name": world.b.sandbox.stream, "config": {"deliver_subject": "x", "name": "spy"}, "seq": 1}

    async def attempt(verb):
        for payload in (b"", json.dumps(body).encode()):
            inbox = world.a.nats.new_inbox()
            await world.a.nats.publish("$JS.API." + verb.format(**subjects), payload, reply=inbox)
            assert await is_refused(world.a)

    await try_all(API, attempt)


@pytest.mark.usefixtures("harmless")
async def test_nats_refuses_to_publish(world, subjects):
    async def attempt(subject):
        await world.a.nats.publish(subject.format(**subjects), b"forged")
        assert await is_refused(world.a)

    await try_all(PUBLISH, attempt)


@pytest.mark.parametrize("queue", ["", "q"])
@pytest.mark.usefixtures("harmless")
async def test_nats_refuses_to_subscribe(world, subjects, queue):
    async def attempt(subject):
        await world.a.nats.subscribe(subject.format(**subjects), queue=queue)
        assert await is_refused(world.a)

    await try_all(SUBSCRIBE, attempt)


@pytest.mark.parametrize("target", [pytest.param(target, id=name) for name, target in REPLY_TO.items()])
@pytest.mark.usefixtures("harmless")
async def test_an_answer_led_elsewhere_does_nothing_there(world, subjects, target):
    await lead_answers(world, target.format(**subjects))


@pytest.mark.parametrize("target", [pytest.param(target, id=name) for name, target in REPLY_TO_B.items()])
@pytest.mark.usefixtures("harmless_to_the_stream")
async def test_an_answer_led_to_bs_whole_id_reaches_bs_plain_subscriptions_at_most(world, subjects, target):
    """What remains possible: nothing of A's making under a subject of B's, and nothing that says it is from B."""
    world.b.heard.clear()
    await lead_answers(world, target.format(**subjects))
    await world.b.nats.flush()
    own = [data for subject, data in world.b.heard if subject.startswith(world.b.sandbox.nats_prefix)]
    own += [data for subject, data in world.b.heard if subject.startswith("_INBOX")]
    assert [data for data in own if data] == []
    assert world.b.heard  # otherwise README may say less
    world.b.heard.clear()


async def test_no_answer_led_to_an_advisory_tells_the_bot_that_something_is_lost(world, subjects):
    heard: list[str] = []

    async def hear(message):
        heard.append(message.subject)

    lost = [subject.format(**subjects) for name, subject in REPLY_TO.items() if "advisory" in name]
    listening = [await world.stores.nats.subscribe(subject, cb=hear) for subject in lost]
    await world.stores.nats.flush()
    for subject in lost:
        await lead_answers(world, subject)
    await world.stores.nats.flush()
    assert (len(lost), heard) == (2, [])
    for subscription in listening:
        await subscription.unsubscribe()


async def lead_answers(world, reply):
    """Everything that A may ask for, each with its answer to somebody else's subject."""
    jetstream, a = world.stores.nats.jetstream(), world.a
    next_ = f"$JS.API.CONSUMER.MSG.NEXT.{a.sandbox.stream}.worker"
    own = await a.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=a.sandbox.stream)
    acks: list[str] = []
    while len(acks) < 2:  # pulls that other tries have left waiting, with an answer elsewhere, take the first ones
        for _ in range(4):
            await jetstream.publish(f"{a.sandbox.nats_prefix}events.BAIT", b"{}")
        with suppress(nats.errors.TimeoutError):
            acks += [message.reply for message in await own.fetch(2, timeout=0.5)]
    await a.nats.publish(next_, b'{"batch":1,"no_wait":true}', reply=reply)  # is sent an event
    await a.nats.publish(acks[0], b"+WPI", reply=reply)
    await a.nats.publish(acks[0], b"+ACK", reply=reply)
    await a.nats.publish(acks[1], b"+NXT", reply=reply)
    await a.nats.publish(next_, b'{"batch":9,"expires":1000000}', reply=reply)  # is sent a status
    await a.nats.publish(next_, b"{", reply=reply)
    await a.nats.publish(f"sandbox.{a.sandbox.id}.replay", b"{}", reply=reply)
    await a.nats.publish(f"$JS.API.STREAM.INFO.{a.sandbox.stream}", b"", reply=reply)
    await a.nats.publish(f"$JS.API.CONSUMER.INFO.{a.sandbox.stream}.worker", b"", reply=reply)
    await a.nats.flush()
    answers = await a.nats.subscribe(inbox := a.nats.new_inbox())
    await a.nats.publish(next_, b'{"batch":1,"no_wait":true}', reply=inbox)
    await answers.next_msg(timeout=10)  # and so has all been answered that was asked before
    await jetstream.stream_info(a.sandbox.stream)  # still there


async def pull(subscription, count):
    messages: list[Msg] = []
    while len(messages) < count:
        messages += await subscription.fetch(count - len(messages), timeout=2)
    return messages


async def acknowledge_in_every_form(one, two, three, four, five, six):
    """The last two come again."""
    await one.ack()
    await two.ack_sync(timeout=2)
    await three.term()
    await four.in_progress()
    await four.ack()
    await five.nak(delay=0.01)
    await six.nak()


async def test_pulling_and_acknowledging_work_in_every_form(world):
    a, jetstream = await world.add(), world.stores.nats.jetstream()
    own = await a.nats.jetstream().pull_subscribe_bind(consumer="worker", stream=a.sandbox.stream)
    for number in range(6):
        await jetstream.publish(f"{a.sandbox.nats_prefix}events.OWN", b"%d" % number)
    messages = await pull(own, 6)
    assert (messages[0].subject, messages[0].data) == (f"{a.sandbox.nats_prefix}events.OWN", b"0")
    await acknowledge_in_every_form(*messages)
    assert sorted([message.data for message in await pull(own, 2)]) == [b"4", b"5"]
    assert not a.errors
    await a.close()


async def test_workers_of_one_sandbox_talk_to_each_other(world):
    a, second = world.a, await world.a.connect_nats()
    subject = f"{a.sandbox.nats_prefix}work.question"

    async def answer(message):
        await message.respond(b"42")

    served = await second.subscribe(subject, cb=answer)
    await second.flush()
    a.errors.clear()
    reply = f"{a.sandbox.nats_prefix}work.reply"
    answers = await a.nats.subscribe(reply)
    await a.nats.publish(subject, b"?", reply=reply)
    assert (await answers.next_msg(timeout=10)).data == b"42"
    assert not a.errors
    await served.unsubscribe()
    await second.close()


@pytest.mark.parametrize(
    "user", ["b", "sandbox-bot", "sandbox-auth", "sandbox-system", "probe", "replays", "services", "nobody", ""]
)
@pytest.mark.parametrize("password", ["of-a", "", "guessed", "user"])
async def test_nats_refuses_a_login_as_another(world, user, password):
    offered = {"of-a": world.a.token, "user": user}.get(password, password)
    name = str(world.b.sandbox.id) if user == "b" else user
    assert not await is_let_in(world, **{"user": name, "pass": offered})


@pytest.mark.parametrize("form", ["urn:uuid:{}", "{{{}}}", "{} ", "hex", "upper"])
async def test_nats_knows_a_sandbox_by_one_spelling_of_its_id(world, form):
    """By another one its connections would neither be counted nor found to be ended."""
    sandbox_id = world.a.sandbox.id
    user = {"hex": sandbox_id.hex, "upper": str(sandbox_id).upper()}.get(form) or form.format(sandbox_id)
    assert not await is_let_in(world, **{"user": user, "pass": world.a.token})


async def test_nats_refuses_a_user_jwt_of_ones_own(world):
    """Also with the right issuer's name in it, and a key alone."""
    pair = nkeys.from_seed(bytearray(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)))
    nkey, forger = pair.public_key.decode(), Issuer(new_account_seed())
    claims = {"sub": nkey, "aud": "SANDBOX", "name": "x", "nats": {"type": "user", "version": 2}}
    issuer = Issuer(world.servers.nats_callout.account_seed).account
    for token in (forger.sign(claims), forger.sign({**claims, "iss": issuer}), None):
        async with dial(world) as connection:
            signature = pair.sign(connection.info.get("nonce", "").encode())
            encoded = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
            assert not await connection.log_in(**({"jwt": token} if token else {}), nkey=nkey, sig=encoded)


@pytest.mark.parametrize("forged", [b"", b"{}", b"a.b.c", b"null", b"\xff" * 99, "other-server", "own-claims"])
async def test_the_bot_answers_no_auth_request_that_is_not_signed_by_its_server(world, forged):
    forger = Issuer(new_account_seed())
    request = {"user_nkey": "U", "server_id": {"id": "N"}, "client_info": {"id": 1}}
    request["connect_opts"] = {"user": str(world.a.sandbox.id), "pass": world.a.token}
    tokens = {"other-server": {"iat": 1, "nats": request}, "own-claims": {"iat": 1, "nats": None}}
    data = forger.sign(tokens[forged]).encode() if forged in tokens else forged
    message = Msg(world.stores.nats, subject="$SYS.REQ.USER.AUTH", reply="x", data=data)
    assert await world.manager.access._nats._answer(message) is None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"user": "x" * 100_000, "pass": "y" * 100_000}, id="huge"),
        pytest.param({"user": "\x00\x01\n\r", "pass": "\x00"}, id="control-characters"),
        pytest.param({"user": "\ud83d", "pass": "\ud800"}, id="lone-surrogates"),
        pytest.param({"user": '","pass":"', "pass": '"}'}, id="json-in-a-string"),
        pytest.param({"user": "' OR 1=1 --", "pass": "%s{0}$1"}, id="sql-and-formats"),
        pytest.param({"user": ["x"], "pass": {"a": 1}}, id="other-types"),
        pytest.param({"user": None, "pass": None}, id="null"),
        pytest.param({"auth_token": "x"}, id="auth-token"),
        pytest.param({}, id="nothing"),
        pytest.param({"user": "x", "pass": "y", "name": "\x1b[31m" + "n" * 5000, "lang": "\n"}, id="hostile-name"),
    ],
)
async def test_a_hostile_login_is_refused_and_the_bot_goes_on(world, options):
    assert not await is_let_in(world, **options)
    await world.a.nats.flush()


async def test_exactly_as_many_connections_as_the_cap_get_in(world):
    worker, most = await world.add(), world.settings.isolation.max_connections
    login = {"user": str(worker.sandbox.id), "pass": worker.token}
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(dial(world)) for _ in range(30)]
        let_in = await asyncio.gather(*(connection.log_in(**login) for connection in connections))
        assert sum(let_in) == most - 1  # with the one that it has
        await connections[let_in.index(True)].close()
        async with logged_in(world, worker):
            """A place has become free."""
    await worker.close()


async def test_two_hundred_logins_at_once_are_answered_soon(world):
    access, login = world.manager.access._nats, {"user": str(world.a.sandbox.id), "pass": world.a.token}
    cap, access._max_connections = access._max_connections, 500
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(dial(world)) for _ in range(200)]
        began = time.monotonic()
        let_in = await asyncio.gather(*(connection.log_in(**login) for connection in connections))
        took = time.monotonic() - began
    access._max_connections = cap
    assert all(let_in)
    assert took < 3  # under one on an idle machine


async def test_a_flood_ends_the_floods_connection_alone(world):
    subject = f"{world.a.sandbox.nats_prefix}work.x".encode()
    async with logged_in(world, world.a) as connection:
        answers = await connection.send(b"PUB %b %d" % (subject, connection.info["max_payload"] + 1))
        assert any(b"Maximum Payload" in line for line in answers)
    async with logged_in(world, world.a) as connection:
        answers = await connection.send(*(b"SUB %b.%d %d" % (subject, n, n) for n in range(1, 10_200)))
        assert any(b"maximum subscriptions" in line.lower() for line in answers), answers[:5]
    await world.b.nats.flush()
    assert world.b.nats.is_connected
