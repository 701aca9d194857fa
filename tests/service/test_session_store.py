import asyncio
from math import inf
from time import monotonic

import pytest
import redis.asyncio

from bot import names
from bot.errors import ServiceUnavailable
from bot.routing.sessions import Session, SessionStore, Shard
from bot.stores.nats_client import open_nats
from bot.stores.nats_presence import ConnectedServer, Presence
from tests.service.managed_nats import running, url
from tests.service.servers import INSTALLED_REDIS, needs_redis, until

SHARD, OTHER = Shard(10**17, 2, 0), Shard(10**17, 2, 1)
HERE = "ws://here"


class Acks:
    """Has published and acknowledged as much as it is told to."""

    last_published = low_water_mark = 0


class Nats:
    """Its servers run, as far as one is told."""

    def __init__(self, *servers):
        self.servers, self.until = frozenset(servers), inf

    def read(self):
        return Presence(self.servers, self.until)


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


async def test_streams_that_no_place_waits_for_are_saved_with_it(redis_client):
    acks = Acks()
    unstored = {"sandbox.blue.events.": 1_700_000_000.5}
    store = SessionStore(redis_client, acks)
    for expected in (tuple(unstored.items()), ()):
        acks.last_published = acks.low_water_mark = acks.low_water_mark + 10
        store.checkpoint(SHARD, Session("one", HERE, acks.low_water_mark))
        await store.save(unstored)
        for store_of_next in (SessionStore(redis_client, acks), after_a_restart(redis_client)):
            assert (await store_of_next.load(SHARD)).unstored == expected
        unstored.clear()


async def test_a_place_that_waits_long_is_remembered_in_bounded_memory(redis_client, monkeypatch):
    monkeypatch.setattr("bot.constants.MOST_CHECKPOINTS", 5)
    acks = Acks()
    store = SessionStore(redis_client, acks)
    for number in range(1, 100):
        acks.last_published = number
        store.checkpoint(SHARD, Session("one", HERE, number))
    assert len(store._checkpoints[SHARD]) == 5
    acks.low_water_mark = 4
    await store.save()
    assert (await SessionStore(redis_client, acks).load(SHARD)).sequence == 4
    acks.low_water_mark = 99
    await store.save()
    assert (await SessionStore(redis_client, acks).load(SHARD)).sequence == 99


@pytest.fixture
def clock(monkeypatch):
    """Of what settles: moved by hand."""
    now = [0.0]
    monkeypatch.setattr("bot.settled.monotonic", lambda: now[0])
    return now


async def test_what_may_not_be_on_the_streams_disk_yet_is_not_saved(redis_client, clock):
    acks = Acks()
    store = SessionStore(redis_client, acks, settled_after_s=5)
    found = []
    for clock[0], sequence in ((0, 10), (2, 20), (5, 30), (6, 40), (7, 50)):
        acks.last_published = acks.low_water_mark = sequence
        store.checkpoint(SHARD, Session("one", HERE, sequence))
        await store.save()
        session = await after_a_restart(redis_client).load(SHARD)
        found.append(session and session.sequence)
    assert found == [None, None, 10, 10, 20]


def after_a_restart(client):
    """As the next process has it, with NATS started again too."""
    return SessionStore(client, Acks(), presence=Nats("another").read)


async def test_with_the_same_nats_server_what_it_has_acknowledged_is_not_asked_for_again(redis_client, clock):
    """However short each process lives: one that begins where the one before did would miss more than Discord keeps."""
    found = []
    for life in range(4):
        acks = Acks()
        store = SessionStore(redis_client, acks, settled_after_s=5)
        begun = await store.load(SHARD)
        found.append(begun and begun.sequence)
        if begun is None:
            store.begin(SHARD, Session("one", HERE, 1), [])
        acks.last_published = acks.low_water_mark = 10
        store.checkpoint(SHARD, Session("one", HERE, 10 * (life + 1)))
        acks.last_published = 20
        store.checkpoint(SHARD, Session("one", HERE, 10 * (life + 1) + 5))
        await store.save()
        clock[0] += 3
    assert found == [None, 10, 20, 30]
    assert (await after_a_restart(redis_client).load(SHARD)).sequence == 1


async def test_what_a_server_has_acknowledged_before_it_fell_silent_settles_only_if_it_still_runs(redis_client, clock):
    nats = Nats("one", "two")
    store = SessionStore(redis_client, acks := Acks(), settled_after_s=5, presence=nats.read)
    acks.last_published = acks.low_water_mark = 10
    store.checkpoint(SHARD, Session("one", HERE, 10))
    found = []
    for clock[0], nats.until in ((0, 0), (60, 4), (70, 70)):
        await store.save()
        found.append((await after_a_restart(redis_client).load(SHARD)) is not None)
    assert found == [False, False, True]


