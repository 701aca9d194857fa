"""An independent battery: what an attacker tries with one sandbox's login to NATS."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import nats
import nats.errors
import pytest

from bot import constants, names
from tests.breakout.conftest import BOB, until
from tests.breakout.raw import dial, logged_in

SUBSCRIBE_REFUSED = [
    ">",
    "*",
    "*.>",
    "sandbox.>",
    "sandbox.*.>",
    "sandbox.*.work.>",
    "sandbox.*.events.>",
    "sandbox.*.replay",
    "sandbox.{b_id}.>",
    "sandbox.{b_id}.events.SECRET",
    "sandbox.{b_id}.work.x",
    "sandbox.{b_id}.replay",
    "sandbox.{b_id}.*.*",
    "SANDBOX.{a_id}.>",
    "sandbox.{a_id}",
    "sandbox.{a_hex}.>",
    "_INBOX.>",
    "_INBOX_{b_hex}.>",
    "_INBOX_{b_hex}.*",
    "_INBOX_*.>",
    "_INBOX_{a_hex}",
    "_INBOX_replays.>",
    "_INBOX_probe.>",
    "_R_.>",
    "_R_.*",
    "_GR_.>",
    "$SYS.>",
    "$SYS.REQ.USER.AUTH",
    "$SYS.REQ.>",
    "$SYS.ACCOUNT.>",
    "$SYS._INBOX.>",
    "$JS.>",
    "$JS.API.>",
    "$JS.ACK.>",
    "$JS.ACK.{b_stream}.>",
    "$JS.FC.>",
    "$JS.EVENT.>",
    "$JS.EVENT.ADVISORY.>",
    "$JS.EVENT.ADVISORY.CONSUMER.*.{b_stream}.worker",
    "$JS.SNAPSHOT.>",
    "$JSC.>",
    "$KV.>",
    "$O.>",
    "$SRV.>",
    "$MQTT.>",
    "$LDS.>",
    "$G.>",
    "sandbox-replay.>",
    "sandbox-replay._INBOX_{b_hex}.*",
]
QUEUES = ["sandbox-bot", "worker", "_sys_", ">"]
"""Groups of others, with another's subject."""

