"""A disk that is full and has room again, and other limits that a store reaches: all goes on, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import resource
import signal
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from nats.js.errors import APIError

from bot import constants
from bot.errors import Lack, ProvisioningFailed, ServiceUnavailable
from bot.explanations import explain
from bot.i18n import activate_locale
from bot.routing.publisher import Publisher
from bot.routing.storage_watch import StorageWatch
from bot.sandboxes.access.store_restarts import RestartLog, ServerRestarts
from bot.stores.embedded import EmbeddedStores
from bot.stores.nats import StreamStore
from bot.stores.nats_client import asking, open_nats
from bot.stores.postgres import connected, open_pool
from bot.stores.redis import RedisStore
from bot.stores.redis_client import open_redis
from bot.supervisor import State, Supervisor
from tests.faults.disks import full, needs_mount, small_disk
from tests.service.conftest import ADA, STREAM_LIMITS
from tests.service.servers import REDIS, until
from tests.service.test_publisher import own_nats  # noqa: F401

NATS = frozenset({"nats"})
OTHER = "sandbox.y.events.TEST"
SUBJECT, SUBJECTS = "sandbox.x.events.TEST", "sandbox.x.events.>"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(constants, "STORING_LOOKED_AT_EVERY_S", 0.05)
    monkeypatch.setattr(constants, "NOT_STORED_AS_IT_SAYS_S", 0.3)
    monkeypatch.setattr(constants, "NOT_STORED_MENDED_AFTER_S", 1.0)


@asynccontextmanager
async def publishing(url, server=None):
    """A publisher into a stream of that server, and the part that watches it."""
    client = await open_nats(url)
    await client.jetstream().add_stream(name="EVENTS", subjects=[SUBJECTS])
    publisher = Publisher(client, window=1000, ack_timeout=timedelta(milliseconds=500))
    await publisher.start()
    async with Supervisor() as supervisor:
        yield client, publisher, supervisor.start("storage", StorageWatch(publisher, client, server).run)
    await publisher.close()
    await client.close()


async def stored_in(client):
    subscription = await client.jetstream().subscribe(SUBJECTS, ordered_consumer=True)
    count = (await client.jetstream().stream_info("EVENTS")).state.messages
    return [(await subscription.next_msg(timeout=5)).headers["Nats-Msg-Id"] for _ in range(count)]


def messages(told):
    return [message for _, message, _ in told]


@needs_mount
async def test_a_nats_whose_disk_was_full_is_started_again_and_loses_and_inverts_nothing(
    tmp_path, manager, pool, quick, told
):
    blue = await manager.create(ADA, name="blue")
    said: list[str] = []

    async def tell(text):
        said.append(text)

    with small_disk(tmp_path / "nats", 32) as disk:
        async with EmbeddedStores(tmp_path, stores=NATS) as own:
            log = RestartLog(pool, tell)
            async with publishing(own.nats_url, ServerRestarts(own, "nats", log)) as (client, publisher, part):
                pid = own.pids["nats"]
                for number in range(100):
                    publisher.publish(SUBJECT, b"x" * 1000, str(number))
                assert await publisher.drain(5) == 0
                async with full(disk):
                    for number in range(100, 600):
                        publisher.publish(SUBJECT, bytes(1 + number * 7 % 4000), str(number))
                    await until(lambda: part.state is State.FAILING)
                    assert own.pids["nats"] == pid  # it could not start
                assert await publisher.drain(20) == 0
                assert await stored_in(client) == [str(number) for number in range(600)]
                assert (publisher.counts["refused"], own.pids["nats"] == pid) == (0, False)
                await until(lambda: part.state is State.RUNNING)
                await log.tell()
    assert messages(told).count("the bot restarts an embedded server") == 1
    assert messages(told).count("a service has run out of what it needs") == 1
    assert len(said) == 1
    assert said[0].startswith("The bot has restarted NATS: no event was acknowledged for")
    (entry, *_) = await manager.get_audit(ADA, blue.id)
    assert (entry.event_type, entry.details["server"]) == ("store_restarted", "NATS")


@needs_mount
async def test_a_stream_that_takes_nothing_after_a_full_disk_is_mended_though_others_go_on(
    tmp_path, pool, quick, told, monkeypatch
):
    """Those that were given nothing while it was full are whole."""
    monkeypatch.setattr(constants, "NOT_STORED_MENDED_AFTER_S", 3.0)
    log = RestartLog(pool, lambda text: asyncio.sleep(0))
    with small_disk(tmp_path / "nats", 32) as disk:
        async with (
            EmbeddedStores(tmp_path, stores=NATS) as own,
            publishing(own.nats_url, ServerRestarts(own, "nats", log)) as (client, publisher, _),
        ):
            await client.jetstream().add_stream(name="OTHERS", subjects=[OTHER])
            async with full(disk):
                for number in range(500):
                    publisher.publish(SUBJECT, bytes(4000), str(number))
                await until(lambda: publisher.oldest.waits_s > 0.5)
            others = asyncio.create_task(_publish_for_ever(publisher, OTHER))
            await until(lambda: "a stream takes events again" in messages(told), 20)
            others.cancel()
            assert await publisher.drain(5) == 0
            assert await stored_in(client) == [str(number) for number in range(500)]
    assert "a stream takes no events: they wait, and others go on" in messages(told)
    assert messages(told).count("the bot restarts an embedded server") == 1


async def _publish_for_ever(publisher, subject):
    for number in itertools.count():
        publisher.publish(subject, b"x", f"other {number}")
        await asyncio.sleep(0.02)


async def test_a_server_is_ended_once_a_minute_unless_what_it_was_for_is_gone(tmp_path, pool):
    async with EmbeddedStores(tmp_path, stores=NATS, durable=False) as own:
        restarts = ServerRestarts(own, "nats", RestartLog(pool, lambda text: asyncio.sleep(0)))
        pids = [own.pids["nats"]]
        for forgiven in (False, False, True):
            if forgiven:
                restarts.forgive()
            await restarts.restart("for a try")
            pids.append(own.pids["nats"])
    assert pids[0] != pids[1] == pids[2] != pids[3]


async def test_what_is_to_be_told_waits_for_who_is_to_hear_it(tmp_path, pool, manager):
    blue = await manager.create(ADA, name="blue")
    said: list[str] = []

    async def tell(text):
        if not said:
            said.append("")
            raise ServiceUnavailable("Discord")
        said.append(text)

    log = RestartLog(pool, tell)
    log.note("NATS", "it stood still")
    with pytest.raises(ServiceUnavailable):
        await log.tell()
    for _ in range(2):
        await log.tell()
    assert said == ["", "The bot has restarted NATS: it stood still. Whoever was connected connects again."]
    events = [entry.event_type for entry in await manager.get_audit(ADA, blue.id)]
    assert events.count("store_restarted") == 1


class NeverToBeAsked:
    async def hindrance(self):
        raise AssertionError

    restart = hindrance


async def test_a_nats_as_full_as_it_may_be_is_named_and_goes_on_when_there_is_room(own_nats, quick, told):  # noqa: F811
    """It would be no fuller after a restart, nor emptier."""
    url, _ = await own_nats(jetstream="max_file_store: 1MB")
    async with publishing(url, NeverToBeAsked()) as (client, publisher, part):
        for number in range(400):
            publisher.publish(SUBJECT, b"x" * 4000, str(number))
        await until(lambda: part.state is State.FAILING)
        assert "insufficient resources" in part.last_error
        while await publisher.drain(0.1):
            await client.jetstream().purge_stream("EVENTS")
        await until(lambda: part.state is State.RUNNING)
        assert publisher.counts["refused"] == 0
    facts = next(facts for _, message, facts in told if message == "a service has run out of what it needs")
    assert (facts["service"], facts["lacks"]) == ("NATS", Lack.STORAGE)


async def refusal_of(question):
    with pytest.raises(ServiceUnavailable) as refused:
        await question
    return refused.value


async def test_a_valkey_as_large_as_it_may_be_says_so_and_goes_on(tmp_path):
    async with EmbeddedStores(tmp_path, stores=REDIS, durable=False) as own:
        client = await open_redis(own.redis_url)
        store = RedisStore(client)
        await client.config_set("maxmemory", 1)
        error = await refusal_of(store.claim_database(7, uuid4()))
        assert (error.lack, str(error).partition(".")[0]) == (Lack.MEMORY, "Redis has no memory left")
        await client.config_set("maxmemory", 0)
        assert await store.claim_database(7, uuid4())
        await client.aclose()


@needs_mount
async def test_a_valkey_whose_disk_is_full_says_so_and_goes_on(tmp_path):
    with small_disk(tmp_path / "redis", 8) as disk:
        async with EmbeddedStores(tmp_path, stores=REDIS) as own:
            client = await open_redis(own.redis_url)
            store, numbers = RedisStore(client), itertools.count(1)

            async def claims():
                try:
                    return await store.claim_database(next(numbers), uuid4())
                except ServiceUnavailable as refused:
                    return refused.lack

            async with full(disk):
                async with asyncio.timeout(10):
                    while await claims() is not Lack.DISK:
                        pass
            async with asyncio.timeout(5):
                while await claims() is not True:
                    await asyncio.sleep(0.05)
            await client.aclose()


class FullStreams(StreamStore):
    async def create(self, sandbox_id):
        with asking():
            raise APIError(code=500, err_code=10047, description="insufficient storage resources available")


async def test_whoever_makes_a_sandbox_hears_what_was_lacking(make_manager, nats_client):
    with pytest.raises(ProvisioningFailed) as failed:
        await make_manager(streams=FullStreams(nats_client, STREAM_LIMITS)).create(ADA, name="blue")
    told = str(explain(failed.value))
    assert "could not be set up" in told
    assert "NATS has no storage within its limits left. It goes on by itself" in told


@contextmanager
def no_more_descriptors():
    """Of this process, beside those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in held:
            os.close(number)


