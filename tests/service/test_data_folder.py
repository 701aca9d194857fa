"""The data folder of the embedded servers: one of an earlier version, one of other servers, other programs on it."""

import contextlib
import json
import os
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import redis.asyncio

from bot import constants
from bot.names import stream_name
from bot.stores.embedded import EmbeddedError, EmbeddedStores, FolderMissing, Programs
from bot.stores.embedded.folder import sync_stream
from bot.stores.embedded.programs import Version, postgres_program, valkey_program
from bot.stores.embedded.record import check_readable
from bot.stores.nats import StreamStore
from bot.stores.nats_client import open_nats
from bot.stores.nats_sync import read_sync_interval, settled_after
from tests import logs
from tests.service.conftest import STREAM_LIMITS
from tests.service.servers import INSTALLED_REDIS, REDIS, needs_redis, until


@pytest.fixture
def logged():
    with logs.logged("WARNING") as records:
        yield records


def resp(*words):
    """A command as Redis 6.2 writes it into `appendonly.aof`."""
    return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)


AS_COMMANDS = "".join(
    resp(*line.split())
    for line in (
        "SELECT 0",
        "set plain 42",
        "SET fading soon PXAT 4102444800000",
        "hset hash field value",
        "xadd stream 1-1 field value",
        "xgroup create stream readers 0",
        "XCLAIM stream readers me 0 1-1 TIME 1795985107216 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1",
    )
)
"""What Redis 6.2.14 wrote for SET, SET with PX, HSET, XADD, XGROUP and XREADGROUP, with other times."""
REWRITTEN = Path(__file__).with_name("fixtures") / "redis-6.2.14.aof"
"""Written by Redis 6.2.14 for the same ones: after the first three it was told to rewrite its file, which then begins
with a dump."""


def redis_of_v010(folder, aof):
    """A data folder as v0.1.0 left it: Redis 6.2's file, and no record of who wrote it."""
    (folder / "redis").mkdir(parents=True)
    (folder / "redis" / "appendonly.aof").write_bytes(aof)


async def check_data_of_v010(url):
    async with redis.asyncio.from_url(url) as client:
        assert await client.get("plain") == b"42"
        assert await client.ttl("fading") > 24 * 3600
        assert await client.hgetall("hash") == {b"field": b"value"}
        assert await client.xrange("stream") == [(b"1-1", {b"field": b"value"})]
        assert (await client.xpending("stream", "readers"))["pending"] == 1


async def test_who_only_shares_a_folder_takes_no_data_over_and_starts_servers_that_have_written_it(tmp_path):
    redis_of_v010(tmp_path, AS_COMMANDS.encode())
    with pytest.raises(FolderMissing, match="no data folder of a bot"):
        await EmbeddedStores(tmp_path, stores=REDIS, share=True).__aenter__()
    (tmp_path / "lock").touch()
    with pytest.raises(EmbeddedError, match="Only `sandbox-bot run` takes it over"):
        await EmbeddedStores(tmp_path, stores=REDIS, share=True).__aenter__()
    assert [path.name for path in (tmp_path / "redis").iterdir()] == ["appendonly.aof"]
    assert not (tmp_path / "servers.json").exists()
    async with EmbeddedStores(tmp_path, stores=REDIS):
        pass
    async with EmbeddedStores(tmp_path, stores=REDIS, share=True) as stores:
        await check_data_of_v010(stores.redis_url)


@pytest.mark.parametrize("aof", [AS_COMMANDS.encode(), REWRITTEN.read_bytes()], ids=["commands", "rewritten"])
@pytest.mark.parametrize("valkey", [None, pytest.param(INSTALLED_REDIS, marks=needs_redis)], ids=["valkey", "redis"])
async def test_a_folder_of_redis_6_goes_on(tmp_path, aof, valkey):
    redis_of_v010(tmp_path, aof)
    programs = Programs(valkey=valkey)
    async with EmbeddedStores(tmp_path, stores=REDIS, programs=programs) as stores:
        await check_data_of_v010(stores.redis_url)
        async with redis.asyncio.from_url(stores.redis_url) as client:
            await client.set("later", 1)
    async with EmbeddedStores(tmp_path, stores=REDIS, programs=programs) as stores:
        await check_data_of_v010(stores.redis_url)
        async with redis.asyncio.from_url(stores.redis_url) as client:
            assert await client.get("later") == b"1"