PUBLISH_REFUSED = [
    "x",
    "sandbox.{a_id}.events.FORGED",
    "sandbox.{a_id}.events.INTERACTION_CREATE",
    "sandbox.{a_id}",
    "sandbox.{a_id}.replay.x",
    "sandbox.{a_hex}.work.x",
    "sandbox.{b_id}.work.x",
    "sandbox.{b_id}.events.FORGED",
    "sandbox.{b_id}.replay",
    "sandbox.*.work.x",
    "sandbox.>.work.x",
    "sandbox-replay._INBOX_{b_hex}.x",
    "sandbox-replay._INBOX_{a_hex}.x",
    "_INBOX_{b_hex}.x",
    "_INBOX.x",
    "_R_.x",
    "$SYS.REQ.USER.AUTH",
    "$SYS.REQ.USER.INFO",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.ACCOUNT.SANDBOX.CONNZ",
    "$SYS.REQ.ACCOUNT.APP.JSZ",
    "$SYS.REQ.SERVER.{server}.KICK",
    "$SYS.REQ.SERVER.{server}.RELOAD",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$JS.API.INFO",
    "$JS.API.ACCOUNT.PURGE.APP",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.UPDATE.{a_stream}",
    "$JS.API.STREAM.UPDATE.{b_stream}",
    "$JS.API.STREAM.INFO.{b_stream}",
    "$JS.API.STREAM.DELETE.{a_stream}",
    "$JS.API.STREAM.DELETE.{b_stream}",
    "$JS.API.STREAM.PURGE.{b_stream}",
    "$JS.API.STREAM.MSG.GET.{b_stream}",
    "$JS.API.STREAM.MSG.DELETE.{b_stream}",
    "$JS.API.STREAM.SNAPSHOT.{b_stream}",
    "$JS.API.STREAM.RESTORE.{b_stream}",
    "$JS.API.STREAM.PEER.REMOVE.{b_stream}",
    "$JS.API.DIRECT.GET.{b_stream}",
    "$JS.API.DIRECT.GET.{a_stream}",
    "$JS.API.DIRECT.GET.{b_stream}.sandbox.{b_id}.events.SECRET",
    "$JS.API.CONSUMER.CREATE.{a_stream}",
    "$JS.API.CONSUMER.CREATE.{a_stream}.mine.sandbox.{a_id}.events.>",
    "$JS.API.CONSUMER.CREATE.{b_stream}.worker",
    "$JS.API.CONSUMER.DURABLE.CREATE.{b_stream}.mine",
    "$JS.API.CONSUMER.DURABLE.CREATE.{a_stream}.worker",
    "$JS.API.CONSUMER.NAMES.{b_stream}",
    "$JS.API.CONSUMER.INFO.{b_stream}.worker",
    "$JS.API.CONSUMER.DELETE.{a_stream}.worker",
    "$JS.API.CONSUMER.DELETE.{b_stream}.worker",
    "$JS.API.CONSUMER.PAUSE.{b_stream}.worker",
    "$JS.API.CONSUMER.UNPIN.{b_stream}.worker",
    "$JS.API.CONSUMER.RESET.{b_stream}.worker",
    "$JS.API.CONSUMER.LEADER.STEPDOWN.{b_stream}.worker",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.CONSUMER.MSG.NEXT.{b_stream}.worker",
    "$JS.API.CONSUMER.MSG.NEXT.{a_stream}.other",
    "$JS.API.CONSUMER.MSG.NEXT.*.worker",
    "$JS.APP.API.STREAM.DELETE.{b_stream}",
    "$JS.ACK.{b_stream}.worker.1.1.1.1.0",
    "$JS.ACK.{a_stream}.other.1.1.1.1.0",
    "$JS.ACK._._.{b_stream}.worker.1.1.1.1.0",
    "$JS.ACK.*.worker.1.1.1.1.0",
    "$JS.FC.{b_stream}.worker.x",
    "$KV.bucket.key",
    "$SRV.PING",
    "$SRV.INFO",
]

LED_TO = [
    "$JS.API.STREAM.DELETE.{b_stream}",
    "$JS.API.STREAM.PURGE.{b_stream}",
    "$JS.API.STREAM.DELETE.{a_stream}",
    "$JS.API.CONSUMER.DELETE.{b_stream}.worker",
    "$JS.API.CONSUMER.MSG.NEXT.{b_stream}.worker",
    "$JS.ACK.{b_stream}.worker.1.1.1.1.0",
    "sandbox.{b_id}.events.FORGED",
    "$SYS.REQ.USER.AUTH",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "sandbox-replay._INBOX_{b_hex}.x",
]
"""Where an answer to what A may ask is wanted."""


def known(world, connection):
    return world.names | {"server": connection.info["server_id"]}


@pytest.fixture(scope="module")
async def wire(world):
    """One connection of A's for all that is only refused."""
    async with logged_in(world, world.a) as connection:
        yield connection, known(world, connection)


@pytest.fixture(scope="module")
async def spare(world):
    """Another sandbox of A's owner: who has logged in ten times in a moment is not let in again in the next one."""
    worker = await world.add()
    yield worker
    await worker.close()


@pytest.mark.parametrize("subject", SUBSCRIBE_REFUSED)
async def test_nats_refuses_to_subscribe_to(wire, subject):
    connection, may_know = wire
    answers = await connection.send(f"SUB {subject.format(**may_know)} 7".encode(), b"UNSUB 7")
    assert any(b"Permissions Violation for Subscription" in line for line in answers), answers


@pytest.mark.parametrize("queue", QUEUES)
async def test_nats_refuses_to_share_anothers_subject_in_the_group(wire, queue):
    connection, may_know = wire
    answers = await connection.send(f"SUB sandbox.{may_know['b_id']}.replay {queue} 7".encode(), b"UNSUB 7")
    assert any(b"Violation" in line for line in answers), answers