async def test_a_bot_without_file_descriptors_says_that_it_is_the_bot(dsn, stores, monkeypatch):
    monkeypatch.setattr(constants, "NATS_CONNECT_WITHIN_S", 0.3)
    with no_more_descriptors():
        errors = [await refusal_of(open_pool(dsn)), await refusal_of(open_redis(stores.redis_url))]
        errors.append(await refusal_of(open_nats(stores.nats_url)))
    assert [(error.service, error.lack) for error in errors] == [("The bot", Lack.DESCRIPTORS)] * 3

    def in_german():
        activate_locale("de")
        return explain(errors[0])

    said = contextvars.copy_context().run(in_german)
    assert said.startswith("Der Bot kommt gerade nicht weiter, es fehlt: ein Dateideskriptor.")
    pool = await open_pool(dsn)
    async with connected(pool) as connection:
        assert await connection.fetchval("SELECT true")
    await pool.close()


async def test_a_server_that_could_not_even_be_started_is_tried_again(tmp_path):
    async with EmbeddedStores(tmp_path, stores=NATS, durable=False) as own:
        logs = Path(tmp_path / "log")
        logs.rename(tmp_path / "hidden")
        os.kill(own.pids["nats"], signal.SIGKILL)
        await until(lambda: own.servers["nats"].last_exit == os.EX_OSERR)
        (tmp_path / "hidden").rename(logs)
        await until(lambda: own.servers["nats"].restarts == 1)
        await own.wait_for("nats")
