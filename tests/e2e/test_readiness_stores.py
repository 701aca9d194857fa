"""Each store killed, standing still and full: the bot says so within five seconds, and of its return too."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis.asyncio
from pydantic import SecretStr

from bot.app import open_app
from bot.settings import Discord, Embedded, Health, Nats, Relay, Settings
from bot.stores.embedded.programs import nats_program
from tests.cluster.server import LOOPBACK, Server, free_ports
from tests.conftest import running_stores
from tests.e2e.conftest import running
from tests.e2e.readiness import LISTENS, watching
from tests.e2e.test_full_disk import on_small_disks
from tests.faults.disks import full, needs_mount
from tests.service.servers import parent_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

WITHIN_S = 5


@pytest.fixture(scope="module")
async def stores(tmp_path_factory):
    """Servers that only these tests use, for they kill them."""
    async with running_stores(tmp_path_factory.mktemp("readiness")) as running:
        yield running


@pytest.fixture
async def watch(open_scene):
    """What a bot on the stores tells, which is ready."""
    async with open_scene(health=LISTENS) as scene, watching(scene.app.health.address) as watch:
        await watch.until_ready()
        yield watch


async def is_told(watch, store, trouble):
    """The trouble is a context; it is over when that is left."""
    async with trouble:
        await watch.until_wrong(store, seconds=WITHIN_S)
        detail = (await watch.wrong())[store]
    await watch.until_ready(WITHIN_S)
    return detail


def processes_of(stores, store):
    pid = stores.pids[store]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@asynccontextmanager
async def frozen(stores, store):
    """With all of its processes."""
    stopped = processes_of(stores, store)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def killed(stores, store):
    """Until it answers again; meanwhile its guardian stands still."""
    pid = stores.pids[store]
    guardian = parent_of(pid)
    os.kill(guardian, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(guardian, signal.SIGCONT)
    async with asyncio.timeout(30):
        while stores.pids.get(store, pid) == pid or not await _ANSWERS[store](stores):
            await asyncio.sleep(0.05)


async def postgres_answers(stores):
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(stores.superuser_url("postgres"))
        await connection.close()
        return True
    return False


async def redis_answers(stores):
    with suppress(redis.exceptions.RedisError):
        async with redis.asyncio.from_url(stores.redis_url) as client:
            return await client.ping()
    return False


async def nats_answers(stores):
    with suppress(OSError):
        _, writer = await asyncio.open_connection(LOOPBACK, urlsplit(stores.nats_url).port)
        writer.close()
        return True
    return False


_ANSWERS = {"postgres": postgres_answers, "redis": redis_answers, "nats": nats_answers}


@asynccontextmanager
async def as_superuser(stores, statement, undo):
    async def run(one):
        connection = await asyncpg.connect(stores.superuser_url("postgres"))
        await connection.execute(one)
        await connection.close()

    await run(statement)
    try:
        yield
    finally:
        await run(undo)


@asynccontextmanager
async def without_memory(client):
    (before,) = (await client.config_get("maxmemory")).values()
    await client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        await client.config_set("maxmemory", before)


@pytest.mark.parametrize("store", ["postgres", "redis", "nats"])
async def test_a_store_that_stands_still_or_is_killed(watch, stores, store):
    assert await is_told(watch, store, frozen(stores, store)) == "no answer within 3.5 s"
    assert await is_told(watch, store, killed(stores, store))


async def test_a_postgresql_that_lets_nobody_in_or_takes_no_writes(watch, stores, dsn):
    database = dsn.rpartition("/")[2]
    no_slots = as_superuser(
        stores,
        f"ALTER DATABASE {database} CONNECTION LIMIT 1",
        f"ALTER DATABASE {database} CONNECTION LIMIT -1",
    )
    assert (await is_told(watch, "postgres", no_slots)).startswith("no connections left: TooManyConnectionsError")
    read_only = as_superuser(
        stores,
        f"ALTER DATABASE {database} SET default_transaction_read_only = on",
        f"ALTER DATABASE {database} RESET default_transaction_read_only",
    )
    assert (await is_told(watch, "postgres", read_only)).startswith("it takes no writes")


async def test_a_redis_without_memory(watch, redis_client):
    assert (await is_told(watch, "redis", without_memory(redis_client))).startswith("no memory left: ")


@pytest.fixture
async def open_watch(discord, tmp_path):
    """What a bot with these settings tells, once it is ready."""
    async with AsyncExitStack() as stack:

        async def open_(**sections):
            discord.add_guild("Lab", owner=discord.owner)
            own = Discord(token=SecretStr(discord.token), api_base=discord.api_base)
            settings = Settings(discord=own, health=Health(**LISTENS), relay=Relay(listen="off"), **sections)
            app = await stack.enter_async_context(open_app(settings))
            await stack.enter_async_context(running(app, discord))
            watch = await stack.enter_async_context(watching(app.health.address))
            await watch.until_ready()
            return app, watch

        yield open_


@needs_mount
@pytest.mark.parametrize("store", ["postgres", "redis"])
async def test_a_disk_without_room(open_watch, tmp_path, store):
    async with on_small_disks(tmp_path, [store]) as disks:
        _, watch = await open_watch(embedded=Embedded(folder=tmp_path))
        await is_told(watch, store, full(*disks))


@needs_mount
async def test_a_disk_of_nats_without_room_after_which_it_is_started_again_though_no_event_waits(open_watch, tmp_path):
    async with on_small_disks(tmp_path, ["nats"]) as disks:
        app, watch = await open_watch(embedded=Embedded(folder=tmp_path))
        servers = app.stores.addresses.embedded
        before = servers.pids["nats"]
        async with full(*disks):
            await watch.until_wrong("nats", seconds=WITHIN_S)
        async with asyncio.timeout(60):
            while servers.pids.get("nats", before) == before or not await nats_answers(servers):
                await asyncio.sleep(0.05)
        await watch.until_ready(WITHIN_S)


async def test_a_jetstream_that_may_store_no_more(open_watch, tmp_path):
    async with limited_nats(tmp_path) as url:
        settings = {"embedded": Embedded(folder=tmp_path / "data"), "nats": Nats(url=SecretStr(url))}
        app, watch = await open_watch(**settings)
        jetstream = app.stores.nats.jetstream()
        await jetstream.add_stream(name="OTHERS", subjects=["others"])

        @asynccontextmanager
        async def filled():
            with suppress(Exception):
                while True:
                    await jetstream.publish("others", b"x" * 100_000)
            yield
            await jetstream.purge_stream("OTHERS")

        assert "resource" in await is_told(watch, "nats", filled())


@asynccontextmanager
async def limited_nats(folder):
    (port,) = free_ports(1)
    config = folder / "nats.conf"
    config.write_text(f'listen: "{LOOPBACK}:{port}"\njetstream {{ store_dir: "{folder}/nats", max_file_store: 4MB }}\n')

    async def is_ready():
        _, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.close()

    server = Server("nats", port, [nats_program(), "-c", str(config)], folder, is_ready)
    await server.start()
    try:
        yield f"nats://{LOOPBACK}:{port}"
    finally:
        await server.kill()
