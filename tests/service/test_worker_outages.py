"""What a worker survives, and what is the end of it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import pytest

from bot.control_plane import open_control_plane
from bot.settings import Settings
from bot.stores.embedded import EmbeddedStores
from bot.stores.opening import open_stores
from sandbox_worker import SandboxEnded, protocol
from tests.conftest import store_settings
from tests.logs import said_by_the_kit
from tests.service.conftest import ADA
from tests.service.workers import Gate, OwnNats, make_place, take


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client)


@pytest.fixture
async def own_place(tmp_path, stores, dsn, redis_client):
    """With a NATS server of its own, that a test may kill."""
    async with EmbeddedStores(tmp_path, stores=frozenset({"nats"})) as own:
        servers = OwnNats(stores, own)
        settings = Settings(**store_settings(servers, dsn))
        async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
            place = await make_place(manager, opened.nats)
            place.servers = servers
            yield place


@pytest.fixture
def logged():
    with said_by_the_kit() as lines:
        yield lines


@pytest.fixture
def impatient(monkeypatch):
    """A refusal counts soon."""
    monkeypatch.setattr("sandbox_worker.constants.REFUSED_FOR_S", 0.5)


@pytest.fixture
async def make_gate(place):
    """Ways to the one server."""
    gates = []

    async def make():
        gates.append(Gate(place.environment["SANDBOX_NATS_URL"]))
        await gates[-1].open()
        return gates[-1]

    yield make
    for gate in gates:
        await gate.shut()


@pytest.fixture
async def gate(make_gate):
    return await make_gate()


async def test_nothing_is_lost_when_nats_is_killed_in_the_middle(own_place, logged):
    await own_place.send_many(300)
    contents = []
    async with own_place.worker() as sandbox, asyncio.timeout(45):
        async for event in sandbox.events(batch=50):
            contents.append(int(event.data["content"]))
            if len(contents) == 120:
                await own_place.servers.kill(own_place.nats)
                await own_place.send_many(100, start=300)
            await event.ack()
            if len(set(contents)) == 400:
                break
    assert contents[:120] == list(range(120))
    assert set(contents) == set(range(400))
    assert "NATS connection lost, reconnecting" in logged
    assert "NATS connection is back" in logged


@pytest.mark.long
async def test_a_worker_waits_for_a_nats_that_is_away_however_long(place, gate, impatient, logged):
    await place.send(content="early")
    await gate.shut()
    async with place.worker(SANDBOX_NATS_URL=gate.of(place.environment["SANDBOX_NATS_URL"])) as sandbox:
        events = sandbox.events()
        first = asyncio.create_task(take(events, 1))
        await asyncio.wait([first], timeout=1)
        await gate.open()
        assert (await first)[0].data["content"] == "early"
        await gate.shut()
        second = asyncio.create_task(take(events, 1))
        await place.until(place.is_left)
        await place.send(content="late")
        await asyncio.wait([second], timeout=1)
        assert not second.done()
        await gate.open()
        assert (await second)[0].data["content"] == "late"
    words = [line for line in logged if line.startswith("NATS ")]
    assert words == [
        "NATS does not let the worker in, trying on",
        "NATS connection lost, reconnecting",
        "NATS connection is back",
    ]


async def test_a_bot_that_is_away_refuses_nobody(place, impatient):
    access = place.manager.access._nats
    async with place.worker() as sandbox:
        events = sandbox.events()
        await place.send(content="before")
        await take(events, 1)
        await access.responder._drain()
        await access.disconnect(place.sandbox.id)
        later = asyncio.create_task(take(events, 1))
        await asyncio.wait([later], timeout=3)
        assert not later.done()
        await access.responder._subscribe()
        await place.send(content="after")
        assert (await later)[0].data["content"] == "after"


async def test_a_lost_connection_costs_nothing(place):
    await place.send_many(50)
    async with place.worker() as sandbox:
        events = sandbox.events(batch=20)
        await take(events, 10)
        assert await place.manager.access._nats.disconnect(place.sandbox.id) == 1
        await place.send_many(50, start=50)
        found = await take(events, 90)
        await place.until_settled()
    assert [int(event.data["content"]) for event in found] == list(range(10, 100))


async def test_a_server_that_says_nothing_any_more_is_left_for_another_within_two_seconds(place, make_gate):
    gates = [await make_gate() for _ in range(2)]
    urls = ",".join(gate.of(place.environment["SANDBOX_NATS_URL"]) for gate in gates)
    await place.send(content="before")
    async with place.worker(SANDBOX_NATS_URL=urls) as sandbox:
        events = sandbox.events()
        await take(events, 1)
        (frozen,) = (gate for gate in gates if gate.is_used)
        frozen.freeze()
        frozen_at = time.monotonic()
        await place.until(lambda: _holds(sandbox._connection.connections == 2))
        assert time.monotonic() - frozen_at < 2.2
        await frozen.shut()
        await place.until(place.is_left)
        await place.send(content="after")
        assert (await take(events, 1))[0].data["content"] == "after"


async def test_whoever_led_the_consumer_is_missed_within_two_seconds(place, stores, nats_client):
    """It has died, or stands still: it says nothing, and nobody else says so."""
    asked: asyncio.Queue[tuple[float, int]] = asyncio.Queue()

    async def note(message):
        await asked.put((time.monotonic(), json.loads(message.data)["batch"]))

    await nats_client.subscribe(protocol.pull_subject("NOBODYS"), cb=note)
    team = {"SANDBOX_NATS_URL": "", "NATS_URL": stores.nats_url, "SANDBOX_NATS_STREAM": "NOBODYS"}
    async with place.worker(**team) as sandbox:
        waiting = asyncio.create_task(take(sandbox.events(), 1))
        (first, batch), (second, later) = [await asked.get() for _ in range(2)]
        waiting.cancel()
    assert second - first < 2.2
    assert (batch, later) == (64, 1)  # it may answer everything when it moves again


@pytest.mark.long
async def test_a_worker_that_holds_up_its_own_loop_keeps_its_connection(place, make_gate):
    gates = [await make_gate() for _ in range(2)]
    urls = ",".join(gate.of(place.environment["SANDBOX_NATS_URL"]) for gate in gates)
    async with place.worker(SANDBOX_NATS_URL=urls) as sandbox:
        async with sandbox.subscribe("anything"):
            for _ in range(4):
                time.sleep(1.6)  # noqa: ASYNC251  # as a worker does that knows no better
                await asyncio.sleep(0.05)
        assert sandbox._connection.connections == 1


async def test_a_worker_goes_on_after_an_extension_and_after_the_login_of_before_has_expired(enforced, nats_client):
    place = await make_place(enforced, nats_client, ttl=timedelta(seconds=2))
    async with place.worker() as sandbox:
        events = sandbox.events()
        await place.send(content="before")
        await take(events, 1)
        await enforced.extend_ttl(ADA, place.sandbox.id, timedelta(hours=1))
        await place.until(lambda: _holds(sandbox._connection.connections == 2))
        await place.send(content="after")
        await take(events, 1)
        await asyncio.sleep(max(place.sandbox.expires_at.timestamp() - time.time(), 0) + 0.1)
        await place.send(content="still")
        assert (await take(events, 1))[0].data["content"] == "still"


async def test_a_worker_goes_on_when_only_its_expiry_tells_it_of_the_extension(enforced, nats_client, logged):
    """The bot could not end the connection at the extension."""
    place = await make_place(enforced, nats_client, ttl=timedelta(seconds=2))
    async with place.worker() as sandbox:
        events = sandbox.events()
        await place.send(content="before")
        await take(events, 1)
        await enforced._pool.execute(
            "UPDATE sandboxes SET expires_at = expires_at + interval '1 hour' WHERE id = $1", place.sandbox.id
        )
        await place.until(lambda: _holds("NATS connection lost, reconnecting" in logged))
        await place.send(content="after")
        assert (await take(events, 1))[0].data["content"] == "after"


async def test_the_end_of_a_sandbox_is_told_within_seconds(place):
    async with place.worker() as sandbox:
        waiting = asyncio.create_task(take(sandbox.events(), 1))
        async with sandbox.subscribe("anything") as messages:
            listening = asyncio.create_task(anext(messages))
            await place.until(lambda: _holds(sandbox._connection.current is not None))
            await place.manager.destroy(ADA, place.sandbox.id)
            started = time.monotonic()
            with pytest.raises(SandboxEnded, match="destroyed, expired or new credentials") as ended:
                await waiting
            assert ended.value.reason == "refused"
            with pytest.raises(SandboxEnded):
                await listening
            with pytest.raises(SandboxEnded):
                await sandbox.publish("anything")
            assert time.monotonic() - started < 8


async def test_a_worker_with_rotated_credentials_is_told_so(place, impatient):
    async with place.worker() as sandbox:
        events = sandbox.events()
        await place.send()
        await take(events, 1)
        fresh = await place.manager.issue_credentials(ADA, place.sandbox.id, rotate=True)
        with pytest.raises(SandboxEnded, match="/sandbox connect"):
            await take(events, 1)
    await place.send(content="new")
    async with place.worker(SANDBOX_NATS_URL=fresh.environment["SANDBOX_NATS_URL"]) as sandbox:
        await take(sandbox.events(), 1)


async def test_a_worker_of_an_expired_sandbox_is_told_that_it_expired(enforced, nats_client, impatient):
    place = await make_place(enforced, nats_client, ttl=timedelta(seconds=2))
    async with place.worker() as sandbox:
        with pytest.raises(SandboxEnded, match="/sandbox extend") as ended:
            await take(sandbox.events(), 1)
    assert ended.value.reason == "expired"


async def _holds(fact):
    return fact