@pytest.mark.parametrize("subject", PUBLISH_REFUSED)
async def test_nats_refuses_to_publish_to(wire, world, subject):
    connection, may_know = wire
    heard = list(world.b.heard)
    inbox = f"_INBOX_{may_know['a_hex']}.x"
    answers = await connection.send(f"PUB {subject.format(**may_know)} {inbox} 2".encode(), b"{}")
    assert any(b"Permissions Violation for Publish" in line for line in answers), answers
    assert world.b.heard == heard


@pytest.mark.parametrize("subject", LED_TO)
@pytest.mark.parametrize("asked", ["pull", "acknowledgement", "replay", "stream", "consumer", "inbox", "work"])
async def test_an_answer_led_elsewhere_does_nothing_there(world, wire, asked, subject):
    connection, may_know = wire
    asks = {
        "pull": ("$JS.API.CONSUMER.MSG.NEXT.{a_stream}.worker", '{"batch":1,"no_wait":true}'),
        "acknowledgement": ("$JS.ACK.{a_stream}.worker.1.1.1.1.0", "+NXT"),
        "replay": ("sandbox.{a_id}.replay", "{}"),
        "stream": ("$JS.API.STREAM.INFO.{a_stream}", ""),
        "consumer": ("$JS.API.CONSUMER.INFO.{a_stream}.worker", ""),
        "inbox": ("_INBOX_{a_hex}.x", "{}"),
        "work": ("sandbox.{a_id}.work.x", ""),
    }
    target, body = asks[asked]
    before = await state_of(world)
    line = f"PUB {target.format(**may_know)} {subject.format(**may_know)} {len(body)}"
    await connection.send(line.encode(), body.encode())
    assert await state_of(world) == before


async def state_of(world):
    """Of both streams and their consumers, as far as another may not change it."""
    jetstream, state = world.stores.nats.jetstream(), []
    await world.stores.nats.flush()
    for worker in (world.a, world.b):
        stream = await jetstream.stream_info(worker.sandbox.stream)
        state.append((stream.state.messages, stream.state.last_seq))
    consumer = await jetstream.consumer_info(world.b.sandbox.stream, names.WORKER_CONSUMER)
    return *state, consumer.num_ack_pending, consumer.num_pending, consumer.delivered.consumer_seq


@pytest.mark.parametrize(
    "form",
    [
        "$JS.ACK.{a_stream}.worker.{b_stream}.worker.{token}",
        "$JS.ACK.{a_stream}.worker.{b_stream}.worker.{token}.x",
        "$JS.ACK.{a_stream}.worker.{token}",
        "$JS.ACK.{a_stream}.worker._.{b_stream}.worker.{token}",
    ],
)
@pytest.mark.parametrize("body", ["+ACK", "-NAK", "+TERM", "+WPI", ""])
async def test_an_acknowledgement_with_anothers_token_settles_nothing(world, wire, form, body):
    connection, may_know = wire
    jetstream = world.b.nats.jetstream()
    pulling = await jetstream.pull_subscribe_bind(consumer="worker", stream=world.b.sandbox.stream)
    (event,) = await pulling.fetch(1, timeout=5)
    before = await state_of(world)
    token = event.reply.split(".worker.", 1)[1]
    subject = form.format(token=token, **may_know)
    await connection.send(f"PUB {subject} {len(body)}".encode(), body.encode())
    assert await state_of(world) == before
    await event.nak()
    await pulling.unsubscribe()


TRACED = {
    "to another's subject": "sandbox.{b_id}.work.x",
    "to another's inbox": "_INBOX_{b_hex}.x",
    "to another's stream": "sandbox.{b_id}.events.FORGED",
    "to JetStream": "$JS.API.STREAM.DELETE.{b_stream}",
    "to the callout": "$SYS.REQ.USER.AUTH",
}


@pytest.mark.parametrize("name", TRACED)
async def test_a_trace_is_not_sent(world, wire, name):
    connection, may_know = wire
    before, heard = await state_of(world), list(world.b.heard)
    header = f"NATS/1.0\r\nNats-Trace-Dest: {TRACED[name].format(**may_know)}\r\n\r\n".encode()
    subject = f"sandbox.{may_know['a_id']}.work.x"
    answers = await connection.send(f"HPUB {subject} {len(header)} {len(header)}".encode(), header)
    assert any(b"Violation" in line for line in answers), answers
    assert await state_of(world) == before
    await world.b.nats.flush()
    assert world.b.heard == heard


