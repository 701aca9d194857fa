"""What NATS has lost is made again at once, goes on where the workers were, and says what it can't know."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from bot import names
from bot.control_plane import open_control_plane
from bot.sandboxes.access.replay import ReplayService
from bot.sandboxes.lifecycle.acknowledgements import Acknowledgements
from bot.sandboxes.lifecycle.stream_watch import StreamWatch
from bot.sandboxes.lifecycle.streams import StreamReconciler
from bot.settings import Settings
from bot.stores.embedded import EmbeddedStores
from bot.stores.nats_responder import Responder
from bot.stores.opening import open_stores
from bot.stores.redis import RedisStore
from bot.stores.stream_positions import Acknowledged, AcknowledgedPositions
from bot.supervisor import Supervisor
from sandbox_worker import SandboxEnded
from tests.conftest import store_settings
from tests.logs import said_by_the_kit
from tests.service.conftest import ADA
from tests.service.workers import GUILD, OwnNats, make_place, take

LONG = timedelta(hours=1)


class Bot:
    """As much of one as looks after streams: what it knows, it has from Redis or has seen itself."""

    def __init__(self, manager, pool, redis_client, nats_client):
        saved = AcknowledgedPositions(RedisStore(redis_client).client)
        self.acknowledgements = Acknowledgements(pool, manager.streams, saved)
        self.reconciler = StreamReconciler(pool, manager.streams, self.acknowledgements)
        self.watch = StreamWatch(nats_client, self.reconciler, LONG)

    @asynccontextmanager
    async def running(self):
        async with Supervisor() as supervisor:
            for name, run in {"streams": self.watch.run, "acknowledgements": self.acknowledgements.run}.items():
                await supervisor.start(name, run).wait_running()
            yield


@pytest.fixture
def make_bot(enforced, pool, redis_client, nats_client):
    return lambda: Bot(enforced, pool, redis_client, nats_client)


@pytest.fixture
async def place(enforced, nats_client):
    return await make_place(enforced, nats_client, guild_ids=[GUILD])


@pytest.fixture
def quick(monkeypatch):
    """What the workers have acknowledged is known soon."""
    monkeypatch.setattr("bot.constants.ACKNOWLEDGEMENTS_SEEN_EVERY_S", 0.02)
    monkeypatch.setattr("bot.constants.ALL_ACKNOWLEDGEMENTS_SEEN_EVERY_S", 0.02)


def contents(events):
    return [event.data.get("content") for event in events]


async def until_known(place, bot, sequence):
    async def is_known():
        known = await bot.acknowledgements.read(place.sandbox.id)
        return known is not None and known.sequence == sequence

    await place.until(is_known)


async def lose_consumer(place):
    await place.nats.jetstream().delete_consumer(place.sandbox.stream, "worker")


async def until_noticed(place, sandbox):
    """By a worker, which has not been given all that it has fetched."""
    (consumer,) = sandbox._consumers

    async def has_noticed():
        return consumer._arrived.qsize() == 1  # the word of it, and nothing else any more

    await place.until(has_noticed)


async def stream_of(place):
    return await place.nats.jetstream().stream_info(place.sandbox.stream)


@pytest.mark.usefixtures("quick")
async def test_a_worker_goes_on_behind_what_it_has_acknowledged_when_its_consumer_is_deleted(place, make_bot):
    bot = make_bot()
    await place.send_many(10)
    async with bot.running(), place.worker() as sandbox:
        events = sandbox.events()
        first = await take(events, 6)
        held = await anext(events)
        await until_known(place, bot, 6)
        await lose_consumer(place)
        await until_noticed(place, sandbox)
        again = await take(events, 4)
        await place.send(content="new")
        (new,) = await take(events, 1)
        await place.until_settled()
    assert contents([*first, held]) == [str(number) for number in range(7)]
    assert not any(event.possible_duplicate for event in [*first, held])
    assert contents(again) == [str(number) for number in range(6, 10)]
    assert all(event.possible_duplicate for event in again)
    assert (new.data["content"], new.possible_duplicate, new.redelivered) == ("new", False, 0)
    assert {event.stream_created_at for event in [*first, *again, new]} == {(await stream_of(place)).created}


async def test_what_is_deleted_while_no_bot_runs_is_made_again_by_the_next_one(place, make_bot):
    await place.send_many(10)
    async with place.worker() as sandbox:
        await take(sandbox.events(), 6)
        await place.until_settled(4)
    await make_bot().acknowledgements.look_at_all()
    await lose_consumer(place)
    await place.send(content="meanwhile")
    async with make_bot().running(), place.worker() as sandbox:
        rest = await take(sandbox.events(), 5)
        await place.until_settled()
    assert contents(rest) == ["6", "7", "8", "9", "meanwhile"]
    assert all(event.possible_duplicate for event in rest)


@pytest.mark.long
@pytest.mark.usefixtures("quick")
async def test_a_consumer_that_nats_loses_without_a_word_is_made_again_on_the_new_connection(
    tmp_path, stores, dsn, pool, redis_client
):
    async with EmbeddedStores(tmp_path, stores=frozenset({"nats"})) as own:
        servers = OwnNats(stores, own)
        settings = Settings(**store_settings(servers, dsn))
        async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
            place = await make_place(manager, opened.nats)
            bot = Bot(manager, pool, redis_client, opened.nats)
            await place.send_many(5)
            async with bot.running(), place.worker() as sandbox:
                events = sandbox.events()
                await take(events, 3)
                await until_known(place, bot, 3)
                (folder,) = tmp_path.glob(f"nats/**/{place.sandbox.stream}/obs/worker")
                shutil.rmtree(folder)
                await servers.kill(place.nats)
                again = await take(events, 2, seconds=20)
    assert contents(again) == ["3", "4"]
    assert all(event.possible_duplicate for event in again)


async def test_where_nothing_is_known_all_comes_again_as_what_may_be_a_duplicate(place, make_bot, told):
    await place.send_many(3)
    async with place.worker() as sandbox:
        await take(sandbox.events(), 3)
        await place.until_settled()
    await lose_consumer(place)
    async with make_bot().running(), place.worker() as sandbox:
        again = await take(sandbox.events(), 3)
    assert contents(again) == ["0", "1", "2"]
    assert all(event.possible_duplicate and not event.redelivered for event in again)
    facts = {"sandbox": str(place.sandbox.id), "after": 0, "possible_duplicates": 3}
    assert ("WARNING", "a lost consumer was made again", facts) in told


@pytest.mark.usefixtures("quick")
async def test_what_was_purged_does_not_come_and_is_not_waited_for(place, make_bot):
    bot = make_bot()
    await place.send_many(5)
    async with bot.running(), place.worker() as sandbox:
        events = sandbox.events()
        await take(events, 2)
        await until_known(place, bot, 2)
        await place.manager.streams.purge(place.sandbox.id)
        await lose_consumer(place)
        await until_noticed(place, sandbox)
        sequence = await place.send(content="new")
        (new,) = await take(events, 1)
        await place.until_settled()
    assert (sequence, new.sequence, new.data["content"]) == (6, 6, "new")


async def test_what_somebody_has_changed_of_a_stream_is_put_back_when_it_is_purged(place):
    jetstream = place.nats.jetstream()
    made = (await jetstream.stream_info(place.sandbox.stream)).config
    await jetstream.update_stream(made.evolve(no_ack=True, max_msg_size=1))
    await place.manager.streams.purge(place.sandbox.id)
    assert (await jetstream.stream_info(place.sandbox.stream)).config == made
    assert await place.send(content="new") == 1


@pytest.mark.usefixtures("quick")
async def test_a_stream_that_is_made_anew_begins_with_a_mark_and_is_told_from_the_one_before(place, make_bot):
    bot = make_bot()
    await place.send_many(5)
    async with bot.running(), place.worker() as sandbox:
        events = sandbox.events()
        (before, *_) = await take(events, 5)
        await until_known(place, bot, 5)
        await place.nats.jetstream().delete_stream(place.sandbox.stream)
        (gap,) = await take(events, 1)
        await place.send(content="new")
        (new,) = await take(events, 1)
        await place.until_settled()
    created = (await stream_of(place)).created
    assert (gap.name, gap.sequence, new.sequence) == ("GATEWAY_GAP", 1, 2)
    assert gap.data == {
        "cause": "stream lost",
        "since": None,
        "until": created.isoformat(),
        "guild_ids": [str(GUILD)],
    }
    assert (before.stream_created_at < created, new.stream_created_at) == (True, created)
    assert not new.possible_duplicate


async def test_a_tail_hears_all_of_a_stream_that_is_made_anew_whatever_number_it_had(place, make_bot):
    await place.send_many(5)
    async with make_bot().running(), place.worker() as sandbox:
        events = sandbox.tail(since=0)
        before = [await anext(events) for _ in range(5)]
        await place.nats.jetstream().delete_stream(place.sandbox.stream)
        await place.until(lambda: has_stream(place))
        await place.send(content="new")
        async with asyncio.timeout(10):
            gap, new = [await anext(events) for _ in range(2)]
        await events.aclose()
    assert [(each.name, each.sequence) for each in (gap, new)] == [("GATEWAY_GAP", 1), ("MESSAGE_CREATE", 2)]
    assert before[0].stream_created_at < new.stream_created_at


async def has_stream(place):
    return await place.manager.streams.stats(place.sandbox.id) is not None


async def test_a_tail_waits_for_a_stream_that_is_lost(place, make_bot, monkeypatch):
    monkeypatch.setattr("sandbox_worker.constants.MISSED_HEARTBEATS", 0.3)
    monkeypatch.setattr("sandbox_worker.constants.REPLAY_RETRY_DELAY_S", 0.05)
    async with place.worker() as sandbox:
        events = sandbox.tail()
        first = asyncio.create_task(anext(events))
        await place.until(lambda: has_listener(place))
        await place.send(content="before")
        await first
        await place.nats.jetstream().delete_stream(place.sandbox.stream)
        waiting = asyncio.create_task(anext(events))
        assert not (await asyncio.wait([waiting], timeout=0.8))[0]
        async with make_bot().running():
            assert (await waiting).name == "GATEWAY_GAP"
        await events.aclose()


async def has_listener(place):
    return (await stream_of(place)).state.consumer_count > 1


async def test_bots_that_make_the_same_again_at_once_make_it_once(place, make_bot):
    await place.send_many(3)
    await lose_consumer(place)
    await asyncio.gather(*(make_bot().reconciler.reconcile() for _ in range(4)))
    await place.nats.jetstream().delete_stream(place.sandbox.stream)
    await asyncio.gather(*(make_bot().reconciler.reconcile() for _ in range(4)))
    assert (await stream_of(place)).state.messages == 1  # the mark
    async with place.worker() as sandbox:
        assert [event.name for event in await take(sandbox.events(), 1)] == ["GATEWAY_GAP"]


@pytest.mark.parametrize("case", ["another stream", "lost its end", "numbers given away again", "the same"])
async def test_a_position_counts_only_for_the_events_that_it_was_of(place, case):
    """A stream that loses its end with the power gives numbers away again."""
    await place.send_many(5)
    consumers = place.manager.streams.consumers
    created, now = (await stream_of(place)).created, (await consumers.acknowledged(place.sandbox.id)).known_at
    sequence, created, at = {
        "another stream": (3, created - timedelta(seconds=1), now),
        "lost its end": (6, created, now),
        "numbers given away again": (3, created, created),
        "the same": (3, created, now),
    }[case]
    await lose_consumer(place)
    made = await consumers.make_again(place.sandbox.id, Acknowledged(sequence, created, at))
    assert made == ((3, 2) if case == "the same" else (0, 5))


async def test_of_bots_that_know_different_positions_the_first_one_decides(place):
    await place.send_many(5)
    consumers = place.manager.streams.consumers
    seen = await consumers.acknowledged(place.sandbox.id)
    await lose_consumer(place)
    for known in (Acknowledged(3, seen.stream_created_at, seen.known_at), None, seen):
        await consumers.make_again(place.sandbox.id, known)
    assert (await consumers.acknowledged(place.sandbox.id)).sequence == 3


async def test_a_hint_is_looked_into_and_believed_nothing(place, make_bot, monkeypatch):
    monkeypatch.setattr("bot.constants.MOST_LOST_STREAMS_NAMED", 3)
    looked: list[set[str]] = []
    bot = make_bot()
    reconcile = bot.reconciler.reconcile

    async def look(schemas=None):
        if schemas is not None:
            looked.append(schemas)
        return await reconcile(schemas)

    bot.reconciler.reconcile = look
    before = await stream_of(place)
    async with bot.running():
        for name in ("KEPT", "SANDBOX_", "SANDBOX_zzzzzzzz", "SANDBOX_00000000", place.sandbox.stream):
            await place.nats.publish(f"$JS.EVENT.ADVISORY.STREAM.DELETED.{name}", b"{}")
        await place.nats.publish(f"$JS.EVENT.ADVISORY.CONSUMER.DELETED.{place.sandbox.stream}.spy", b"{}")

        async def has_looked():
            return place.sandbox.schema_name in set().union(*looked)

        await place.until(has_looked)
    assert set().union(*looked) == {"sandbox_00000000", place.sandbox.schema_name}
    assert (await stream_of(place)).created == before.created


@pytest.fixture
def logged():
    with said_by_the_kit() as lines:
        yield lines


@asynccontextmanager
async def answering(place):
    """A bot where logins are the team's, and workers in its own account."""
    service = ReplayService(place.manager.streams, place.manager.get_by_id, place.manager.describe_to_workers)
    responder = Responder(place.nats, names.ANY_REPLAY_SUBJECT, service.answer)
    async with Supervisor() as supervisor, responder.serving(supervisor, "replay"):
        yield


