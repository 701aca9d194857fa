import asyncio
import json
import os
import re
import signal
from datetime import timedelta

import pytest
from nats.js.api import StreamConfig

from bot import constants
from bot.clock import elapsed
from bot.routing.publisher import Publisher
from bot.stores.embedded import EmbeddedStores
from bot.stores.embedded.programs import nats_program
from bot.stores.nats_client import open_nats

STREAM, SUBJECTS = "EVENTS", "sandbox.x.events.>"
SUBJECT = "sandbox.x.events.TEST"
MUTE = "sandbox.mute.events.TEST"


@pytest.fixture
async def jetstream(nats_client):
    jetstream = nats_client.jetstream()
    await jetstream.add_stream(name=STREAM, subjects=[SUBJECTS])
    return jetstream


@pytest.fixture
async def make_publisher(nats_client):
    opened = []

    async def make(client=nats_client, window=1000, ack_timeout=timedelta(seconds=5)):
        publisher = Publisher(client, window=window, ack_timeout=ack_timeout)
        await publisher.start()
        opened.append(publisher)
        return publisher

    yield make
    for publisher in opened:
        await publisher.close()


@pytest.fixture
async def own_nats(tmp_path):
    """Starts a NATS server of the test's own, with more configuration if given: its address and its process.
    `jetstream` is more of JetStream's; None: without it."""
    started = []

    async def start(configuration="", port=-1, jetstream=""):
        store = "" if jetstream is None else f'jetstream {{ store_dir: "{tmp_path}", {jetstream} }}\n'
        (tmp_path / "nats.conf").write_text(
            f'listen: "127.0.0.1:{port}"\nports_file_dir: "{tmp_path}"\n{store}{configuration}'
        )
        process = await asyncio.create_subprocess_exec(
            nats_program(), "-c", str(tmp_path / "nats.conf"), stderr=asyncio.subprocess.DEVNULL
        )
        started.append(process)
        ports = tmp_path / f"nats-server_{process.pid}.ports"
        async with asyncio.timeout(10):
            while not ports.exists() or not ports.read_text().endswith("}"):
                await asyncio.sleep(0.01)
        return json.loads(ports.read_text())["nats"][0], process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_is_published_is_stored_unchanged_with_its_id_and_headers(jetstream, make_publisher):
    publisher = await make_publisher()
    payload = "{“ünïcode” \\u0000}".encode()
    publisher.publish(SUBJECT, payload, "session:0:1", {"Extra": "7"})
    assert await publisher.drain(5) == 0
    stored = await jetstream.get_msg(STREAM, 1)
    assert (stored.subject, stored.data) == (SUBJECT, payload)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", stored.headers.pop("traceparent"))
    assert stored.headers == {"Nats-Msg-Id": "session:0:1", "Extra": "7"}


async def test_20_000_events_are_each_acknowledged_once_in_order(jetstream, make_publisher):
    publisher = await make_publisher()
    for number in range(20_000):
        await publisher.wait_for_capacity()
        publisher.publish(SUBJECT, b"%d" % number, str(number))
    assert await publisher.drain(20) == 0
    assert publisher.counts["acked"] == 20_000
    state = (await jetstream.stream_info(STREAM)).state
    assert (state.messages, state.last_seq) == (20_000, 20_000)
    for sequence in (1, 777, 20_000):
        assert (await jetstream.get_msg(STREAM, sequence)).data == b"%d" % (sequence - 1)


async def test_a_repeated_id_is_stored_once(jetstream, make_publisher):
    publisher = await make_publisher()
    for _ in range(3):
        publisher.publish(SUBJECT, b"same", "same")
    await publisher.drain(5)
    assert (publisher.counts["acked"], publisher.counts["duplicates"]) == (1, 2)
    assert (await jetstream.stream_info(STREAM)).state.messages == 1


async def test_a_missing_stream_is_a_result_and_blocks_nobody(jetstream, make_publisher):
    publisher = await make_publisher(window=10)
    for number in range(50):
        await publisher.wait_for_capacity()
        publisher.publish("sandbox.gone.events.TEST", b"", f"gone {number}")
        publisher.publish(SUBJECT, b"", f"here {number}")
    assert await publisher.drain(5) == 0
    assert (publisher.counts["refused"], publisher.counts["acked"]) == (50, 50)