async def test_a_server_that_joins_or_is_back_is_no_restart_and_one_that_goes_is(redis_client):
    nats = Nats("one", "two")
    store = SessionStore(redis_client, acks := Acks(), settled_after_s=5, presence=nats.read)
    acks.last_published = acks.low_water_mark = 10
    store.begin(SHARD, Session("one", HERE, 1), [])
    store.checkpoint(SHARD, Session("one", HERE, 10))
    await store.save()
    for servers, (ended, sequence) in {
        ("one", "two", "three"): (False, 10),
        ("one", "three"): (True, 1),
        ("one", "two, started again", "three"): (False, 1),
    }.items():
        nats.servers = frozenset(servers)
        assert store.server_has_ended() is ended
        assert (await SessionStore(redis_client, Acks(), presence=nats.read).load(SHARD)).sequence == sequence


async def test_a_connected_server_is_known_to_run_as_long_as_it_answers(tmp_path):
    async with running(tmp_path, "") as server:
        client = await open_nats(url(server))
        nats = ConnectedServer(client)
        first = nats.read().servers
        await until(lambda: nats.read().until > 0)
        server.freeze()
        await until(lambda: nats.read().until < monotonic() - 0.5)
        known = nats.read().until
        server.resume()
        await until(lambda: nats.read().until > known)
        await server.kill()
        await server.start()
        await until(lambda: nats.read().servers != first)
        await client.close()


async def test_what_the_process_before_had_acknowledged_settles_in_its_time(redis_client, clock):
    first = SessionStore(redis_client, acks := Acks(), settled_after_s=5)
    first.begin(SHARD, Session("one", HERE, 1), [])
    acks.last_published = acks.low_water_mark = 10
    first.checkpoint(SHARD, Session("one", HERE, 10))
    await first.save()
    acks = Acks()
    acks.last_published = acks.low_water_mark = 77  # of other shards
    second = SessionStore(redis_client, acks, settled_after_s=5)
    clock[0] = 60
    await second.save()
    assert (await second.load(SHARD)).sequence == 10
    found = []
    for clock[0] in (60, 64, 70, 75):
        second.checkpoint(SHARD, Session("one", HERE, 10))
        await second.save()
        found.append((await after_a_restart(redis_client).load(SHARD)).sequence)
    assert found == [1, 1, 10, 10]


async def test_what_is_acknowledged_counts_only_in_its_session(redis_client, clock):
    store = SessionStore(redis_client, acks := Acks(), settled_after_s=5)
    store.begin(SHARD, Session("old", HERE, 1), [])
    acks.last_published = acks.low_water_mark = 10
    store.checkpoint(SHARD, Session("old", HERE, 10))
    store.begin(SHARD, Session("new", HERE, 1), ["sandbox.x.events."])
    await store.save()
    found = await SessionStore(redis_client, acks).load(SHARD)
    assert (found.id, found.sequence, found.acknowledged) == ("new", 1, None)


async def test_the_time_to_settle_runs_from_the_acknowledgement(redis_client, clock):
    acks = Acks()
    store = SessionStore(redis_client, acks, settled_after_s=5)
    acks.last_published = 10
    store.checkpoint(SHARD, Session("one", HERE, 10))
    found = []
    for clock[0], acks.low_water_mark in ((0, 0), (60, 10), (64, 10), (65, 10)):
        await store.save()
        found.append((await after_a_restart(redis_client).load(SHARD)) is not None)
    assert found == [False, False, False, True]


async def test_a_new_session_is_saved_at_once_with_the_gap_before_it_until_it_has_settled(redis_client, clock):
    acks = Acks()
    store = SessionStore(redis_client, acks, settled_after_s=5)
    store.checkpoint(SHARD, Session("old", HERE, 5, seen_at=1.0))
    await store.save()
    acks.last_published = 3  # the markers and two events
    store.begin(SHARD, Session("new", HERE, 1), ["sandbox.x.events."])
    store.checkpoint(SHARD, Session("new", HERE, 3))
    await store.save()
    begun = await SessionStore(redis_client, acks).load(SHARD)
    assert (begun.id, begun.sequence, begun.gap_in) == ("new", 1, ("sandbox.x.events.",))
    assert (begun.before.id, begun.before.sequence, begun.before.seen_at) == ("old", 5, 1.0)
    acks.low_water_mark = 3
    await store.save()
    clock[0] = 5.0
    await store.save()
    settled = await store.load(SHARD)
    assert (settled.id, settled.sequence, settled.gap_in, settled.before) == ("new", 3, (), None)


async def test_a_session_that_follows_a_new_one_keeps_where_the_gap_begins(redis_client, clock):
    acks = Acks()
    store = SessionStore(redis_client, acks, settled_after_s=5)
    store.checkpoint(SHARD, Session("old", HERE, 5))
    await store.save()
    for name in ("second", "third"):
        store.begin(SHARD, Session(name, HERE, 1), ["sandbox.x.events."])
        await store.save()
    found = await store.load(SHARD)
    assert (found.id, found.before.id) == ("third", "old")


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
