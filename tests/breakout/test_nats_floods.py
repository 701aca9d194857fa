"""A's worker floods NATS, from a process of its own, and B goes on."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime

import nats
import pytest

from bot import constants, names
from bot.stores.stream_positions import StreamPosition
from bot.stores.urls import without_login
from tests.breakout.conftest import Worker, until
from tests.breakout.raw import dial
from tests.breakout.sessions import until_async
from tests.service.conftest import ADA

pytestmark = [pytest.mark.long, pytest.mark.parametrize("servers", ["embedded"], indirect=True, scope="package")]

SECONDS = 1.5
NEXT = "$JS.API.CONSUMER.MSG.NEXT.{stream}.worker"
FLOODS = {
    "replays": ("sandbox.{id}.replay", "{inbox}", "{}"),
    "replays-without-an-answer": ("sandbox.{id}.replay", "", "{}"),
    "answers-to-the-callout": (NEXT, "$SYS.REQ.USER.AUTH", '{"batch":1,"no_wait":true}'),
    "held-pulls": (NEXT, "{inbox}", '{"batch":1,"expires":30000000000}'),
    "acknowledgements": ("$JS.ACK.{stream}.worker.1.1.1.1.0", "{inbox}", "+ACK"),
    "work": ("sandbox.{id}.work.x", "", "x"),
    "questions-after-the-stream": ("$JS.API.STREAM.INFO.{stream}", "{inbox}", "{}"),
    "questions-after-the-consumer": ("$JS.API.CONSUMER.INFO.{stream}.worker", "{inbox}", ""),
    "own-inbox": ("{inbox}", "", "x"),
}
ALL = [*FLOODS, "wrong logins", "wrong tokens", "right logins"]


@pytest.fixture
async def attacker(world):
    """A sandbox whose workers are elsewhere."""
    sandbox = await world.manager.create(ADA)
    details = await world.manager.issue_credentials(ADA, sandbox.id)
    return Worker(sandbox, dict(details.environment))


@asynccontextmanager
async def flooding(world, attacker, kind, seconds=SECONDS):
    """Has begun, and is waited for at the end."""
    pipe = asyncio.subprocess.PIPE
    port = world.servers.nats_url.rpartition(":")[2]
    argv = [sys.executable, "-m", "tests.breakout.flooder", _line(kind), str(seconds), port]
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    sandbox = attacker.sandbox
    known = {"id": str(sandbox.id), "hex": sandbox.id.hex, "stream": sandbox.stream, "token": attacker.token}
    process.stdin.write(json.dumps(known).encode() + b"\n")
    await process.stdin.drain()
    assert await process.stdout.readline() == b"begins\n"
    yield
    sent, _ = await process.communicate()
    assert int(sent) > 30


def _line(kind):
    if kind not in FLOODS:
        return kind
    subject, reply, body = FLOODS[kind]
    return f"PUB {subject} {reply} {len(body)}|{body.replace('{', '{{').replace('}', '}}')}|"


async def time_events(world, seconds):
    """How long B's events take to be stored, in the order of it."""
    took, until_ = [], time.monotonic() + seconds
    while (began := time.monotonic()) < until_:
        await world.stores.nats.jetstream().publish(f"{world.b.sandbox.nats_prefix}events.TIMED", b"{}")
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.005)
    return sorted(took)


async def log_in_again_and_again(world, seconds):
    """All logins of B's that came through, and those that did not."""
    outcomes, until_ = [], time.monotonic() + seconds
    while time.monotonic() < until_:
        async with dial(world) as connection, asyncio.timeout(2):
            outcomes.append(await connection.log_in(**{"user": str(world.b.sandbox.id), "pass": world.b.token}))
        await asyncio.sleep(0.2)
    return outcomes


async def ask_for_replay(world, worker):
    inbox = worker.nats.new_inbox()
    request = json.dumps({"deliver": inbox, "since": time.time()}).encode()
    answer = await worker.nats.request(names.replay_subject(worker.sandbox.id), request, timeout=5)
    return json.loads(answer.data)


@pytest.fixture(scope="module")
async def calm(world):
    """The slowest hundredth of B's events beside a process that sends nothing, in seconds."""
    attacker = Worker(world.a.sandbox, world.a.urls)
    async with flooding(world, attacker, "burner"):
        took = await time_events(world, SECONDS)
    return max(took[int(len(took) * 0.99)], 0.03)  # other tests run beside this one


@pytest.mark.parametrize("kinds", [*([kind] for kind in ALL), ["replays", "wrong logins"]], ids=" and ".join)
async def test_a_flood_leaves_others_their_logins_replays_and_events(world, attacker, calm, kinds):
    used = time.process_time()
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        for kind in kinds:
            await stack.enter_async_context(flooding(world, attacker, kind))
        took, outcomes, replay = await asyncio.gather(
            time_events(world, SECONDS), log_in_again_and_again(world, SECONDS), ask_for_replay(world, world.b)
        )
    assert outcomes
    assert all(outcomes)
    assert replay["ok"]
    assert took[int(len(took) * 0.99)] <= 3 * calm
    assert time.process_time() - used < 0.6 * SECONDS  # of a core, on the bot's side


