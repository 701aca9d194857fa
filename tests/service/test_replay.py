"""A worker that listens to its sandbox without taking events from the others."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import nats
import pytest
from nats.errors import NoRespondersError

from bot import names
from bot.control_plane import open_control_plane, serve_workers
from bot.errors import InvalidInput
from bot.settings import Settings
from bot.stores.nats import Replay
from bot.stores.opening import open_stores
from bot.stores.stream_positions import StreamPosition
from bot.supervisor import Supervisor
from sandbox_worker import protocol
from tests.conftest import store_settings
from tests.service.conftest import ADA, BOB


class Listener:
    """A worker with the sandbox's own credentials."""

    def __init__(self, client, sandbox):
        self.client, self.sandbox = client, sandbox
        self.inbox = client.new_inbox()

    async def ask(self, **request):
        self.events = await self.client.subscribe(self.inbox)
        return await self.say({"deliver": self.inbox, **request})

    async def say(self, request):
        body = json.dumps(request).encode()
        return json.loads((await self.client.request(names.replay_subject(self.sandbox.id), body, timeout=5)).data)

    async def receive(self, count):
        """Names and stream sequences of the next events."""
        found: list[tuple[str, int]] = []
        while len(found) < count:
            message = await self.events.next_msg(timeout=10)
            if message.headers is None or "Status" not in message.headers:
                found.append((message.subject.rpartition(".")[2], message.metadata.sequence.stream))
        return found


@pytest.fixture
async def connect():
    clients = []

    async def connect(manager, sandbox):
        details = await manager.issue_credentials(ADA, sandbox.id)
        client = await nats.connect(
            details.environment["SANDBOX_NATS_URL"], inbox_prefix=names.inbox_prefix(sandbox.id).encode()
        )
        clients.append(client)
        return Listener(client, sandbox)

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
def listen(enforced, connect):
    async def connect_to_it(sandbox):
        return await connect(enforced, sandbox)

    return connect_to_it


@pytest.fixture
def publish(nats_client):
    async def send(sandbox, *events):
        for name in events:
            await nats_client.jetstream().publish(f"sandbox.{sandbox.id}.events.{name}", b"{}")

    return send


async def test_stored_events_are_played_from_a_time_on_and_then_the_ones_that_come(enforced, listen, publish):
    sandbox = await enforced.create(ADA)
    await publish(sandbox, "OLD")
    since = time.time()
    await publish(sandbox, "MESSAGE_CREATE", "TYPING_START")
    listener = await listen(sandbox)
    assert (await listener.ask(since=since))["ok"]
    assert await listener.receive(2) == [("MESSAGE_CREATE", 2), ("TYPING_START", 3)]
    await publish(sandbox, "MESSAGE_DELETE")
    assert await listener.receive(1) == [("MESSAGE_DELETE", 4)]


async def test_a_listener_goes_on_where_it_was_and_hears_what_it_asked_for_only(enforced, listen, publish):
    sandbox = await enforced.create(ADA)
    await publish(sandbox, "MESSAGE_CREATE", "MESSAGE_CREATE", "TYPING_START", "MESSAGE_CREATE")
    listener = await listen(sandbox)
    assert (await listener.ask(after=1, events=["MESSAGE_CREATE"]))["ok"]
    assert await listener.receive(2) == [("MESSAGE_CREATE", 2), ("MESSAGE_CREATE", 4)]


async def test_a_listener_is_told_after_what_it_listens_and_hears_all_of_another_stream(
    enforced, listen, publish, nats_client
):
    sandbox = await enforced.create(ADA)
    await publish(sandbox, "OLD", "OLD", "OLD")
    listener = await listen(sandbox)
    began = await listener.ask()
    stream = (await nats_client.jetstream().stream_info(sandbox.stream)).created
    assert began == {
        "ok": True,
        "after": 3,
        "stream_created_at": stream.isoformat(),
        "heartbeat_s": protocol.REPLAY_HEARTBEAT_S,
    }
    await nats_client.jetstream().delete_stream(sandbox.stream)
    await enforced.streams.create(sandbox.id)
    await publish(sandbox, *["NEW"] * 5)
    listener.inbox = listener.client.new_inbox()  # as the kit does
    again = await listener.ask(after=3, stream_created_at=began["stream_created_at"])
    assert (again["after"], again["stream_created_at"] != began["stream_created_at"]) == (0, True)
    assert await listener.receive(5) == [("NEW", number) for number in range(1, 6)]


async def test_a_listener_that_is_older_is_not_left_waiting_for_the_number_it_had(enforced, listen, publish):
    sandbox = await enforced.create(ADA)
    await publish(sandbox, "MESSAGE_CREATE")
    listener = await listen(sandbox)
    assert (await listener.ask(after=500))["after"] == 0
    assert await listener.receive(1) == [("MESSAGE_CREATE", 1)]