async def test_a_file_that_cannot_be_read_whole_is_no_start_and_no_record(tmp_path):
    redis_of_v010(tmp_path, b"*1\r\n$4\r\nNONE\r\n" + AS_COMMANDS.encode())
    with pytest.raises(EmbeddedError, match="redis does not start"):
        await EmbeddedStores(tmp_path, stores=REDIS).__aenter__()
    assert not (tmp_path / "servers.json").exists()


@pytest.mark.parametrize("valkey", [None, pytest.param(INSTALLED_REDIS, marks=needs_redis)], ids=["valkey", "redis"])
@pytest.mark.parametrize("later", [b"", resp("set", "later", "1").encode()], ids=["end", "hole"])
async def test_what_a_loss_of_power_left_unreadable_of_valkeys_data_is_kept_apart(tmp_path, valkey, later, logged):
    programs, damage = Programs(valkey=valkey), b"\0" * 5000 + later

    async def ask(command, *arguments):
        running = EmbeddedStores(tmp_path, stores=REDIS, programs=programs)
        async with running as stores, redis.asyncio.from_url(stores.redis_url) as client:
            return await client.execute_command(command, *arguments)

    await ask("SET", "kept", 42)
    (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(file.read_bytes() + damage)
    assert await ask("GET", "kept") == b"42"
    assert await ask("GET", "kept") == b"42"
    (kept,) = file.parent.glob("*.unreadable-*")
    assert kept.read_bytes() == damage
    (told,) = [record for record in logged if "cut off" in record["message"]]
    assert told["extra"] == {"bytes": len(damage), "kept": str(kept)}


async def test_files_of_0_bytes_are_made_anew_where_nothing_is_lost_with_them(tmp_path, logged):
    for name in ("secrets", "ports", "servers"):
        (tmp_path / f"{name}.json").touch()
    async with EmbeddedStores(tmp_path, stores=REDIS) as stores, redis.asyncio.from_url(stores.redis_url) as client:
        assert await client.ping()
    made_anew = {Path(record["extra"]["file"]).name for record in logged if "damaged" in record["message"]}
    assert made_anew == {"secrets.json", "ports.json", "servers.json"}
    for name in ("secrets", "ports", "servers"):
        assert json.loads((tmp_path / f"{name}.json").read_text())


@pytest.mark.parametrize("left", [b"", b"\0" * 300, None])
async def test_lost_passwords_of_postgres_are_told_with_the_way_out(tmp_path, left):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    if left is not None:
        (tmp_path / "secrets.json").write_bytes(left)
    with pytest.raises(EmbeddedError, match=r"secrets.json is missing or damaged.* from a backup"):
        await EmbeddedStores(tmp_path, stores=REDIS).__aenter__()


@pytest.mark.parametrize(("durable", "interval_s"), [(True, 1), (False, 120)])
async def test_nats_syncs_each_second_what_is_to_last(tmp_path, durable, interval_s):
    async with EmbeddedStores(tmp_path, stores=frozenset({"nats"}), durable=durable) as stores:
        client = await open_nats(stores.nats_callout.system_url, jetstream=False)
        assert await read_sync_interval(client) == interval_s
        assert await settled_after(client) == (interval_s + constants.NATS_SYNC_LASTS_S if durable else 0)
        await client.close()


async def test_a_new_stream_is_on_the_disk_before_its_events_count_as_kept(tmp_path, monkeypatch):
    synced, sync = set(), os.fsync

    def recorded(descriptor):
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr("os.fsync", recorded)
    async with EmbeddedStores(tmp_path, stores=frozenset({"nats"})) as own:
        client = await open_nats(own.nats_url)
        streams = StreamStore(client, STREAM_LIMITS, sync=partial(sync_stream, tmp_path))
        await streams.create(sandbox_id := uuid4())
        await until(lambda: {"meta.inf", "meta.sum", "worker", stream_name(sandbox_id)} <= synced)
        await client.close()


async def test_the_folder_records_which_servers_wrote_it(tmp_path):
    async with EmbeddedStores(tmp_path, durable=False):
        pass
    record = json.loads((tmp_path / "servers.json").read_text())
    assert record["postgres"].startswith("PostgreSQL 18.")
    assert record["redis"].startswith("Valkey 9.")
    assert record["nats"].startswith("nats-server 2.")


@needs_redis
async def test_redis_does_not_start_on_what_valkey_has_written(tmp_path):
    async with EmbeddedStores(tmp_path, stores=REDIS) as stores, redis.asyncio.from_url(stores.redis_url) as client:
        await client.set("kept", 42)
    with pytest.raises(
        EmbeddedError, match=rf"{tmp_path}/redis are of Valkey 9.*Redis 7.*\[embedded\] valkey, or move"
    ):
        await EmbeddedStores(tmp_path, stores=REDIS, programs=Programs(valkey=INSTALLED_REDIS)).__aenter__()
    async with EmbeddedStores(tmp_path, stores=REDIS) as stores, redis.asyncio.from_url(stores.redis_url) as client:
        assert await client.get("kept") == b"42"


@pytest.mark.parametrize(
    ("writer", "reader", "reads"),
    [
        ("Redis 6.2.14", "Valkey 9.1.2", True),
        ("Redis 7.2.4", "Valkey 8.0.1", True),
        ("Redis 7.4.0", "Valkey 9.1.2", False),
        ("Redis 8.0.0", "Redis 7.4.2", False),
        ("Redis 7.0.15", "Redis 8.2.1", True),
        ("Valkey 9.1.2", "Valkey 9.1.0", True),
        ("Valkey 9.1.2", "Valkey 9.0.3", False),
        ("Valkey 9.1.2", "Valkey 10.0.0", True),
        ("Valkey 8.0.0", "Redis 8.0.0", False),
        ("nats-server 2.15.1", "nats-server 2.11.4", False),
        ("nats-server 2.11.4", "nats-server 2.15.1", True),
        ("PostgreSQL 18.4", "PostgreSQL 18.1", True),
        ("PostgreSQL 17.2", "PostgreSQL 18.4", False),
        ("PostgreSQL 18.4", "PostgreSQL 17.2", False),
    ],
)
def test_who_reads_whose_data(tmp_path, writer, reader, reads):
    store = {"PostgreSQL": "postgres", "nats-server": "nats"}.get(writer.split()[0], "redis")
    (tmp_path / store).mkdir()
    (tmp_path / store / "PG_VERSION").write_text(writer.split()[1].partition(".")[0] + "\n")
    (tmp_path / "servers.json").write_text(json.dumps({store: writer}))
    server = Version.parse(reader)
    assert server is not None
    told = (
        contextlib.nullcontext() if reads else pytest.raises(EmbeddedError, match=f"{writer.split('.')[0]}.*{reader}")
    )
    with told:
        check_readable(tmp_path, {store: server})


@needs_redis
async def test_another_server_may_be_named(tmp_path):
    programs = Programs(valkey=INSTALLED_REDIS, postgres=Path(postgres_program("postgres")).parent)
    async with EmbeddedStores(tmp_path, stores=frozenset({"postgres", "redis"}), programs=programs) as stores:
        async with redis.asyncio.from_url(stores.redis_url) as client:
            assert "valkey_version" not in await client.info("server")
        await (await asyncpg.connect(stores.database_url)).close()
    assert json.loads((tmp_path / "servers.json").read_text())["redis"].startswith("Redis ")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64",
            "is Redis 6.2.14, but has to be Valkey 7 or Redis 7",
        ),
        ("KeyDB server v=6.3.4", "is another program"),
        ("", "is another program"),
    ],
)
async def test_a_server_that_will_not_do_is_refused_by_name(tmp_path, said, told):
    program = tmp_path / "server"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    with pytest.raises(EmbeddedError, match=f"{program} {told}"):
        await EmbeddedStores(tmp_path / "data", stores=REDIS, programs=Programs(valkey=program)).__aenter__()


async def test_a_program_that_cannot_be_run_is_refused_by_name(tmp_path):
    for programs, reason in (
        (Programs(valkey=tmp_path / "none"), f"{tmp_path}/none cannot be run as a server: No such file"),
        (Programs(valkey=tmp_path), f"{tmp_path} cannot be run as a server: Permission denied"),
        (Programs(valkey=Path("/bin/false")), "/bin/false cannot be run as a server"),
        (Programs(postgres=tmp_path), f"{tmp_path}/postgres cannot be run as a server: No such file"),
    ):
        with pytest.raises(EmbeddedError, match=reason):
            await EmbeddedStores(tmp_path / "data", programs=programs).__aenter__()


def test_the_wheels_server_is_valkey():
    assert Path(valkey_program()).name == "valkey-server"