async def test_a_trace_to_oneself_tells_nothing_of_others(world, spare):
    """Not of who else is there, and of the bot no more than that it listens."""
    async with logged_in(world, spare) as connection:
        sandbox = spare.sandbox
        inbox, told = f"sandbox.{sandbox.id}.work.trace", b""
        header = f"NATS/1.0\r\nNats-Trace-Dest: {inbox}\r\n\r\n".encode()
        await connection.send(f"SUB {inbox} 1".encode())
        for subject, body in (
            (f"sandbox.{sandbox.id}.work.x", b""),
            (f"sandbox.{sandbox.id}.replay", b"{}"),
            (f"$JS.API.CONSUMER.MSG.NEXT.{sandbox.stream}.worker", b'{"batch":1,"no_wait":true}'),
            (f"$JS.ACK.{sandbox.stream}.worker.1.1.1.1.0", b"+ACK"),
        ):
            line = f"HPUB {subject} {inbox} {len(header)} {len(header) + len(body)}".encode()
            told += b"".join(await connection.send(line, header + body))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while True:
                    told += await connection.reader.read(4096)
    assert b'"acc":"APP"' in told
    for secret in (str(world.b.sandbox.id), world.b.sandbox.id.hex, world.b.sandbox.stream, "sandbox-auth"):
        assert secret.encode() not in told


LOGINS = {
    "nobody": {},
    "another's id with one's own token": {"user": "{b_id}", "pass": "{a_token}"},
    "one's own token as a token": {"auth_token": "{a_token}"},
    "an id in capitals of nobody": {"user": "{B}", "pass": "{a_token}"},
    "the bot": {"user": "sandbox-bot", "pass": "{a_token}"},
    "the callout": {"user": "sandbox-auth", "pass": "{a_token}"},
    "the system": {"user": "sandbox-system", "pass": "{a_token}"},
    "who answers replays": {"user": "services", "pass": "{a_token}"},
    "the probe": {"user": "probe", "pass": "{a_token}"},
    "a token that is a JWT": {"jwt": "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.e30.", "user": "{a_id}", "pass": "x"},
    "an nkey without a signature": {"nkey": "UABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVW", "pass": "x"},
    "a number for a user": {"user": "1", "pass": "1"},
    "a stream's short id": {"user": "{b}", "pass": "{a_token}"},
    "a wildcard": {"user": "*", "pass": "*"},
    "an empty token": {"user": "{a_id}", "pass": ""},
    "a long token": {"user": "{a_id}", "pass": "{a_token}" * 30},
    "an account of one's choice": {"user": "{b_id}", "pass": "x", "account": "APP"},
}


@pytest.mark.parametrize("name", LOGINS)
async def test_nats_lets_nobody_in_as(world, name):
    async with dial(world) as connection:
        may_know = world.names | {"B": str(world.b.sandbox.id).upper()}
        login = {key: value.format(**may_know) for key, value in LOGINS[name].items()}
        assert not await connection.log_in(**login)


async def test_who_knows_anothers_id_keeps_its_workers_from_no_login(world, monkeypatch):
    """By as many wrong tokens as it likes."""
    monkeypatch.setattr(constants, "NATS_MOST_LOGINS", 5)
    worker = await world.add(BOB)
    for _ in range(2 * constants.NATS_MOST_LOGINS):
        async with dial(world) as connection:
            assert not await connection.log_in(**{"user": str(worker.sandbox.id), "pass": "x"})
    async with logged_in(world, worker):
        """It is let in."""
    await worker.close()