async def test_who_is_lost_and_who_is_destroyed_is_told_apart(enforced, listen, nats_client):
    sandbox = await enforced.create(ADA)
    listener = await listen(sandbox)
    await nats_client.jetstream().delete_stream(sandbox.stream)
    for request in ({}, {"state": True}):
        answer = await listener.say(request or {"deliver": listener.inbox})
        assert (answer["service"], "ended" in answer) == ("NATS", False)
    await enforced._pool.execute("UPDATE sandboxes SET status = 'destroying' WHERE id = $1", sandbox.id)
    for request in ({}, {"state": True}):
        assert (await listener.say(request or {"deliver": listener.inbox}))["ended"]


async def test_listening_takes_nothing_from_the_workers(enforced, listen, publish, nats_client):
    sandbox = await enforced.create(ADA)
    await publish(sandbox, "MESSAGE_CREATE")
    listener = await listen(sandbox)
    await listener.ask(since=0)
    await listener.receive(1)
    assert (await nats_client.jetstream().consumer_info(sandbox.stream, "worker")).num_pending == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"events": ["a.b"]},
        {"since": -1},
        {"since": 1e300},
        {"after": 2**70},
        {"unknown": 1},
        {"deliver": "sandbox.events"},
        {"deliver": "_INBOX_00000000000000000000000000000000.x"},
    ],
)
async def test_a_misshapen_request_is_refused_with_a_sentence(enforced, listen, request_):
    listener = await listen(await enforced.create(ADA))
    assert "error" in await listener.ask(**request_)


async def test_events_are_never_delivered_outside_the_askers_inbox(enforced, listen, publish, nats_client):
    ada, bob = await enforced.create(ADA), await enforced.create(BOB)
    await publish(ada, "MESSAGE_CREATE")
    listener = await listen(ada)
    for deliver in (names.event_subject_prefix(bob.id) + "X", names.inbox_prefix(bob.id) + ".x", listener.inbox + ".>"):
        assert "error" in await listener.ask(deliver=deliver, since=0)
    await listener.client.publish(
        names.replay_subject(ada.id), b"{}", reply=names.event_subject_prefix(bob.id) + "FORGED"
    )
    assert (await listener.ask(since=0))["ok"]  # what was asked before has been looked at
    assert (await nats_client.jetstream().stream_info(bob.stream)).state.messages == 0


async def test_one_sandbox_has_no_more_listeners_than_twenty(enforced, listen):
    listener = await listen(await enforced.create(ADA))
    answers = [await listener.ask() for _ in range(20)]
    assert [answer.get("ok") for answer in answers] == [True] * 19 + [None]
    assert "20 listeners" in answers[-1]["error"]


async def test_listeners_are_no_more_than_twenty_also_when_they_ask_at_once(enforced, nats_client):
    sandbox = await enforced.create(ADA)
    inbox = names.inbox_prefix(sandbox.id)
    asked = [enforced.streams.replay(sandbox.id, Replay(f"{inbox}.{number}")) for number in range(62)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} <= {StreamPosition, InvalidInput}
    assert (await nats_client.jetstream().stream_info(sandbox.stream)).state.consumer_count <= 20


async def test_listeners_that_ask_one_bot_at_once_are_refused_no_sooner_than_after_nineteen(enforced, listen):
    listener = await listen(await enforced.create(ADA))
    answers = await asyncio.gather(*(listener.ask() for _ in range(25)))
    assert [answer.get("ok") for answer in answers].count(True) == 19


async def test_a_request_that_is_too_long_is_refused(enforced, listen):
    listener = await listen(await enforced.create(ADA))
    assert "too long" in (await listener.ask(events=["X" * 64] * 1000))["error"]


@pytest.fixture
async def other(stores, dsn, nats_client, connect):
    """A bot whose answers to workers have not begun, and a worker that has logged in before."""
    settings = Settings(**store_settings(stores, dsn))
    async with (
        open_stores(settings) as opened,
        Supervisor() as supervisor,
        open_control_plane(settings, opened, supervisor=supervisor) as manager,
    ):

        @asynccontextmanager
        async def serving():
            async with serve_workers(opened, manager, supervisor):
                yield manager

        yield serving, await connect(manager, await manager.create(ADA))


async def until_heard(listener):
    async with asyncio.timeout(5):
        while True:
            try:
                return await listener.ask()
            except NoRespondersError:
                await listener.events.unsubscribe()


async def test_a_bot_hears_workers_that_it_has_not_let_in_itself(other):
    serving, listener = other
    async with serving():
        assert (await until_heard(listener))["ok"]
    with pytest.raises(NoRespondersError):
        await listener.ask()


async def test_what_is_asked_before_a_stop_is_answered(other):
    serving, listener = other
    asked, may_end = asyncio.Event(), asyncio.Event()
    async with serving() as manager:
        replay = manager.streams.replay

        async def late_replay(*arguments):
            asked.set()
            await may_end.wait()
            return await replay(*arguments)

        manager.streams.replay = late_replay
        answer = asyncio.create_task(until_heard(listener))
        await asked.wait()
        asyncio.get_running_loop().call_later(0.1, may_end.set)  # the stop is under way
    assert (await answer)["ok"]