async def test_an_error_of_the_stream_is_a_result(nats_client, make_publisher):
    await nats_client.jetstream().add_stream(name="SMALL", subjects=["small"], max_msg_size=10)
    publisher = await make_publisher()
    publisher.publish("small", b"x" * 100, "1")
    assert await publisher.drain(5) == 0
    assert publisher.counts["refused"] == 1


async def test_a_stream_that_vanishes_under_load_costs_only_its_own_events(nats_client, jetstream, make_publisher):
    await jetstream.add_stream(name="DOOMED", subjects=["sandbox.doomed.events.>"])
    publisher = await make_publisher(window=50, ack_timeout=timedelta(milliseconds=500))

    async def load():
        for number in range(2000):
            await publisher.wait_for_capacity()
            publisher.publish("sandbox.doomed.events.TEST", b"", f"d{number}")
            publisher.publish(SUBJECT, b"", f"k{number}")

    loading = asyncio.create_task(load())
    while publisher.counts["acked"] < 200:
        await asyncio.sleep(0)
    await jetstream.delete_stream("DOOMED")
    await loading
    assert await publisher.drain(10) == 0
    assert publisher.counts["refused"] > 0
    assert (await jetstream.stream_info(STREAM)).state.messages == 2000


async def test_what_is_in_no_stream_is_given_up_though_somebody_listens_and_nothing_else_is(
    nats_client, jetstream, make_publisher
):
    await nats_client.subscribe("mute")
    publisher = await make_publisher(ack_timeout=timedelta(milliseconds=150))
    publisher.publish("mute", b"1", "1")
    publisher.publish("mute", b"2", "2")
    publisher.publish(SUBJECT, b"3", "3")
    assert await publisher.drain(10) == 0
    assert (publisher.counts["refused"], publisher.counts["acked"]) == (2, 1)


async def test_what_nats_does_not_permit_is_given_up(own_nats, make_publisher):
    url, _ = await own_nats(
        'authorization { users: [{ user: u, password: p, permissions: { publish: ["$JS.>", "a"] } }] }'
    )
    client = await open_nats(url.replace("//", "//u:p@"))
    await client.jetstream().add_stream(name="BOTH", subjects=["a", "b"])
    publisher = await make_publisher(client, ack_timeout=timedelta(milliseconds=150))
    publisher.publish("b", b"", "1")
    publisher.publish("a", b"", "2")
    assert await publisher.drain(10) == 0
    assert (publisher.counts["refused"], publisher.counts["acked"]) == (1, 1)
    await publisher.close()
    await client.close()


async def test_what_the_next_server_does_not_take_is_refused_and_the_rest_arrives(own_nats, make_publisher):
    url, server = await own_nats()
    client = await open_nats(url)
    await client.jetstream().add_stream(name=STREAM, subjects=[SUBJECTS])
    publisher = await make_publisher(client)
    server.kill()
    await server.wait()
    while client.is_connected:
        await asyncio.sleep(0.01)
    publisher.publish(SUBJECT, b"x" * 2000, "large")
    publisher.publish(SUBJECT, b"small", "small")
    await own_nats("max_payload: 1000", port=url.rpartition(":")[2])
    assert await publisher.drain(10) == 0
    assert (publisher.counts["refused"], publisher.counts["acked"]) == (1, 1)
    assert (await client.jetstream().get_msg(STREAM, 1)).data == b"small"
    await publisher.close()
    await client.close()


async def test_what_comes_while_jetstream_is_off_is_stored_when_it_is_on_again(own_nats, make_publisher):
    """Nobody listens on a subject of a JetStream that has turned itself off: that is no proof of a missing stream."""
    url, server = await own_nats()
    client = await open_nats(url)
    await client.jetstream().add_stream(name=STREAM, subjects=[SUBJECTS])
    publisher = await make_publisher(client, ack_timeout=timedelta(milliseconds=150))
    for jetstream in (None, ""):
        server.terminate()
        await server.wait()
        _, server = await own_nats(port=url.rpartition(":")[2], jetstream=jetstream)
        publisher.publish(SUBJECT, b"", f"with {jetstream}")
        assert await publisher.drain(1 if jetstream is None else 10) == (1 if jetstream is None else 0)
    assert (publisher.counts["refused"], publisher.counts["acked"]) == (0, 2)
    await publisher.close()
    await client.close()


