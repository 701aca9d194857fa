import asyncio

import pytest
import redis.asyncio

from bot import names
from bot.errors import ServiceUnavailable
from bot.routing.sessions import Session, SessionStore, Shard
from tests.service.servers import INSTALLED_REDIS, needs_redis, until

SHARD, OTHER = Shard(10**17, 2, 0), Shard(10**17, 2, 1)
HERE = "ws://here"


class Acks:
    """Has published and acknowledged as much as it is told to."""

    last_published = low_water_mark = 0


async def test_a_session_is_saved_as_far_as_everything_before_is_acknowledged(redis_client):
    acks = Acks()
    store = SessionStore(redis_client, acks)
    for sequence in (10, 20, 30):
        acks.last_published = sequence * 2
        store.checkpoint(SHARD, Session("one", HERE, sequence))
    found = []
    for mark in (19, 20, 39, 45, 60):
        acks.low_water_mark = mark
        await store.save()
        session = await SessionStore(redis_client, acks).load(SHARD)
        found.append(session and session.sequence)
    assert found == [None, 10, 10, 20, 30]
    assert await store.load(OTHER) is None
    assert 0 < await redis_client.ttl(names.gateway_session_key(*SHARD)) <= 24 * 3600


async def test_a_shard_that_receives_nothing_takes_no_memory_and_stays_fresh(redis_client):
    acks = Acks()
    store = SessionStore(redis_client, acks)
    for second in range(1000):
        store.checkpoint(SHARD, Session("one", HERE, 7, seen_at=float(second)))
    assert sum(map(len, store._checkpoints.values())) == 1
    await store.save()
    assert await store.load(SHARD) == Session("one", HERE, 7, seen_at=999.0)


async def test_a_new_session_is_not_saved_before_its_gap_marker_is_acknowledged(redis_client):
    acks = Acks()
    store = SessionStore(redis_client, acks)
    store.checkpoint(SHARD, Session("old", HERE, 5))
    await store.save()
    acks.last_published = 1  # the marker
    store.checkpoint(SHARD, Session("new", HERE, 1))
    await store.save()
    assert (await store.load(SHARD)).id == "old"
    acks.low_water_mark = 1
    await store.save()
    assert (await store.load(SHARD)).id == "new"


async def test_what_cannot_be_read_is_no_session(redis_client):
    await redis_client.set(names.gateway_session_key(*SHARD), b"nonsense")
    assert await SessionStore(redis_client, Acks()).load(SHARD) is None


async def test_without_redis_nothing_is_kept_and_the_supervisor_is_told():
    client = redis.asyncio.Redis(port=9, retry=None)
    store = SessionStore(client, Acks())
    store.checkpoint(SHARD, Session("one", HERE, 5))
    with pytest.raises(ServiceUnavailable, match="Redis"):
        await store.save()
    assert await store.load(SHARD) is None
    await client.aclose()


@pytest.fixture(params=["Valkey", pytest.param("Redis", marks=needs_redis)])
async def either(request, redis_client, tmp_path):
    """A client of each server that the bot may run on."""
    if request.param == "Valkey":
        yield redis_client
        return
    socket = tmp_path / "socket"
    process = await asyncio.create_subprocess_exec(
        *(INSTALLED_REDIS, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path),
        stdout=asyncio.subprocess.DEVNULL,
    )
    await until(socket.exists)
    async with redis.asyncio.Redis(unix_socket_path=str(socket)) as client:
        yield client
    process.terminate()
    await process.wait()


async def test_whoever_takes_over_is_overwritten_by_nobody_from_before(either):
    epochs = {"old": 7, "new": 0}
    old = SessionStore(either, Acks(), epoch_of=lambda _: epochs["old"])
    new = SessionStore(either, Acks(), epoch_of=lambda _: epochs["new"])
    old.checkpoint(SHARD, Session("one", HERE, 5))
    await old.save()
    epochs |= {"old": 0, "new": 8}  # it has lost its lease
    assert (await new.load(SHARD)).sequence == 5
    for late in (0, 7):
        epochs["old"] = late
        old.checkpoint(SHARD, Session("one", HERE, 9))
        await old.save()
        assert (await new.load(SHARD)).sequence == 5
    new.checkpoint(SHARD, Session("one", HERE, 6))
    await new.save()
    await old.save()
    assert (await new.load(SHARD)).sequence == 6
    assert 0 < await either.ttl(names.gateway_epoch_key(*SHARD)) <= 24 * 3600


async def test_a_session_that_a_bot_without_leases_has_saved_is_taken_over(redis_client):
    await redis_client.set(names.gateway_session_key(*SHARD), b'{"id":"one","resume_url":"ws://here","sequence":3}')
    assert (await SessionStore(redis_client, Acks(), epoch_of=lambda _: 5).load(SHARD)).sequence == 3