async def test_a_stream_that_is_not_there_ends_a_worker_only_when_the_bot_says_so(place, stores, monkeypatch, logged):
    monkeypatch.setattr("sandbox_worker.constants.LOST_TOLD_AFTER_S", 0.1)
    for delay in ("LOST_RETRY_DELAY_S", "STATE_RETRY_DELAY_S"):
        monkeypatch.setattr(f"sandbox_worker.constants.{delay}", 0.05)
    async with place.worker(SANDBOX_NATS_URL=stores.nats_url) as sandbox:
        events = sandbox.events()
        await place.send()
        await take(events, 1)
        await place.nats.jetstream().delete_stream(place.sandbox.stream)
        waiting = asyncio.create_task(take(events, 1, seconds=30))
        assert not (await asyncio.wait([waiting], timeout=0.5))[0]
        async with answering(place):
            assert not (await asyncio.wait([waiting], timeout=0.5))[0]
            assert "NATS has lost the consumer of events, the bot makes it again" in logged
            await place.manager.destroy(ADA, place.sandbox.id)
            with pytest.raises(SandboxEnded, match="it was destroyed") as ended:
                await waiting
    assert ended.value.reason == "gone"


async def test_an_event_may_be_a_duplicate_while_the_bot_who_knows_is_away(place, stores, monkeypatch):
    monkeypatch.setattr("sandbox_worker.constants.STATE_RETRY_DELAY_S", 0.02)
    await place.send_many(2)
    async with place.worker(SANDBOX_NATS_URL=stores.nats_url) as sandbox:
        events = sandbox.events()
        (unknown,) = await take(events, 1)
        async with answering(place):
            (consumer,) = sandbox._consumers

            async def is_known():
                return consumer._state.created_at is not None

            await place.until(is_known)
            (known,) = await take(events, 1)
    assert (unknown.possible_duplicate, unknown.stream_created_at) == (True, None)
    assert (known.possible_duplicate, known.stream_created_at) == (False, (await stream_of(place)).created)


async def test_what_is_known_of_a_sandbox_is_its_position_its_stream_and_when(place, make_bot, redis_client):
    await place.send_many(2)
    async with place.worker() as sandbox:
        await take(sandbox.events(), 2)
        await place.until_settled()
    await make_bot().acknowledgements.look_at_all()
    saved = json.loads(await redis_client.get(names.acknowledged_key(place.sandbox.id)))
    assert saved["sequence"] == 2
    assert datetime.fromisoformat(saved["stream_created_at"]) == (await stream_of(place)).created
    assert await redis_client.ttl(names.acknowledged_key(place.sandbox.id)) > LONG.total_seconds()