async def test_what_lost_its_acknowledgement_is_sent_again_in_order(stores, jetstream, make_publisher):
    listener = await open_nats(stores.nats_url)
    inbox = await listener.subscribe(SUBJECT)
    await listener.flush()
    publisher = await make_publisher(ack_timeout=timedelta(milliseconds=150))
    complete, lost = publisher._complete, set()

    def lose_once(number):
        if number in lost:
            return complete(number)
        lost.add(number)
        return False

    publisher._complete = lose_once
    for number in range(3):
        publisher.publish(SUBJECT, b"%d" % number, str(number))
    assert await publisher.drain(10) == 0
    assert [(await inbox.next_msg(5)).data for _ in range(6)] == [b"0", b"1", b"2"] * 2
    assert (publisher.counts["resent"], publisher.counts["duplicates"]) == (3, 3)
    await listener.close()


async def test_a_nats_that_stands_still_for_many_timeouts_costs_nothing(own_nats, make_publisher):
    url, server = await own_nats()
    client = await open_nats(url)
    await client.jetstream().add_stream(name=STREAM, subjects=[SUBJECTS])
    publisher = await make_publisher(client, ack_timeout=timedelta(milliseconds=100))
    server.send_signal(signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # each of its threads
    for number in range(100):
        publisher.publish(SUBJECT, b"x" * 1000, str(number))
    assert await publisher.drain(1.5) == 100
    server.send_signal(signal.SIGCONT)
    assert await publisher.drain(10) == 0
    assert publisher.counts["refused"] == 0
    assert publisher.counts["resent"] <= 100
    state = (await client.jetstream().stream_info(STREAM)).state
    assert (state.messages, state.last_seq) == (100, 100)
    await publisher.close()
    await client.close()


async def test_the_window_bounds_what_waits(jetstream, make_publisher):
    publisher = await make_publisher(window=5)
    for number in range(5):
        publisher.publish(SUBJECT, b"", str(number))
    assert publisher.is_full
    await asyncio.wait_for(publisher.wait_for_capacity(), 5)
    assert not publisher.is_full


async def test_what_is_larger_than_nats_takes_does_not_fit(make_publisher, nats_client):
    publisher = await make_publisher()
    assert publisher.fits(b"x" * (nats_client.max_payload - 1024))
    assert not publisher.fits(b"x" * nats_client.max_payload)


async def test_a_killed_nats_loses_doubles_and_inverts_nothing(tmp_path, make_publisher):
    async with EmbeddedStores(tmp_path, stores=frozenset({"nats"}), durable=False) as own:
        client = await open_nats(own.nats_url)
        jetstream = client.jetstream()
        await jetstream.add_stream(name=STREAM, subjects=[SUBJECTS])
        publisher = await make_publisher(client, window=500, ack_timeout=timedelta(seconds=1))
        total, kill_at = 6000, {1500, 3500}
        for number in range(total):
            await publisher.wait_for_capacity()
            publisher.publish(SUBJECT, b"%d" % number, str(number))
            if number in kill_at:
                os.kill(own.pids["nats"], signal.SIGKILL)
            if number % 20 == 0:
                await asyncio.sleep(0)
        assert await publisher.drain(30) == 0

        subscription = await jetstream.subscribe(SUBJECTS, ordered_consumer=True)
        received = [int((await subscription.next_msg(timeout=5)).data) for _ in range(total)]
        assert received == list(range(total))
        assert (await jetstream.stream_info(STREAM)).state.messages == total
        await publisher.close()
        await client.close()


@pytest.fixture
async def two_streams(nats_client, jetstream):
    """One of them can be silenced: it acknowledges nothing, as if its leader had gone."""
    config = StreamConfig(name="MUTE", subjects=["sandbox.mute.events.>"], duplicate_window=600)
    await nats_client.jetstream().add_stream(config)

    async def silence(silent):
        await nats_client.jetstream().update_stream(config.evolve(no_ack=silent))

    return silence


async def test_a_stream_that_answers_nothing_holds_up_no_other_and_gets_all_in_order(
    nats_client, two_streams, make_publisher
):
    publisher = await make_publisher(window=50, ack_timeout=timedelta(milliseconds=150))
    await two_streams(True)
    await set_apart(publisher)
    for number in range(1, 500):
        await asyncio.wait_for(publisher.wait_for_capacity(), 5)
        publisher.publish(MUTE, b"%d" % number, f"m{number}")
        publisher.publish(SUBJECT, b"", f"k{number}")
    await asyncio.wait_for(publisher.taken_within(publisher.last_published, None), 5)
    assert publisher.low_water_mark == 0
    await two_streams(False)
    assert await publisher.drain(10) == 0
    assert await numbers(nats_client, "sandbox.mute.events.>", 500) == list(range(500))
    assert (publisher.counts["refused"], publisher.counts["lost"]) == (0, 0)


async def set_apart(publisher):
    """By one event, while the other stream goes on."""
    publisher.publish(MUTE, b"0", "m0")
    async with asyncio.timeout(5):
        while not publisher._backlog.lanes["sandbox.mute.events"].is_apart:
            publisher.publish(SUBJECT, b"", f"k{publisher.last_published}")
            await asyncio.sleep(0.02)


async def test_that_others_events_are_refused_does_not_show_that_others_go_on(nats_client, two_streams, make_publisher):
    """Nothing may be stored at all: then the streams go on to share the window."""
    await nats_client.jetstream().add_stream(name="SMALL", subjects=["sandbox.small.events.>"], max_msg_size=10)
    publisher = await make_publisher(window=50, ack_timeout=timedelta(milliseconds=150))
    await two_streams(True)
    publisher.publish(MUTE, b"0", "m0")
    async with asyncio.timeout(20):
        while publisher.counts["resent"] < 3:
            publisher.publish("sandbox.small.events.TEST", b"x" * 100, f"s{publisher.last_published}")
            await asyncio.sleep(0.02)
    assert publisher.counts["refused"] > 10
    assert not publisher._backlog.lanes["sandbox.mute.events"].is_apart


async def test_what_is_too_much_for_a_stream_that_answers_nothing_is_a_marked_gap(
    nats_client, two_streams, make_publisher, monkeypatch
):
    monkeypatch.setattr(constants, "LANE_BYTES", 10_000)
    publisher = await make_publisher(window=50, ack_timeout=timedelta(milliseconds=150))
    await two_streams(True)
    began_at, number = elapsed(), 1
    await set_apart(publisher)
    while publisher.counts["lost"] < 100:
        publisher.publish(MUTE, b"%d" % number, f"m{number}")
        number += 1
    gaps = []

    def describe(prefix, gap):
        gaps.append((prefix, gap))
        return b"-1"

    publisher.describe_gap = describe
    await two_streams(False)
    assert await publisher.drain(10) == 0
    ((prefix, gap),) = gaps
    assert (prefix, gap.events) == ("sandbox.mute.events.", publisher.counts["lost"])
    assert began_at <= gap.since <= gap.until <= elapsed()
    kept = number - gap.events
    publisher.publish(MUTE, b"%d" % number, "after")
    assert await publisher.drain(10) == 0
    assert await numbers(nats_client, "sandbox.mute.events.>", kept + 2) == [*range(kept), -1, number]


async def numbers(client, subjects, count):
    subscription = await client.jetstream().subscribe(subjects, ordered_consumer=True)
    return [int((await subscription.next_msg(timeout=5)).data) for _ in range(count)]


async def test_unacknowledged_publishing_reaches_whoever_listens(nats_client, make_publisher):
    inbox = await nats_client.subscribe("events.>")
    publisher = await make_publisher()
    publisher.publish_unacknowledged("events.TEST", json.dumps({}).encode())
    assert (await inbox.next_msg(timeout=5)).data == b"{}"
