"""Streams that an earlier version has left in another account of the embedded NATS."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import nats
import pytest

from bot.names import event_subject_prefix, event_subjects, stream_name
from bot.stores.embedded import EmbeddedStores
from bot.stores.embedded.folder import free_port
from bot.stores.embedded.programs import nats_program
from bot.stores.nats import StreamLimits, StreamStore
from bot.stores.stream_marks import MARK

BLUE = UUID("12345678-0000-4000-8000-000000000001")
STREAM = stream_name(BLUE)
MESSAGES = event_subject_prefix(BLUE) + "MESSAGE_CREATE"
LIMITS = StreamLimits(timedelta(days=3), 1000, 10_000_000)
NATS = frozenset({"nats"})
EARLIER = {
    "$G": "",
    "SANDBOX": 'accounts { SANDBOX { jetstream: enabled, users: [{ user: "bot", password: "pw" }] } }',
}
"""By the account that has had the streams, the server's configuration."""


@dataclass
class Left:
    """What an earlier version has left."""

    account: str
    created: datetime


@asynccontextmanager
async def jetstream_in(folder, account):
    """A server as an earlier version had it."""
    folder.mkdir(exist_ok=True)
    port, config = free_port(), folder / "earlier.conf"
    store = json.dumps(str(folder / "nats"))
    config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: {store} }}\n{EARLIER[account]}\n')
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(nats_program(), "-c", str(config), stderr=pipe)
    try:
        async with asyncio.timeout(10):
            while b"Server is ready" not in await server.stderr.readline():
                pass
        client = await nats.connect(f"nats://127.0.0.1:{port}", user="bot", password="pw")
        yield client.jetstream()
        await client.close()
    finally:
        server.terminate()
        await server.communicate()


async def leave_events(jetstream):
    """Five, of which a worker has acknowledged two; what the server says of the stream."""
    await jetstream.add_stream(
        name=STREAM, subjects=[event_subjects(BLUE)], description=MARK, max_age=LIMITS.max_age.total_seconds()
    )
    worker = await jetstream.pull_subscribe(event_subjects(BLUE), durable="worker", stream=STREAM)
    for number in range(1, 6):
        await jetstream.publish(MESSAGES, str(number).encode(), headers={"Nats-Msg-Id": f"session:0:{number}"})
    for message in await worker.fetch(2):
        await message.ack_sync()
    return await jetstream.stream_info(STREAM)


@pytest.fixture(params=EARLIER)
async def left(request, tmp_path):
    """A stream in the folder, beside somebody else's."""
    async with jetstream_in(tmp_path, request.param) as jetstream:
        info = await leave_events(jetstream)
        await jetstream.add_stream(name="OTHER", subjects=["other"])
    return Left(request.param, info.created)


@asynccontextmanager
async def serving(folder):
    """Today's server on it, as the bot sees it: its JetStream and the sandboxes' streams."""
    async with EmbeddedStores(folder, stores=NATS, durable=False) as stores:
        client = await nats.connect(stores.nats_url)
        yield client.jetstream(), StreamStore(client, LIMITS)
        await client.close()


async def test_a_stream_of_before_goes_on_whole_where_the_bot_looks_and_what_is_no_sandboxs_stays(left, tmp_path):
    for _ in ("first start", "second start"):
        async with serving(tmp_path) as (jetstream, streams):
            await streams.create(BLUE)
            stats = await streams.stats(BLUE)
            assert (stats.messages, stats.waiting, stats.last) == (5, 3, 5)
            assert stats.created_at == left.created
            for number in range(1, 6):
                message = await jetstream.get_msg(STREAM, number)
                assert (message.data, message.headers) == (
                    str(number).encode(),
                    {"Nats-Msg-Id": f"session:0:{number}"},
                )
            repeated = await jetstream.publish(MESSAGES, b"5", headers={"Nats-Msg-Id": "session:0:5"})
            assert repeated.duplicate
    accounts = {path.name: path.parts[-3] for path in (tmp_path / "nats" / "jetstream").glob("*/streams/*")}
    assert accounts == {STREAM: "APP", "OTHER": left.account}


@pytest.fixture
async def left_twice(tmp_path):
    """Moves a folder of before over one in which the stream was made anew, with so many events."""

    async def leave(events):
        async with serving(tmp_path) as (jetstream, streams):
            await streams.create(BLUE)
            for _ in range(events):
                await jetstream.publish(MESSAGES, b"newer")
        async with jetstream_in(tmp_path, "$G") as jetstream:
            await leave_events(jetstream)
        return tmp_path / "nats" / "jetstream" / "$G"

    return leave


async def test_one_that_was_made_anew_and_has_no_event_gives_way(left_twice, tmp_path):
    earlier = await left_twice(events=0)
    async with serving(tmp_path) as (_, streams):
        assert (await streams.stats(BLUE)).messages == 5
    assert not earlier.exists()


async def test_one_that_has_events_goes_on_and_that_of_before_comes_after_it_to_be_collected(left_twice, tmp_path):
    earlier = await left_twice(events=1)
    async with serving(tmp_path) as (_, streams):
        assert (await streams.stats(BLUE)).messages == 1
        assert earlier.exists()
        await streams.delete(BLUE)
    async with serving(tmp_path) as (_, streams):
        assert await streams.list_streams() == {BLUE: 5}
    assert not earlier.exists()


async def test_a_stream_that_is_not_whole_is_left_and_stops_nothing(tmp_path):
    async with jetstream_in(tmp_path, "$G") as jetstream:
        await leave_events(jetstream)
    (info,) = (tmp_path / "nats" / "jetstream").glob(f"*/streams/{STREAM}/meta.inf")
    info.write_bytes(b"")
    async with serving(tmp_path) as (_, streams):
        assert await streams.list_streams() == {}
    assert info.exists()