@pytest.mark.parametrize("kind", ["ROUTER", "LEAF", "GATEWAY", "RS+", "A+", "RMSG", "LS+", "INFO"])
async def test_a_worker_is_no_server(world, kind):
    lines = {
        "ROUTER": b'CONNECT {"name":"x","tls_required":false,"headers":true}',
        "RS+": b"RS+ APP sandbox.>",
        "A+": b"A+ APP",
        "RMSG": b"RMSG APP sandbox.x.work 0\r\n",
        "LS+": b"LS+ sandbox.>",
        "INFO": b'INFO {"server_id":"x","cluster":"y"}',
        "LEAF": b'CONNECT {"is_queue_weight":true,"remote_account":"APP","leafnode_urls":["x"]}',
        "GATEWAY": b'CONNECT {"gateway":"x","gateway_urls":["x"]}',
    }
    async with logged_in(world, world.a) as connection:
        before = await state_of(world)
        await connection.send(lines[kind])
        answers = await connection.send(f"SUB sandbox.{world.b.sandbox.id}.> 9".encode())
        assert answers == [] or any(b"Violation" in line or b"Parser Error" in line for line in answers)
        assert await state_of(world) == before


HUGE = {
    "a subject": lambda world: b"PUB sandbox.%b.work.%b 0\r\n" % (str(world.a.sandbox.id).encode(), b"x" * 100_000),
    "many tokens": lambda world: b"SUB sandbox.%b.work%b 5" % (str(world.a.sandbox.id).encode(), b".x" * 1500),
    "a payload": lambda world: b"PUB sandbox.%b.work.x 99999999" % str(world.a.sandbox.id).encode(),
    "a negative size": lambda world: b"PUB sandbox.%b.work.x -1" % str(world.a.sandbox.id).encode(),
    "a header longer than its message": lambda world: b"HPUB sandbox.%b.work.x 99 1" % str(world.a.sandbox.id).encode(),
    "a subject with a blank": lambda world: b"PUB sandbox.%b.work. x y z 0\r\n" % str(world.a.sandbox.id).encode(),
}


@pytest.mark.parametrize("name", HUGE)
async def test_what_is_malformed_costs_its_sender_alone(world, spare, name):
    async with logged_in(world, spare) as connection:
        with suppress(ConnectionError):
            await connection.send(HUGE[name](world))
    assert world.b.nats.is_connected
    assert (await ask(world.b))["ok"]


async def ask(worker):
    inbox = worker.nats.new_inbox()
    message = await worker.nats.request(
        names.replay_subject(worker.sandbox.id), json.dumps({"deliver": inbox}).encode(), timeout=5
    )
    return json.loads(message.data)


DELIVERED_TO = [
    "sandbox.{b_id}.work.x",
    "_INBOX_{b_hex}.x",
    "_INBOX_{a_hex}",
    "_INBOX_{a_hex}.x.y",
    "_INBOX_{a_hex}.*",
    "_INBOX_{a_hex}.>",
    "_INBOX_{a_hex}.x\u0000",
    "_INBOX_{a_hex}.x y",
    "_INBOX_{a_hex}.x\r\nPUB sandbox.{b_id}.work.x 0\r\n",
    "_INBOX_{a_hex}x.y",
    "$JS.API.STREAM.DELETE.{b_stream}",
    "",
]


@pytest.mark.parametrize("deliver", DELIVERED_TO)
async def test_a_replay_is_not_delivered_to(world, deliver):
    request = json.dumps({"deliver": deliver.format(**world.names)}).encode()
    heard = list(world.b.heard)
    with suppress(nats.errors.TimeoutError):
        answer = await world.a.nats.request(names.replay_subject(world.a.sandbox.id), request, timeout=0.5)
        assert "error" in json.loads(answer.data)
    await world.b.nats.flush()
    assert world.b.heard == heard


async def test_a_connection_that_was_made_before_ends_with_its_sandbox_and_comes_back_as_nobody(world):
    worker = await world.add(BOB)
    login = {"user": str(worker.sandbox.id), "pass": worker.token}
    async with dial(world) as live, dial(world) as silent:
        assert await live.log_in(**login)
        await world.manager.destroy(BOB, worker.sandbox.id)
        await until(lambda: live.is_closed)
        assert not await silent.log_in(**login)
    await worker.close()