async def test_of_requests_for_replays_the_bot_sees_a_ration_and_later_another(world, monkeypatch):
    worker, asked = await world.add(), []

    async def note(sandbox_id, request):
        asked.append(request)
        return StreamPosition(0, datetime.now(UTC))

    monkeypatch.setattr(world.manager.streams, "replay", note)
    subject, inbox = names.replay_subject(worker.sandbox.id), worker.nats.new_inbox()
    body = json.dumps({"deliver": inbox}).encode()
    for number in range(2000):
        await worker.nats.publish(subject, body, reply=f"{inbox}-{number}")
    await worker.nats.flush()
    await until(lambda: len(asked) >= constants.RATION)

    async def is_answered():
        try:
            return json.loads((await worker.nats.request(subject, body, timeout=0.2)).data)["ok"]
        except nats.errors.TimeoutError:
            return False

    async with asyncio.timeout(5):
        while not await is_answered():
            """It is not, until there is another ration."""
    assert len(asked) <= 3 * constants.RATION
    await worker.close()


async def test_no_answer_can_be_led_to_the_auth_callout(world):
    callout, a = world.stores.callout.auth, world.a
    seen = callout.stats["in_msgs"]
    request = b'{"batch":1,"no_wait":true}'
    for _ in range(50):
        await a.nats.publish(NEXT.format(stream=a.sandbox.stream), request, reply="$SYS.REQ.USER.AUTH")
    await a.nats.flush()
    await callout.flush()
    assert callout.stats["in_msgs"] == seen


async def test_a_fast_worker_that_catches_up_with_a_backlog_is_not_barred(world, attacker, monkeypatch):
    """It acknowledges each of many events, faster than a flood is allowed to be."""
    monkeypatch.setattr(constants, "FLOOD_MESSAGES", 500)
    publisher, subject = world.stores.nats.jetstream(), f"{attacker.sandbox.nats_prefix}events.BACKLOG"
    await asyncio.gather(*(publisher.publish(subject, b"{}") for _ in range(BACKLOG)))
    client = await attacker.connect_nats()
    events = await client.jetstream().pull_subscribe_bind(consumer="worker", stream=attacker.sandbox.stream)
    for _ in range(BACKLOG // 100):
        for event in await events.fetch(100, timeout=5):
            await event.ack()
    await until_async(lambda: are_accepted(world, attacker), 5)
    await world.manager.access.nats.floods.look()
    assert not world.manager.access.keeps_out_of_nats(attacker.sandbox.id)
    assert client.is_connected
    await client.close()


async def are_accepted(world, attacker):
    return await world.manager.streams.count_accepted(attacker.sandbox.id) == BACKLOG


BACKLOG = 3000


async def test_who_floods_is_told_so_in_the_sandboxs_status(world, attacker, monkeypatch):
    monkeypatch.setattr(constants, "FLOOD_MESSAGES", 50)
    client = await attacker.connect_nats()

    async def is_barred():
        for _ in range(200):
            with suppress(nats.errors.Error):
                await client.publish(f"sandbox.{attacker.sandbox.id}.work.x", b"")
        with suppress(nats.errors.Error):
            await client.flush(timeout=1)
        return world.manager.access.keeps_out_of_nats(attacker.sandbox.id)

    await until_async(is_barred, 5)
    health = await world.manager.get_health(attacker.sandbox.id)
    assert not health.nats.ok
    assert "sent too much" in health.nats.summary


async def test_who_floods_is_cut_off_and_let_in_again_later(world, attacker, monkeypatch):
    monkeypatch.setattr(constants, "FLOOD_BARS_FIRST_S", 2.0)
    login = {"user": str(attacker.sandbox.id), "pass": attacker.token}
    message = b"PUB sandbox.%b.work.x 0\r\n\r\n" % str(attacker.sandbox.id).encode()
    async with dial(world) as connection:
        assert await connection.log_in(**login)
        async with asyncio.timeout(10):
            while not connection.is_closed:
                connection.writer.write(message * 2000)
                await asyncio.gather(connection.writer.drain(), asyncio.sleep(0), return_exceptions=True)
    async with dial(world) as connection:
        connecting = asyncio.create_task(connection.log_in(**login))
        assert await asyncio.wait({connecting}, timeout=0.5) == (set(), {connecting})  # it is not answered
        connecting.cancel()
    async with asyncio.timeout(8):
        let_in = False
        while not let_in:
            async with dial(world) as connection:
                let_in = await connection.log_in(**login)
    assert world.b.nats.is_connected


async def test_the_client_that_answers_replays_may_do_nothing_else(world):
    """Its password is derived from the issuer's seed, which is the bots' alone."""
    errors = []

    async def note(error):
        errors.append(str(error).lower())

    url = world.manager.access.nats.replays_url(without_login(world.servers.nats_url))
    client = await nats.connect(url, error_cb=note, allow_reconnect=False)
    for subject in (names.event_subjects(world.b.sandbox.id), "$JS.API.>", "sandbox-info.>", "$SYS.>", ">", "_INBOX.>"):
        await client.subscribe(subject)
        await client.flush()
        await until(lambda: any("permissions violation for subscription" in error for error in errors))
        errors.clear()
    for subject in (names.inbox_prefix(world.b.sandbox.id) + ".x", "$JS.API.INFO", "sandbox.x.work.x"):
        await client.publish(subject, b"{}")
        await client.flush()
        await until(lambda: any("permissions violation for publish" in error for error in errors))
        errors.clear()
    await client.close()
